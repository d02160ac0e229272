// The exponential in two words, for rows of binary64.

#if WIDE

// exp(z) = words * 2^-halvings.
struct Exponential {
    Words words;     // from 0.7 to 1.42
    int halvings;
};

// Below this, e^z is 0 whatever it is multiplied with: two factors of at most 2^1025 and one of
// 2^10 leave it under half of the smallest subnormal number.
constexpr double FLOOR = -2180.0;

// exp(z) for FLOOR <= z <= 0. Relative error below 2^-57.5.
//
// z = -halvings ln 2 + r, |r| <= 0.3466, and e^r = 1 + r + r^2/2 with all words kept, plus the rest
// of the series, at most 0.0075, with four roundings of it. The series ends where r^j/j! is below
// 2^-62. exp(0) is exactly 1.
DEVICE Exponential exponential_in_words(Words z) {
    double shifted = fma(z.high, 0x1.71547652b82fep+0, 0x1.8p52);
    double steps = shifted - 0x1.8p52;
    // Exact: the first part of ln 2 has 40 bits, steps have 12, and the two agree within a factor
    // of 2, or steps are 0. The second part is off by 2^-95.
    double reduced = fma(-steps, 0x1.62e42fefa2000p-1, z.high);
    double r = fma(-steps, 0x1.9ef35793c7673p-41, reduced);
    // What that rounding lost; r and reduced differ by 2^-29 at most.
    double rest = fma(-steps, 0x1.9ef35793c7673p-41, reduced - r) + z.low;

    Words square = two_product(r, r);
    constexpr double INVERSE_FACTORIALS[] = {   // 1/j!, j = 14 ... 3
        0x1.93974a8c07c9dp-37, 0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26,
        0x1.27e4fb7789f5cp-22, 0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13,
        0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,  0x1.5555555555555p-5,  0x1.5555555555555p-3};
    double cubic = INVERSE_FACTORIALS[0];
    UNROLL
    for (int j = 1; j < 12; ++j) cubic = fma(cubic, r, INVERSE_FACTORIALS[j]);
    cubic = cubic * (r * square.high);

    Words linear = fast_two_sum(1.0, r);
    double high = fma(0.5, square.high, linear.high);
    double low = linear.low + fma(0.5, square.high, linear.high - high);
    low = cubic + fma(0.5, square.low, low);
    low = fma(rest, high + cubic, low);
    return {fast_two_sum(high, low), -low_word(shifted)};
}

#endif
