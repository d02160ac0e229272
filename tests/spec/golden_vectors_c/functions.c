#include "functions.h"

#include <math.h>
#include <stdlib.h>

/* Deliberate faults, one a build, show that the vectors find them:
   BROKEN_NO_SHIFT        exp without subtracting the largest logit
   BROKEN_FLOAT_SHIFT     the difference from the largest logit rounded to float
   BROKEN_COUNTS_ABSENT   n counts absent entries
   BROKEN_ABSENT_EXTREMA  absent entries count in minimum and maximum
   BROKEN_FIRST_TIE       the derivative of an extremum goes to the first entry that attains it */

struct evaluation {
    size_t count; /* of present entries */
    bool undefined;
    bool *present;
    real c, log_n;
    real top; /* the logit of the largest p */
    real *p;
    real *r; /* gates */
    real low, high, offset, denominator;
};

static bool is_gated(const struct row *row)
{
    return row->variant != SOFTMAX && row->variant != SSMAX;
}

static bool is_ratio(const struct row *row)
{
    return row->variant == MINMAX || row->variant == NORMALIZED;
}

/* c = s ln n + b, in which nothing may be infinite or NaN, and n positive. */
static void factor(const struct row *row, struct evaluation *e)
{
    e->c = 1;
    if (row->variant != SSMAX)
        return;
#ifdef BROKEN_COUNTS_ABSENT
    real n = row->n_given ? row->n : (real)row->length;
#else
    real n = row->n_given ? row->n : (real)e->count;
#endif
    if (!isfinite(row->s) || !isfinite(row->b) || !isfinite(n) || !(n > 0)) {
        e->undefined = true;
        return;
    }
    e->log_n = logl(n);
    e->c = row->s * e->log_n + row->b;
    /* The vectors take binary64 for the widest type: c beyond it counts as infinite. */
    if (!isfinite((double)e->c))
        e->undefined = true;
}

static void extrema(const struct row *row, struct evaluation *e)
{
    e->low = INFINITY;
    e->high = -INFINITY;
    for (size_t i = 0; i < row->length; i++) {
#ifndef BROKEN_ABSENT_EXTREMA
        if (!e->present[i])
            continue;
#endif
        e->low = fminl(e->low, row->x[i]);
        e->high = fmaxl(e->high, row->x[i]);
    }
    e->top = e->c < 0 ? e->low : e->high;
    if (row->variant == NORMALIZED) { /* the extrema of the row with a 0 appended */
        e->low = fminl(e->low, 0);
        e->high = fmaxl(e->high, 0);
    }
}

static real exponential(const struct evaluation *e, real x)
{
#if defined BROKEN_NO_SHIFT
    return expl(e->c * x);
#elif defined BROKEN_FLOAT_SHIFT
    return expl(e->c * (float)(x - e->top));
#else
    return expl(e->c * (x - e->top));
#endif
}

static void evaluate(const struct row *row, struct evaluation *e)
{
    size_t room = row->length ? row->length : 1;
    *e = (struct evaluation){0};
    e->present = calloc(room, sizeof *e->present);
    e->p = calloc(room, sizeof *e->p);
    e->r = calloc(room, sizeof *e->r);
    if (!e->present || !e->p || !e->r)
        exit(2);
    for (size_t i = 0; i < row->length; i++) {
        e->present[i] = (!row->where || row->where[i]) && row->x[i] != -(real)INFINITY;
        e->count += e->present[i];
        if (e->present[i] && !isfinite(row->x[i]))
            e->undefined = true;
    }
    if (!e->count)
        e->undefined = false; /* an empty row is 0 whatever its parameters hold */
    else
        factor(row, e);
    if (!e->count || e->undefined)
        return;
    extrema(row, e);
    real sum = 0;
    for (size_t i = 0; i < row->length; i++)
        if (e->present[i])
            sum += e->p[i] = exponential(e, row->x[i]);
    e->offset = row->variant == PLAIN || !is_gated(row) ? 0 : e->low;
    e->denominator = is_ratio(row) ? e->high - e->low : 1;
    for (size_t i = 0; i < row->length; i++) {
        if (!e->present[i])
            continue;
        e->p[i] /= sum;
        e->r[i] = 1;
        if (is_gated(row)) /* a zero denominator makes all weights 0 */
            e->r[i] = e->denominator == 0 ? 0 : (row->x[i] - e->offset) / e->denominator;
    }
}

