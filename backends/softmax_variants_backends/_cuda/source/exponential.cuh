// The exponential of logits up to 32 bits, in binary64.
//
// exp(z) = 2^k exp(r) with |r| <= ln(2)/2. All results are larger by 2^64 (LIFT), so that their
// roundings to float stay normal numbers as long as a weight can be of use.

#if !WIDE

constexpr double LIFT = 0x1p64;
constexpr double LOG2_E = 0x1.71547652b82fep+0;

// Below this a weight, whatever it is multiplied with, is 0 in every type of 32 bits or less; the
// exponential must stay a normal number.
constexpr double FLOOR = -700.0;
constexpr Word HIGH_WORD_OF_FLOOR = 0xc085e000u;

// (exp(r) - 1) / r, minimax, highest power first. exp(r) then has a relative error of 2^-50.5, or
// 2^-33 for float16 and 2^-28.5 for bfloat16, whose half units are 2^-12 and 2^-9 at
// least: it moves them by 2^-21 and 2^-19.5 units.
// In constant memory, since instructions take operands from there.
#if SIGNIFICAND_BITS == 8
constexpr int TERMS = 6;
CONSTANT double EXPONENTIAL_TERMS[TERMS] = {
    0x1.709be0dbf7d87p-10, 0x1.129066923107bp-7, 0x1.55515e20e74d8p-5,
    0x1.5553c0b23135ep-3,  0x1.0000017598dd7p-1, 0x1.000000d578ef8p+0,
};
#elif SIGNIFICAND_BITS == 11
constexpr int TERMS = 7;
CONSTANT double EXPONENTIAL_TERMS[TERMS] = {
    0x1.a1516a0790f9dp-13, 0x1.6d753216c60e8p-10, 0x1.1110c63a3c331p-7, 0x1.5554ace0f68fap-5,
    0x1.55555567506dep-3,  0x1.00000028795d2p-1,  0x1.0p+0,
};
#else
constexpr int TERMS = 10;
CONSTANT double EXPONENTIAL_TERMS[TERMS] = {
    0x1.28917c9f3a495p-22, 0x1.72e107e8d8eb6p-19, 0x1.a019b914881bap-16, 0x1.a01994c82e1c6p-13,
    0x1.6c16c17889f3cp-10, 0x1.11111123bf1c5p-7,  0x1.5555555553d68p-5,  0x1.5555555550d87p-3,
    0x1.0000000000001p-1,  0x1.0000000000006p+0,
};
#endif

// Added to a number below 2^50, this rounds it to an integer, which the low word shows, and 64 more.
constexpr double ROUNDING = 0x1.8p52 + 64.0;

// LIFT * exp(z) / 2^P, where `rounding` is ROUNDING - P; the result must be a normal number.
DEVICE double exponential_over(double z, double rounding) {
    double shifted = fma(z, LOG2_E, rounding);   // k - P + 64
    double k = shifted - rounding;
    // ln(2) in one word: an error of 2^-54 |z|, below 2^-47 for weights that are not 0.
    double r = fma(k, -0x1.62e42fefa39efp-1, z);
    double q = EXPONENTIAL_TERMS[0];
    UNROLL
    for (int i = 1; i < TERMS; ++i) q = fma(q, r, EXPONENTIAL_TERMS[i]);
    q = fma(q, r, 1.0);
    return from_words(high_word(q) + (low_word(shifted) << 20), low_word(q));
}

// LIFT * exp(z) for z <= 0; -inf counts as the floor; a NaN gives anything.
DEVICE double exponential(double z) {
    // A negative number's bits grow with its magnitude. Low bits that stay make the floor -700.5.
    z = from_words(smaller(high_word(z), HIGH_WORD_OF_FLOOR), low_word(z));
    return exponential_over(z, ROUNDING);
}

#endif
