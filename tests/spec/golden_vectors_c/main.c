/* Judges softmax functions of one's own by files of golden vectors:

       golden_vectors CLASS FILE...

   prints, for each file, the largest error and the vectors that fail; returns 0 if all meet the
   class (correct, faithful, tight, bounded), 1 if not, 2 if a file cannot be read. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "json.h"
#include "judge.h"

struct file {
    const char *path;
    const struct json *groups;
    enum variant variant;
    struct format format;
    enum accuracy claim;
    size_t failed;
    size_t inexact, correct; /* weights that no number of the format equals; those of them rounded */
    double largest_weight, largest_gradient;
    const char *worst_weight, *worst_gradient;
};

static const char *const classes[] = {"correct", "faithful", "tight", "bounded"};

static _Noreturn void unreadable(const struct file *file, const char *id, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", file->path, id, what);
    exit(2);
}

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static size_t named(const char *text, const char *const *names, size_t count)
{
    size_t i = 0;
    while (i < count && (!text || strcmp(text, names[i]) != 0))
        i++;
    return i;
}

static const struct json *member(const struct file *file, const char *id,
                                 const struct json *object, const char *key, enum json_kind kind)
{
    const struct json *found = json_member(object, key);
    char what[80];
    snprintf(what, sizeof what, "%s is missing or of another type", key);
    if (!found || found->kind != kind)
        unreadable(file, id, what);
    return found;
}

/* strtold reads hexadecimal floats, "nan", "inf", and integers of any size, to its precision. */
static real number(const struct file *file, const char *id, const struct json *value)
{
    char *end = NULL;
    real result = value->text ? strtold(value->text, &end) : 0;
    if (!value->text || end == value->text || *end)
        unreadable(file, id, "a number is not readable");
    return result;
}

static real *numbers(const struct file *file, const char *id, const struct json *object,
                     const char *key, size_t length)
{
    const struct json *array = member(file, id, object, key, JSON_ARRAY);
    real *result = zeros(length, sizeof *result);
    if (array->count != length)
        unreadable(file, id, "an array has the wrong length");
    for (size_t i = 0; i < length; i++)
        result[i] = number(file, id, &array->items[i]);
    return result;
}

static struct exact *exact_result(const struct file *file, const char *id,
                                  const struct json *result, size_t length, bool is_weights)
{
    struct exact *exact = zeros(length, sizeof *exact);
    real *value = numbers(file, id, result, "value", length);
    bool measured = json_member(result, "residual") != NULL;
    for (size_t i = 0; i < length; i++) {
        exact[i].value = (double)value[i];
        exact[i].always = !measured; /* nothing but values: all are asked for in every class */
    }
    free(value);
    if (!measured)
        return exact;
    const struct json *tolerance = member(file, id, result, "tolerance", JSON_OBJECT);
    const struct json *always = member(file, id, result, "always", JSON_ARRAY);
    real *residual = numbers(file, id, result, "residual", length);
    real *unit = numbers(file, id, result, "unit", length);
    real *bounded = numbers(file, id, tolerance, "bounded", length);
    real *correct = is_weights ? NULL : numbers(file, id, tolerance, "correct", length);
    real *tight = is_weights ? NULL : numbers(file, id, tolerance, "tight", length);
    for (size_t i = 0; i < length; i++) {
        exact[i].residual = (double)residual[i];
        exact[i].unit = (int)unit[i];
        exact[i].bounded = (double)bounded[i];
        exact[i].correct = is_weights ? 0 : (double)correct[i];
        exact[i].tight = is_weights ? 0 : (double)tight[i];
    }
    for (size_t i = 0; i < always->count; i++) {
        real index = number(file, id, &always->items[i]);
        if (!(index >= 0 && index < (real)length))
            unreadable(file, id, "always has an index beyond the row");
        exact[(size_t)index].always = true;
    }
    free(residual), free(unit), free(bounded), free(correct), free(tight);
    return exact;
}

/* Judges one result; prints the first entry that fails. */
static bool judge(struct file *file, const char *id, const char *name, enum accuracy asked,
                  const real *got, const struct exact *exact, size_t length)
{
    bool is_weights = strcmp(name, "weights") == 0, met = true;
    for (size_t i = 0; i < length; i++) {
        const struct exact *one = &exact[i];
        double mine = rounded(got[i], file->format);
        double error = error_of(mine, one, file->format);
        bool ok = (is_weights ? weight_meets : gradient_meets)(asked, mine, one, file->format);
        if (is_weights && !one->always) {
            file->inexact += one->residual != 0;
            file->correct += one->residual != 0 && mine == one->value;
            if (!file->worst_weight || error > file->largest_weight)
                file->largest_weight = error, file->worst_weight = id;
        } else if (!one->always && isfinite(gradient_tolerance(asked, one))) {
            double ratio = error / gradient_tolerance(asked, one);
            if (!file->worst_gradient || ratio > file->largest_gradient)
                file->largest_gradient = ratio, file->worst_gradient = id;
        }
        if (!ok && met)
            printf("%s: %s[%zu] is %a, wants %a%s (error %.6g units, %s)\n", id, name, i,
                   mine, one->value, one->always ? " in every class" : "", error, classes[asked]);
        met &= ok;
    }
    return met;
}

