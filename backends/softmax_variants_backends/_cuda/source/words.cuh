// Arithmetic on unevaluated sums of two binary64 numbers, by fused multiply-add.
//
// `high` is the rounding of high + low wherever a result is handed on. Relative errors are a few
// 2^-106: Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks of
// double-word arithmetic", ACM TOMS 44(2), 2017. Low words are right as long as no product's error
// falls below 2^-1074: callers keep what they multiply away from the ends of the range.

struct Words {
    double high, low;
};

// The rounded sum and its exact error (Knuth).
DEVICE Words two_sum(double a, double b) {
    double total = a + b;
    double part = total - a;
    return {total, (a - (total - part)) + (b - part)};
}

// The same where |a| >= |b| or a is 0 (Dekker).
DEVICE Words fast_two_sum(double a, double b) {
    double total = a + b;
    return {total, b - (total - a)};
}

// The rounded product and its exact error.
DEVICE Words two_product(double a, double b) {
    double product = a * b;
    return {product, fma(a, b, -product)};
}

DEVICE Words negated(Words a) { return {-a.high, -a.low}; }

// a times a power of two, or 0: exact, but for underflow.
DEVICE Words scaled(Words a, double power) { return {a.high * power, a.low * power}; }

// Error at most 3 * 2^-106 of the sum also under cancellation.
DEVICE Words add(Words a, Words b) {
    Words high = two_sum(a.high, b.high), low = two_sum(a.low, b.low);
    high = fast_two_sum(high.high, high.low + low.high);
    return fast_two_sum(high.high, high.low + low.low);
}

DEVICE Words add(Words a, double b) {
    Words high = two_sum(a.high, b);
    return fast_two_sum(high.high, high.low + a.low);
}

// Error at most 5 * 2^-106.
DEVICE Words multiply(Words a, Words b) {
    Words product = two_product(a.high, b.high);
    double cross = fma(a.high, b.low, a.low * b.high);
    return fast_two_sum(product.high, product.low + cross);
}

DEVICE Words multiply(Words a, double b) {
    Words product = two_product(a.high, b);
    return fast_two_sum(product.high, fma(a.low, b, product.low));
}

// Error at most 10 * 2^-106.
DEVICE Words divide(Words a, Words b) {
    double quotient = a.high / b.high;
    // Exact: the remainder of a division is a number of as many bits.
    double remainder = fma(-quotient, b.high, a.high);
    remainder += fma(-quotient, b.low, a.low);
    return fast_two_sum(quotient, remainder / b.high);
}
