/* What docs/golden-vectors.md says about judging, in C. */
#ifndef JUDGE_H
#define JUDGE_H

#include <stdbool.h>

enum accuracy { CORRECT, FAITHFUL, TIGHT, BOUNDED };

/* One entry of a result. */
struct exact {
    double value, residual;
    int unit;
    bool always;
    double correct, tight, bounded; /* tolerances; weights have the last */
};

struct format {
    int precision, emax;
};

/* Rounds to nearest, ties to even, to a number of a format. */
double rounded(long double v, struct format format);

/* Returns the error in multiples of 2^unit: infinite for a NaN that should be none. */
double error_of(double got, const struct exact *exact, struct format format);

bool weight_meets(enum accuracy accuracy, double got, const struct exact *exact,
                  struct format format);
bool gradient_meets(enum accuracy accuracy, double got, const struct exact *exact,
                    struct format format);

/* The largest error that a class allows a gradient. */
double gradient_tolerance(enum accuracy accuracy, const struct exact *exact);

#endif
