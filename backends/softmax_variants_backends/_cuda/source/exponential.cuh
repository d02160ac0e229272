// The exponential of logits up to 32 bits, in binary64.
//
// exp(z) = 2^q 2^(i/32) exp(r) with |r| <= ln(2)/64. Every lane of a warp holds one 2^(i/32), which
// the others fetch from its register: that is faster than memory. All results are larger by 2^LIFT,
// so that their roundings to float stay normal numbers as long as a weight can be of use.

#if !WIDE

constexpr double LIFT = 0x1p64;

CONSTANT double ROOTS_OF_TWO[32] = {   // 2^(64 + i/32), rounded
    0x1.0000000000000p+64, 0x1.059b0d3158574p+64, 0x1.0b5586cf9890fp+64,
    0x1.11301d0125b51p+64, 0x1.172b83c7d517bp+64, 0x1.1d4873168b9aap+64,
    0x1.2387a6e756238p+64, 0x1.29e9df51fdee1p+64, 0x1.306fe0a31b715p+64,
    0x1.371a7373aa9cbp+64, 0x1.3dea64c123422p+64, 0x1.44e086061892dp+64,
    0x1.4bfdad5362a27p+64, 0x1.5342b569d4f82p+64, 0x1.5ab07dd485429p+64,
    0x1.6247eb03a5585p+64, 0x1.6a09e667f3bcdp+64, 0x1.71f75e8ec5f74p+64,
    0x1.7a11473eb0187p+64, 0x1.82589994cce13p+64, 0x1.8ace5422aa0dbp+64,
    0x1.93737b0cdc5e5p+64, 0x1.9c49182a3f090p+64, 0x1.a5503b23e255dp+64,
    0x1.ae89f995ad3adp+64, 0x1.b7f76f2fb5e47p+64, 0x1.c199bdd85529cp+64,
    0x1.cb720dcef9069p+64, 0x1.d5818dcfba487p+64, 0x1.dfc97337b9b5fp+64,
    0x1.ea4afa2a490dap+64, 0x1.f50765b6e4540p+64,
};

// Below this a weight, whatever it is multiplied with, is 0 in every type of 32 bits or less; the
// exponential must stay a normal number.
constexpr Word HIGH_WORD_OF_FLOOR = 0xc085e000u;   // of -700.0

struct Reduced {
    double r;     // the remainder
    int steps;    // 32 q + i
};

// z <= 0, or -inf, which counts as the floor; a NaN gives anything. r has an error of at most
// 2^-53 |z|, from ln(2)/32 in one word: below 2^-46 for weights that are not 0.
DEVICE Reduced reduce(double z) {
    // A negative number's bits grow with its magnitude. Low bits that stay make the floor -700.5.
    z = from_words(smaller(high_word(z), HIGH_WORD_OF_FLOOR), low_word(z));
    // The sum with 1.5 * 2^52 rounds to an integer, which its low word shows.
    double shifted = fma(z, 0x1.71547652b82fep+5, 0x1.8p52);
    double steps = shifted - 0x1.8p52;
    return {fma(steps, -0x1.62e42fefa39efp-6, z), low_word(shifted)};
}

// exp(r), minimax: relative error 2^-52.6 for ACCURATE, else 2^-32.6. The latter is enough for
// 16-bit weights, whose half unit is 2^-12 at least: it moves them by 2^-20 units.
template <bool ACCURATE>
DEVICE double exponential_of_remainder(double r) {
    double q;
    if (ACCURATE) {
        q = fma(0x1.11114f8a8110fp-7, r, 0x1.5555c2a9dcaaep-5);
        q = fma(q, r, 0x1.555555554dd45p-3);
        q = fma(q, r, 0x1.ffffffffe5bc6p-2);
    } else {
        q = fma(0x1.5555b7bb02558p-3, r, 0x1.00007aff1f012p-1);
    }
    return fma(fma(q, r, 1.0), r, 1.0);
}

DEVICE double scaled_by(double root, int steps) {
    return from_words(high_word(root) + ((steps >> 5) << 20), low_word(root));
}

// This lane's part of the table.
DEVICE double own_root() { return ROOTS_OF_TWO[thread_index() & 31]; }

// LIFT * exp(z), of all lanes of a warp at once; `root` is own_root().
template <bool ACCURATE>
DEVICE double exponential(double z, double root) {
    Reduced reduced = reduce(z);
    int high = from_lane(high_word(root), reduced.steps);
    int low = from_lane(low_word(root), reduced.steps);
    return scaled_by(from_words(high, low), reduced.steps) *
           exponential_of_remainder<ACCURATE>(reduced.r);
}

// The same, accurate, by one lane alone.
DEVICE double exponential_alone(double z) {
    Reduced reduced = reduce(z);
    return scaled_by(ROOTS_OF_TWO[reduced.steps & 31], reduced.steps) *
           exponential_of_remainder<true>(reduced.r);
}

#endif
