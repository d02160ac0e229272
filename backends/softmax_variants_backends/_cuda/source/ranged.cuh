// Two-word numbers with a power of two of their own, for rows of binary64.
//
// Logits, cotangents, gates and their denominators reach both ends of the range; their products and
// the low words of those leave it. Here an exponent goes beside the words, which stay near 1.

#if WIDE

// words * 2^exponent. After `ranged` the high word is 0 or from 1 to 2; operations let it wander by
// a few bits, sums of rows by 40, cancellation further down.
struct Ranged {
    Words words;
    int exponent;
};

// The exponent of 0: below that of any other number, also after several multiplications.
constexpr int LOWEST = -(1 << 20);

// 2^-n for n >= 0, and 0 where that is no normal number: what it multiplies does not count then.
DEVICE double power_of_half(int n) { return n > 1022 ? 0.0 : power_of_two(-n); }

DEVICE Ranged ranged(double a) {
    int lift = 0;
    if (exponent_of(a) < -1022) {
        if (a == 0.0) return {{0.0, 0.0}, LOWEST};
        a *= 0x1p64;
        lift = 64;
    }
    int high = (high_word(a) & 0x800fffff) | 0x3ff00000;
    return {{from_words(high, low_word(a)), 0.0}, exponent_of(a) - lift};
}

DEVICE Ranged ranged(Words a) {
    Ranged result = ranged(a.high);
    // In two steps: the power may be no normal number.
    int half = result.exponent >> 1;
    if (a.low != 0.0) {   // then a.high is no subnormal number
        result.words.low = a.low * power_of_two(-half) * power_of_two(half - result.exponent);
    }
    return result;
}

DEVICE Ranged ranged(Words a, int exponent) {
    Ranged result = ranged(a);
    result.exponent += exponent;
    return result;
}

DEVICE Ranged negated(Ranged a) { return {negated(a.words), a.exponent}; }

DEVICE Ranged multiply(Ranged a, Ranged b) {
    return {multiply(a.words, b.words), a.exponent + b.exponent};
}

// Of a number that `ranged` gave; not 0.
DEVICE Ranged reciprocal(Ranged a) { return {divide(Words{1.0, 0.0}, a.words), -a.exponent}; }

DEVICE Ranged add(Ranged a, Ranged b) {
    int apart = a.exponent - b.exponent;
    Words first = scaled(a.words, power_of_half(apart < 0 ? -apart : 0));
    Words second = scaled(b.words, power_of_half(apart > 0 ? apart : 0));
    return {add(first, second), apart > 0 ? a.exponent : b.exponent};
}

// Beyond the ordinary: near and past both ends of the range.
DEVICE_CALL double rounded_far(Words a, int exponent) {
    if (a.high == 0.0) return 0.0;
    if (fabs(a.high) < 0x1p-500) {   // left by cancellation
        a = scaled(a, 0x1p500);
        exponent -= 500;
    }
    int own = exponent_of(a.high), target = own + exponent;
    a = scaled(a, power_of_two(-own));
    if (target > 1023) return a.high * INFINITY_DOUBLE;
    if (target >= -1022) return a.high * power_of_two(target);
    if (target < -1075) return 0.0;
    // Subnormal: to a multiple of 2^-1074, that is, of `unit` here, by the sum with a number whose
    // last place that is. Rounding the high word first goes wrong only where it lies halfway and
    // the low word says on which side the number is.
    double unit = power_of_two(-1074 - target);
    double large = a.high < 0.0 ? -0x1p52 * unit : 0x1p52 * unit;
    double total = large + a.high;
    double lost = a.high - (total - large);
    if (fabs(lost) == 0.5 * unit && lost * a.low > 0.0) total += 2.0 * lost;
    return (total - large) * power_of_two(target + 200) * 0x1p-200;
}

// The number, rounded once.
DEVICE double rounded(Ranged a) {
    int target = exponent_of(a.words.high) + a.exponent;
    bool ordinary = target >= -1000 && target <= 1000 && a.exponent >= -1000 && a.exponent <= 1000;
    if (!ordinary) return rounded_far(a.words, a.exponent);
    return a.words.high * power_of_two(a.exponent);
}

#endif
