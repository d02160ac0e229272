// The natural logarithm in two words.

// e with 2^e <= |a| < 2^(e + 1), for a normal number.
DEVICE int exponent_of(double a) { return ((high_word(a) >> 20) & 0x7ff) - 1023; }

// 2^e, for e from -1022 to 1023.
DEVICE double power_of_two(int e) { return from_words((e + 1023) << 20, 0); }

// ln n, for n positive and finite; relative error below 2^-80 also next to 1; ln 1 is exactly 0.
//
// It is q ln 2 + 2 artanh(t), t = (m - 1)/(m + 1), n = 2^q m, m in [0.70, 1.42). The series in
// w = t^2 <= 0.0295 ends where w^j is below 2^-105; its terms from w^5 < 2^-25 on need one word.
DEVICE_CALL Words logarithm(Words n) {
    int q = 0;
    if (n.high < 0x1p-1000) {   // may be subnormal, and its exponent no 11 bits
        n = scaled(n, 0x1p100);
        q = -100;
    }
    int e = exponent_of(n.high);
    // In two steps: 2^-1023 is not a normal number.
    Words m = scaled(scaled(n, power_of_two(-(e >> 1))), power_of_two((e >> 1) - e));
    if (m.high > 0x1.6a09e667f3bcdp+0) {
        m = scaled(m, 0.5);
        e += 1;
    }
    q += e;

    // m - 1 has no rounding: both are between a half and 2.
    Words t = divide(two_sum(m.high - 1.0, m.low), add(m, 1.0));
    Words w = multiply(t, t);
    constexpr double TAIL[] = {   // 1/(2j + 1), j = 20 ... 5
        0x1.8f9c18f9c18fap-6, 0x1.a41a41a41a41ap-6, 0x1.bacf914c1bad0p-6, 0x1.d41d41d41d41dp-6,
        0x1.f07c1f07c1f08p-6, 0x1.0842108421084p-5, 0x1.1a7b9611a7b96p-5, 0x1.2f684bda12f68p-5,
        0x1.47ae147ae147bp-5, 0x1.642c8590b2164p-5, 0x1.8618618618618p-5, 0x1.af286bca1af28p-5,
        0x1.e1e1e1e1e1e1ep-5, 0x1.1111111111111p-4, 0x1.3b13b13b13b14p-4, 0x1.745d1745d1746p-4};
    constexpr double PAIRS[][2] = {   // the same, j = 4 ... 0
        {0x1.c71c71c71c71cp-4, 0x1.c71c71c71c71cp-58},
        {0x1.2492492492492p-3, 0x1.2492492492492p-57},
        {0x1.999999999999ap-3, -0x1.999999999999ap-57},
        {0x1.5555555555555p-2, 0x1.5555555555555p-56},
        {1.0, 0.0}};
    double tail = TAIL[0];
    UNROLL
    for (int j = 1; j < 16; ++j) tail = fma(tail, w.high, TAIL[j]);
    Words series = {tail, 0.0};
    UNROLL
    for (int j = 0; j < 5; ++j) {
        // |product| is below a tenth of the coefficient: the fast sum is exact.
        Words product = two_product(series.high, w.high);
        double cross = fma(series.high, w.low, series.low * w.high);
        Words total = fast_two_sum(PAIRS[j][0], product.high);
        series = {total.high, total.low + (product.low + cross + PAIRS[j][1])};
    }
    Words log_m = scaled(multiply(t, series), 2.0);
    Words q_ln2 = multiply(Words{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56},
                           static_cast<double>(q));
    return add(q_ln2, log_m);
}
