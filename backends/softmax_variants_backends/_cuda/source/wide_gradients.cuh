// Vector-Jacobian products of binary64 rows, all in two words with exponents apart.
//
// With p the probabilities, r the gates, G = sum r p dy and P = sum p dy over the present entries:
//
//     dx_j = c p_j (dy_j - G)                            softmax, SSMax
//     dx_j = p_j ((r_j dy_j - G) + dy_j/D)               gates
//          + lambda_j (G - P)/D - mu_j G/D               minmax, normalized
//          - lambda_j P                                  shifted
//
// where lambda_j and mu_j are entry j's shares in the derivatives of the smallest and the largest
// logit. A row's term of db is sum p dy d - G sum p d, d the logits' differences from the pivot:
// nothing larger than the terms of its bound cancels; its term of ds is ln n times that. Where the
// weights do not depend on an entry, as that of a row's only one, the same roundings are made on
// both sides of each difference, and dx is exactly 0.

#if WIDE && GRADIENTS

// The sums that a row's gradient needs, not yet over the sum of exponentials.
struct GradientSums64 {
    static constexpr int RANGED = FUNCTION == SOFTMAX ? 1 : FUNCTION == SSMAX ? 3 : 2;
    static constexpr int TIES = FUNCTION == SA_SOFTMAX ? 2 : 0;

    Words total = {0.0, 0.0};       // of exponentials e
    RangedSum sums[RANGED];         // of e dy; gates: e dy r; SSMax: e d, e dy d
    double ties[2] = {0.0, 0.0};    // entries that are smallest, and largest

    DEVICE void see(const RowFacts64& facts, double x, double dy) {
        if (FUNCTION == SA_SOFTMAX) {
            ties[0] += x == facts.smallest ? 1.0 : 0.0;
            ties[1] += x == facts.largest ? 1.0 : 0.0;
        }
        Power power(facts, x);
        if (!power.alive) return;
        total = sum_of(total, power.true_words());
        Ranged e = {power.value.words, -power.value.halvings};
        Ranged weighted = multiply(e, ranged(dy));
        sums[0].see(weighted);
        if (FUNCTION == SA_SOFTMAX) {
            sums[1].see(multiply(weighted, multiply(facts.numerator(x), facts.inverse)));
        }
        if (FUNCTION == SSMAX) {
            Ranged difference = ranged(Difference(x, facts.pivot));
            sums[1].see(multiply(e, difference));
            sums[2].see(multiply(weighted, difference));
        }
    }

    DEVICE void across(RowGroup& group) {
        double values[RANGED + TIES];
        UNROLL
        for (int i = 0; i < RANGED; ++i) {
            values[i] = reduce_warp(sums[i].exponent, group.lanes, Larger());
        }
        UNROLL
        for (int i = 0; i < TIES; ++i) {
            values[RANGED + i] = reduce_warp(ties[i], group.lanes, Sum());
        }
        group.across_warps(values, [](int i, double a, double b) {
            return i < RANGED ? Larger()(a, b) : a + b;
        });
        UNROLL
        for (int i = 0; i < RANGED; ++i) sums[i].align(static_cast<int>(values[i]));
        UNROLL
        for (int i = 0; i < TIES; ++i) ties[i] = values[RANGED + i];
        Words first[RANGED < 3 ? RANGED + 1 : 2] = {total, sums[0].words};
        if (RANGED == 2) first[RANGED] = sums[1].words;
        sum_over_row(group, first);
        total = first[0];
        sums[0].words = first[1];
        if (RANGED == 2) sums[1].words = first[RANGED];
        if (RANGED == 3) {
            Words second[2] = {sums[1].words, sums[RANGED - 1].words};
            sum_over_row(group, second);
            sums[1].words = second[0];
            sums[RANGED - 1].words = second[1];
        }
    }
};

struct Gradient64 {
    const RowFacts64& facts;
    bool at_smallest, at_largest;   // whether the extrema's derivatives are added...
    Ranged smallest, largest;       // ...and what is
    Ranged inverse;                 // 1 / S
    Ranged mean;                    // G

    DEVICE Gradient64(const Call& call, const RowFacts64& row, const GradientSums64& found)
        : facts(row), at_smallest(false), at_largest(false), smallest{}, largest{},
          inverse(reciprocal(ranged(found.total))) {
        mean = over_total(found.sums[0]);
        if (FUNCTION == SA_SOFTMAX) {
            Ranged plain = mean;
            mean = over_total(found.sums[GradientSums64::RANGED - 1]);
            if (call.form != FORM_PLAIN && !call.detach_extrema) set_extrema(call, plain, found);
        }
    }

