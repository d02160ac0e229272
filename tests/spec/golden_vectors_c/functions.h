/* Softmax, SSMax and SA-Softmax of one row, as plainly as the widest type of C allows. */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef long double real;

enum variant { SOFTMAX, SSMAX, PLAIN, SHIFTED, MINMAX, NORMALIZED };

struct row {
    enum variant variant;
    size_t length;
    const real *x;
    const bool *where; /* NULL for all */
    real s, b;
    real n; /* if n_given */
    bool n_given;
    bool detach_extrema;
};

/* Writes length weights. */
void weights(const struct row *row, real *y);

/* Writes length gradients to dx; ds and db are those of SSMAX. */
void gradients(const struct row *row, const real *dy, real *dx, real *ds, real *db);

#endif
