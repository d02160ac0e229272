#include "judge.h"

#include <math.h>

double rounded(long double v, struct format format)
{
    if (v == 0 || !isfinite(v))
        return (double)v;
    int emin = 1 - format.emax, exponent = ilogbl(v);
    int spacing = (exponent < emin ? emin : exponent) - format.precision + 1;
    /* The quotient is exact, and rintl rounds to nearest even in the default mode. */
    long double nearest = ldexpl(rintl(ldexpl(v, -spacing)), spacing);
    return fabsl(nearest) < ldexpl(1, format.emax + 1) ? (double)nearest
                                                       : copysign(INFINITY, (double)v);
}

/* A number of the format in multiples of 2^unit, exactly; what is beyond the range stands for the
   first power of two there. */
static double in_units(double v, int unit, struct format format)
{
    return isinf(v) ? copysign(ldexp(1, format.emax + 1 - unit), v) : ldexp(v, -unit);
}

/* How many units a result lies above the rounded value; whole, or half where binades meet. */
static double steps(double got, const struct exact *exact, struct format format)
{
    return in_units(got, exact->unit, format) - in_units(exact->value, exact->unit, format);
}

double error_of(double got, const struct exact *exact, struct format format)
{
    if (isnan(got) || isnan(exact->value))
        return isnan(got) && isnan(exact->value) ? 0 : INFINITY;
    return fabs(steps(got, exact, format) - exact->residual);
}

static bool equal(double got, const struct exact *exact)
{
    return got == exact->value || (isnan(got) && isnan(exact->value));
}

/* The other neighbour of the exact number lies one unit from its rounding, on the residual's side;
   beyond the range it is the largest finite number. */
static bool is_other_neighbour(double got, const struct exact *exact, struct format format)
{
    double distance = steps(got, exact, format);
    if (isinf(exact->value))
        return distance == (exact->value > 0 ? -1 : 1);
    return (exact->residual > 0 && distance == 1) || (exact->residual < 0 && distance == -1);
}

bool weight_meets(enum accuracy accuracy, double got, const struct exact *exact,
                  struct format format)
{
    if (equal(got, exact))
        return true;
    if (exact->always || accuracy == CORRECT)
        return false;
    if (accuracy == FAITHFUL)
        return is_other_neighbour(got, exact, format);
    return error_of(got, exact, format) <= (accuracy == TIGHT ? 4 : exact->bounded);
}

double gradient_tolerance(enum accuracy accuracy, const struct exact *exact)
{
    if (accuracy == BOUNDED)
        return exact->bounded;
    return accuracy == TIGHT ? exact->tight : exact->correct;
}

bool gradient_meets(enum accuracy accuracy, double got, const struct exact *exact,
                    struct format format)
{
    if (equal(got, exact))
        return true;
    if (exact->always)
        return false;
    return error_of(got, exact, format) <= gradient_tolerance(accuracy, exact);
}