    DEVICE void set_extrema(const Call& call, Ranged plain, const GradientSums64& found) {
        bool ratio = call.form != FORM_SHIFTED, appended = call.form == FORM_NORMALIZED;
        // An appended 0 has its share where it is extremal, too.
        double among = found.ties[0] + (appended && facts.smallest == 0.0 ? 1.0 : 0.0);
        at_smallest = !appended || facts.smallest <= 0.0;
        smallest = ratio ? add(mean, negated(plain)) : negated(plain);
        smallest = shared(multiply(smallest, facts.inverse), among);
        among = found.ties[1] + (appended && facts.largest == 0.0 ? 1.0 : 0.0);
        at_largest = ratio && (!appended || facts.largest >= 0.0);
        largest = shared(multiply(negated(mean), facts.inverse), among);
    }

    DEVICE static Ranged shared(Ranged a, double among) {
        return {divide(a.words, Words{among, 0.0}), a.exponent};
    }

    DEVICE Ranged over_total(const RangedSum& sum) const {
        return multiply(Ranged{sum.words, sum.exponent}, inverse);
    }

    DEVICE double gradient(double x, double dy) const {
        if (x == -INFINITY_DOUBLE) return 0.0;
        if (facts.invalid) return NAN_DOUBLE;
        if (facts.flat) return 0.0;
        Ranged value = {{0.0, 0.0}, LOWEST};
        Power power(facts, x);
        if (power.alive) {
            Ranged own = ranged(dy);
            Ranged p = multiply({power.value.words, -power.value.halvings}, inverse);
            if (FUNCTION == SA_SOFTMAX) {
                Ranged gate = multiply(facts.numerator(x), facts.inverse);
                value = add(multiply(own, gate), negated(mean));
                value = add(value, multiply(own, facts.inverse));
            } else {
                value = add(own, negated(mean));
            }
            value = multiply(value, p);
            if (FUNCTION == SSMAX) value = multiply(value, facts.scale);
        }
        if (FUNCTION == SA_SOFTMAX) {
            if (at_smallest && x == facts.smallest) value = add(value, smallest);
            if (at_largest && x == facts.largest) value = add(value, largest);
        }
        return rounded(value);
    }
};

// A number in two doubles.
DEVICE void store_words(Ranged value, double* high, double* low) {
    *high = rounded(value);
    *low = is_finite(*high) ? rounded(Ranged{{value.words.low, 0.0}, value.exponent}) : 0.0;
}

// The row's terms of ds and db, each in two words: four columns.
DEVICE void store_terms(const Call& call, long long row, const RowFacts64& facts,
                        const GradientSums64& found, const Gradient64& gradient) {
    double terms[4] = {0.0, 0.0, 0.0, 0.0};
    if (facts.invalid) {
        terms[0] = terms[2] = NAN_DOUBLE;
    } else if (!facts.empty) {
        constexpr int LAST = GradientSums64::RANGED - 1;
        Ranged apart = multiply(gradient.mean, gradient.over_total(found.sums[LAST - 1]));
        Ranged db = add(gradient.over_total(found.sums[LAST]), negated(apart));
        store_words(multiply(db, ranged(facts.log_n)), &terms[0], &terms[1]);
        store_words(db, &terms[2], &terms[3]);
    }
    UNROLL
    for (int i = 0; i < 4; ++i) call.terms[i * call.rows + row] = terms[i];
}

template <bool ON_CHIP>
DEVICE void evaluate_rows(const Call& call, int rank) {
    RowGroup group(static_cast<int>(call.lanes), rank);
    long long first_row = block_index() / PARTS * call.rows_per_block;
    long long row = first_row + group.slot;
    Entries64<ON_CHIP> entries(call, group, first_row);

    Extrema64 extrema(entries, group);
    RowFacts64 facts(call, row < call.rows ? row : 0, extrema);
    GradientSums64 sums;
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        auto w = entries.vector(m);
        Pair x = entries.logits(w), dy = entries.cotangents(w);
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) sums.see(facts, x.value[i], dy.value[i]);
    }
    sums.across(group);

    // Rows without a result of their own need a sum that can be divided by.
    if (facts.empty || facts.invalid) sums.total = {1.0, 0.0};
    Gradient64 gradient(call, facts, sums);
    if (FUNCTION == SSMAX && group.part == 0 && group.lane == 0 && row < call.rows) {
        store_terms(call, row, facts, sums, gradient);
    }
    auto output = entries.output(row);
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        auto w = entries.vector(m);
        Pair x = entries.logits(w), dy = entries.cotangents(w), results;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            results.value[i] = gradient.gradient(x.value[i], dy.value[i]);
        }
        entries.store(output, w, results);
    }
    entries.finish(first_row);
}

#endif
