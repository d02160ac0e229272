// Weights of binary64: faithful, but for what the cancelling scale of SSMax leaves.
//
// The exponentials have a relative error of 2^-57.5, all else is done in two words and rounded
// once. They are taken twice, once for the sum and once for the weights: a row is kept as it came.

#if WIDE && !GRADIENTS

struct Weights64 {
    const RowFacts64& facts;
    Ranged factor;   // 1 / (S D)

    DEVICE Weights64(const RowFacts64& row, Words total)
        : facts(row), factor(reciprocal(ranged(total))) {
        if (FUNCTION == SA_SOFTMAX) factor = multiply(factor, facts.inverse);
    }

    DEVICE double weight(double x) const {
        if (x == -INFINITY_DOUBLE) return 0.0;
        if (facts.invalid) return NAN_DOUBLE;
        Power power(facts, x);
        if (!power.alive || facts.flat) return 0.0;
        Words value = multiply(power.value.words, factor.words);
        int exponent = factor.exponent - power.value.halvings;
        if (FUNCTION != SA_SOFTMAX) return rounded(Ranged{value, exponent});
        // Not rounded before the gate: it may underflow where their product does not.
        Ranged gate = facts.numerator(x);
        return rounded(Ranged{multiply(value, gate.words), exponent + gate.exponent});
    }
};

template <bool ON_CHIP>
DEVICE void evaluate_rows(const Call& call, int rank) {
    RowGroup group(static_cast<int>(call.lanes), rank);
    long long first_row = block_index() / PARTS * call.rows_per_block;
    long long row = first_row + group.slot;
    Entries64<ON_CHIP> entries(call, group, first_row);

    Extrema64 extrema(entries, group);
    RowFacts64 facts(call, row < call.rows ? row : 0, extrema);
    Words total[1] = {{0.0, 0.0}};
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        Pair x = entries.logits(entries.vector(m));
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            total[0] = sum_of(total[0], Power(facts, x.value[i]).true_words());
        }
    }
    sum_over_row(group, total);

    if (facts.empty || facts.invalid) total[0] = {1.0, 0.0};
    Weights64 weights(facts, total[0]);
    auto output = entries.output(row);
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        auto w = entries.vector(m);
        Pair x = entries.logits(w), results;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) results.value[i] = weights.weight(x.value[i]);
        entries.store(output, w, results);
    }
    entries.finish(first_row);
}

#endif
