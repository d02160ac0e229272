#include "json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *path;
    const char *at;
    int line;
};

static bool value(struct reader *r, struct json *out);

static bool wrong(const struct reader *r, const char *wanted)
{
    if (*r->at)
        fprintf(stderr, "%s: line %d: %s wanted, found '%c'\n", r->path, r->line, wanted, *r->at);
    else
        fprintf(stderr, "%s: line %d: %s wanted, found the end\n", r->path, r->line, wanted);
    return false;
}

static void *allocated(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static char next(struct reader *r)
{
    for (; *r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'; r->at++)
        r->line += *r->at == '\n';
    return *r->at;
}

static char *copy(const char *start, const char *end)
{
    size_t length = (size_t)(end - start);
    char *text = allocated(malloc(length + 1));
    memcpy(text, start, length);
    text[length] = '\0';
    return text;
}

/* The files need no escapes but these two; another one is said to be wrong, not misread. */
static bool string(struct reader *r, char **out)
{
    if (next(r) != '"')
        return wrong(r, "a string");
    const char *start = ++r->at;
    while (*r->at && *r->at != '"') {
        if (*r->at == '\\' && (r->at[1] == '"' || r->at[1] == '\\'))
            r->at++;
        else if (*r->at == '\\' || (unsigned char)*r->at < 0x20)
            return wrong(r, "a character other than \\ and controls");
        r->at++;
    }
    if (!*r->at)
        return wrong(r, "a closing \"");
    char *text = copy(start, r->at++), *to = text;
    for (const char *from = text; *from; *to++ = *from++)
        if (*from == '\\')
            from++;
    *to = '\0';
    *out = text;
    return true;
}

static bool number(struct reader *r, struct json *out)
{
    const char *start = r->at;
    while (isdigit((unsigned char)*r->at) || (*r->at && strchr("+-.eE", *r->at)))
        r->at++;
    char *end;
    out->kind = JSON_NUMBER;
    out->text = copy(start, r->at);
    strtod(out->text, &end);
    return *end ? wrong(r, "a number") : true;
}

static bool word(struct reader *r, struct json *out)
{
    static const struct { const char *text; enum json_kind kind; } words[] = {
        {"null", JSON_NULL}, {"false", JSON_FALSE}, {"true", JSON_TRUE}};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i].text);
        if (strncmp(r->at, words[i].text, length) == 0) {
            r->at += length;
            out->kind = words[i].kind;
            return true;
        }
    }
    return wrong(r, "a value");
}

static bool collection(struct reader *r, struct json *out, char close)
{
    size_t room = 0;
    out->kind = close == ']' ? JSON_ARRAY : JSON_OBJECT;
    r->at++;
    if (next(r) == close) {
        r->at++;
        return true;
    }
    for (;;) {
        if (out->count == room) {
            room = room ? 2 * room : 8;
            out->items = allocated(realloc(out->items, room * sizeof *out->items));
        }
        struct json *item = &out->items[out->count++];
        *item = (struct json){0};
        if (close == '}') {
            if (!string(r, &item->key))
                return false;
            if (next(r) != ':')
                return wrong(r, "a colon");
            r->at++;
        }
        if (!value(r, item))
            return false;
        if (next(r) == close) {
            r->at++;
            return true;
        }
        if (*r->at != ',')
            return wrong(r, "a comma");
        r->at++;
    }
}

static bool value(struct reader *r, struct json *out)
{
    char c = next(r);
    if (c == '{')
        return collection(r, out, '}');
    if (c == '[')
        return collection(r, out, ']');
    if (c == '"') {
        out->kind = JSON_STRING;
        return string(r, &out->text);
    }
    return c == '-' || isdigit((unsigned char)c) ? number(r, out) : word(r, out);
}

static char *content(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return NULL;
    }
    size_t room = 1 << 16, length = 0, got;
    char *text = allocated(malloc(room));
    while ((got = fread(text + length, 1, room - length - 1, file)) > 0) {
        length += got;
        if (room - length == 1)
            text = allocated(realloc(text, room *= 2));
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    text[length] = '\0';
    if (failed || strlen(text) != length) {
        fprintf(stderr, "%s: cannot be read as text\n", path);
        free(text);
        return NULL;
    }
    return text;
}

static void clear(struct json *v)
{
    for (size_t i = 0; i < v->count; i++)
        clear(&v->items[i]);
    free(v->items);
    free(v->text);
    free(v->key);
}

void json_free(struct json *v)
{
    if (v)
        clear(v);
    free(v);
}

struct json *json_read(const char *path)
{
    char *text = content(path);
    if (!text)
        return NULL;
    struct reader r = {path, text, 1};
    struct json *top = allocated(calloc(1, sizeof *top));
    bool whole = value(&r, top) && (next(&r) == '\0' || wrong(&r, "the end"));
    free(text);
    if (whole)
        return top;
    json_free(top);
    return NULL;
}

const struct json *json_member(const struct json *object, const char *key)
{
    for (size_t i = 0; object && object->kind == JSON_OBJECT && i < object->count; i++)
        if (strcmp(object->items[i].key, key) == 0)
            return &object->items[i];
    return NULL;
}
