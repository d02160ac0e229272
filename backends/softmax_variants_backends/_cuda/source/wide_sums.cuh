// Sums over rows of binary64, in two words.

#if WIDE

// Of two numbers of which neither is a NaN, or only the second: that is passed over.
struct Larger {
    template <typename T>
    DEVICE T operator()(T a, T b) const { return b > a ? b : a; }
};
struct Smaller {
    DEVICE double operator()(double a, double b) const { return b < a ? b : a; }
};

// Adds (high, low) pairs of values, one after the other as `across_warps` asks for them. The error
// of n additions is below n^2 2^-106 of the sum of magnitudes: low words are added in one word.
struct WordsCombination {
    double error;

    DEVICE double operator()(int i, double a, double b) {
        if (i % 2 == 1) return a + b + error;
        Words total = two_sum(a, b);
        error = total.low;
        return total.high;
    }
};

DEVICE Words sum_of(Words a, Words b) {
    Words total = two_sum(a.high, b.high);
    return {total.high, a.low + b.low + total.low};
}

// Over all threads of the row; high becomes the rounding of high + low.
template <int COUNT>
DEVICE void sum_over_row(RowGroup& group, Words (&sums)[COUNT]) {
    double values[2 * COUNT];
    UNROLL
    for (int i = 0; i < COUNT; ++i) {
        Words sum = sums[i];
        UNROLL
        for (int mask = 16; mask > 0; mask >>= 1) {
            if (mask < group.lanes) {
                sum = sum_of(sum, {exchange(sum.high, mask), exchange(sum.low, mask)});
            }
        }
        values[2 * i] = sum.high;
        values[2 * i + 1] = sum.low;
    }
    group.across_warps(values, WordsCombination{0.0});
    UNROLL
    for (int i = 0; i < COUNT; ++i) sums[i] = fast_two_sum(values[2 * i], values[2 * i + 1]);
}

// A sum of numbers of any size: words * 2^exponent, with the exponent of the largest so far. What
// falls out of the range beside that is below 2^-1000 of it.
struct RangedSum {
    Words words = {0.0, 0.0};
    int exponent = LOWEST;

    DEVICE void see(Ranged term) {
        int up = term.exponent - exponent;
        double down = power_of_half(up > 0 ? up : 0), lower = power_of_half(up < 0 ? -up : 0);
        words = sum_of(scaled(words, down), scaled(term.words, lower));
        if (up > 0) exponent = term.exponent;
    }

    // Lower the words to a common exponent of the row.
    DEVICE void align(int common) {
        words = scaled(words, power_of_half(common - exponent));
        exponent = common;
    }
};

#endif