static void release(struct evaluation *e)
{
    free(e->present);
    free(e->p);
    free(e->r);
}

void weights(const struct row *row, real *y)
{
    struct evaluation e;
    evaluate(row, &e);
    for (size_t i = 0; i < row->length; i++)
        y[i] = !e.present[i] ? 0 : e.undefined ? (real)NAN : e.r[i] * e.p[i];
    release(&e);
}

/* Takes `share` from the entries at an extremum, evenly; in the normalized form the appended 0
   has its part where it attains the extremum. */
static void through(const struct row *row, const struct evaluation *e, real extremum, real share,
                    real *dx)
{
    size_t k = row->variant == NORMALIZED && extremum == 0;
    for (size_t i = 0; i < row->length; i++)
        k += e->present[i] && row->x[i] == extremum;
    for (size_t i = 0; i < row->length; i++) {
        if (!e->present[i] || row->x[i] != extremum)
            continue;
#ifdef BROKEN_FIRST_TIE
        dx[i] -= share;
        return;
#else
        dx[i] -= share / (real)k;
#endif
    }
}

static void gated(const struct row *row, const struct evaluation *e, const real *dy, real *dx)
{
    real d = e->denominator, sum_p = 0, sum_y = 0;
    if (d == 0)
        return;
    for (size_t i = 0; i < row->length; i++) {
        if (!e->present[i])
            continue;
        sum_p += dy[i] * e->p[i];
        sum_y += dy[i] * e->r[i] * e->p[i];
        dx[i] = dy[i] * e->p[i] / d;
    }
    if (row->variant != PLAIN && !row->detach_extrema)
        through(row, e, e->low, (is_ratio(row) ? sum_p - sum_y : sum_p) / d, dx);
    if (is_ratio(row) && !row->detach_extrema)
        through(row, e, e->high, sum_y / d, dx);
    for (size_t i = 0; i < row->length; i++)
        if (e->present[i])
            dx[i] += dy[i] * e->r[i] * e->p[i] - e->p[i] * sum_y;
}

static void ungated(const struct row *row, const struct evaluation *e, const real *dy, real *dx,
                    real *ds, real *db)
{
    real mean_dy = 0, mean_x = 0;
    for (size_t i = 0; i < row->length; i++) {
        if (!e->present[i])
            continue;
        mean_dy += e->p[i] * dy[i];
        mean_x += e->p[i] * (row->x[i] - e->top);
    }
    for (size_t i = 0; i < row->length; i++) {
        if (!e->present[i])
            continue;
        dx[i] = e->c * e->p[i] * (dy[i] - mean_dy);
        *db += dy[i] * e->p[i] * ((row->x[i] - e->top) - mean_x);
    }
    *ds = e->log_n * *db;
}

void gradients(const struct row *row, const real *dy, real *dx, real *ds, real *db)
{
    struct evaluation e;
    evaluate(row, &e);
    *ds = *db = 0;
    for (size_t i = 0; i < row->length; i++) {
        dx[i] = 0;
        e.undefined |= e.present[i] && !isfinite(dy[i]);
    }
    if (e.undefined) {
        for (size_t i = 0; i < row->length; i++)
            dx[i] = e.present[i] ? (real)NAN : 0;
        *ds = *db = (real)NAN;
    } else if (e.count && is_gated(row)) {
        gated(row, &e, dy, dx);
    } else if (e.count) {
        ungated(row, &e, dy, dx, ds, db);
    }
    release(&e);
}