static void judge_vector(struct file *file, const struct json *vector)
{
    const char *id = member(file, "a vector", vector, "id", JSON_STRING)->text;
    const char *group = member(file, id, vector, "group", JSON_STRING)->text;
    const struct json *about = member(file, id, file->groups, group, JSON_OBJECT);
    const char *strictest = member(file, id, about, "strictest", JSON_STRING)->text;
    enum accuracy asked = (enum accuracy)named(strictest, classes, 4);
    if (asked < file->claim)
        asked = file->claim;

    struct row row = {.variant = file->variant};
    row.length = member(file, id, vector, "x", JSON_ARRAY)->count;
    real *x = numbers(file, id, vector, "x", row.length);
    row.x = x;
    const struct json *where = json_member(vector, "where");
    bool *mask = zeros(row.length, sizeof *mask);
    if (where && where->kind == JSON_ARRAY && where->count == row.length) {
        for (size_t i = 0; i < row.length; i++)
            mask[i] = where->items[i].kind == JSON_TRUE;
        row.where = mask;
    } else if (!where || where->kind != JSON_NULL) {
        unreadable(file, id, "where is no array of the row's length");
    }
    if (file->variant == SSMAX) {
        row.s = number(file, id, member(file, id, vector, "s", JSON_STRING));
        row.b = number(file, id, member(file, id, vector, "b", JSON_STRING));
        const struct json *n = json_member(vector, "n");
        row.n_given = n && n->kind != JSON_NULL;
        row.n = row.n_given ? number(file, id, n) : 0;
    }
    const struct json *given = json_member(vector, "dy");
    bool has_dy = given && given->kind == JSON_ARRAY;
    real *dy = has_dy ? numbers(file, id, vector, "dy", row.length) : NULL;
    real *got = zeros(row.length + 1, sizeof *got), ds = 0, db = 0;

    bool met = true;
    const struct json *results = member(file, id, vector, "results", JSON_OBJECT);
    for (size_t i = 0; i < results->count; i++) {
        const char *name = results->items[i].key;
        bool is_weights = strcmp(name, "weights") == 0;
        bool is_parameter = strcmp(name, "ds") == 0 || strcmp(name, "db") == 0;
        size_t length = is_parameter ? 1 : row.length;
        row.detach_extrema = strcmp(name, "dx_detached") == 0;
        if (is_weights)
            weights(&row, got);
        else if (has_dy)
            gradients(&row, dy, got, &ds, &db);
        else
            unreadable(file, id, "a gradient has no dy");
        if (is_parameter)
            got[0] = name[1] == 's' ? ds : db;
        struct exact *exact = exact_result(file, id, &results->items[i], length, is_weights);
        met &= judge(file, id, name, asked, got, exact, length);
        free(exact);
    }
    file->failed += !met;
    free(x), free(mask), free(dy), free(got);
}

static bool judge_file(const char *path, enum accuracy claim)
{
    static const char *const functions[] = {"softmax", "ssmax", "sa_softmax"};
    static const char *const forms[] = {"plain", "shifted", "minmax", "normalized"};
    struct json *top = json_read(path);
    if (!top)
        exit(2);
    struct file file = {.path = path, .claim = claim};
    const struct json *form = json_member(top, "form");
    size_t function = named(member(&file, "file", top, "function", JSON_STRING)->text, functions, 3);
    size_t which = function == 2 ? named(form ? form->text : NULL, forms, 4) : 0;
    if (function == 3 || which == 4)
        unreadable(&file, "file", "function or form is unknown");
    file.variant = function < 2 ? (enum variant)function : (enum variant)(PLAIN + which);
    const struct json *format = member(&file, "file", top, "format", JSON_OBJECT);
    file.format.precision =
        (int)number(&file, "file", member(&file, "file", format, "precision", JSON_NUMBER));
    file.format.emax = (int)number(&file, "file", member(&file, "file", format, "emax", JSON_NUMBER));
    if (file.format.precision > LDBL_MANT_DIG - 8)
        unreadable(&file, "file", "long double is not wider than this format here");
    file.groups = member(&file, "file", top, "groups", JSON_OBJECT);
    const struct json *vectors = member(&file, "file", top, "vectors", JSON_ARRAY);
    for (size_t i = 0; i < vectors->count; i++)
        judge_vector(&file, &vectors->items[i]);

    const char *name = strrchr(path, '/');
    printf("%s: %zu of %zu vectors meet %s; weights: largest error %.6g ULP (%s), "
           "%zu of %zu correctly rounded; gradients: largest error %.3g of the tolerance (%s)\n",
           name ? name + 1 : path, vectors->count - file.failed, vectors->count, classes[claim],
           file.largest_weight, file.worst_weight ? file.worst_weight : "-", file.correct,
           file.inexact, file.largest_gradient, file.worst_gradient ? file.worst_gradient : "-");
    bool met = file.failed == 0;
    json_free(top);
    return met;
}

int main(int argc, char **argv)
{
    size_t claim = argc > 2 ? named(argv[1], classes, 4) : 4;
    if (claim == 4) {
        fprintf(stderr, "usage: %s correct|faithful|tight|bounded FILE...\n", argv[0]);
        return 2;
    }
    bool met = true;
    for (int i = 2; i < argc; i++)
        met &= judge_file(argv[i], (enum accuracy)claim);
    return met ? 0 : 1;
}
