// Weights of rows of logits up to 32 bits: y = exp(c (x - v)) (x - lambda) / (S D).
//
// Evaluated in binary64 and rounded once. Errors of float32, relative: 2^-45 of exp (see there, and
// NEAR; an entry's own and the sum's), 2^-52 of each of S (a tree), 1 / S, the gate and the
// products: under 2^-43, which is 2^-19 units. Of the 16-bit types, those of exp, see there: at most
// 2^-19.5 units.
//
// The exponentials, gated, are kept in shared memory from the sum to the writing where there is
// room, else evaluated again. 16-bit results in binary64 would take longer than memory does: the
// exponentials are kept as floats and scaled as such. Where 1 +- WINDOW times the result round
// differently, the entry is evaluated in binary64 once more, after all others have been written: so
// all bits are those of binary64, and nobody waits.

#if !WIDE && !GRADIENTS

struct Weights {
    RowFacts facts;
    double factor;   // 1 / (S D)

    DEVICE Weights(const RowFacts& row, double total) : facts(row) {
        factor = row.empty || row.span == 0.0 ? 0.0 : 1.0 / total / row.span;
    }

    DEVICE double weight(float x) const {
        if (facts.near) {
            x = larger(x, facts.floor);
            return gated<true>(facts, x, power<true>(facts, x)) * factor;
        }
        return gated<false>(facts, x, power<false>(facts, x)) * factor;
    }

    // LIFT, which the factor undoes, times exp. A row is near or not, see there; entries of one
    // that is are not below its floor.
    template <bool IS_NEAR>
    DEVICE static double power(const RowFacts& facts, float x) {
        return IS_NEAR ? facts.near_power(x) : exponential(facts.argument<false>(x));
    }

    // What is kept of an entry: times the gate's numerator.
    template <bool IS_NEAR>
    DEVICE static double gated(const RowFacts& facts, float x, double power) {
        if (FUNCTION != SA_SOFTMAX) return power;
        return power * (IS_NEAR ? facts.near_gate_numerator(x)
                                : facts.gate_numerator<false>(x));
    }
};

#if STORAGE_BITS == 16

// Roundings on the way: of what is kept, of the factor, of the product; each is 2^-24 at most, and
// powers of it are left for. (Products below the normal range of float, which are subnormal
// bfloat16 numbers, too, have an error of 2^-150 whatever the window is: 2^-17 of their units.)
constexpr double WINDOW = 0x1.801p-23;

// Whether no step leaves the range of float: LIFT keeps the factor far from the ends of the range,
// unless the gate's D is there.
DEVICE bool floats_suffice(const RowFacts& facts) {
    return FUNCTION != SA_SOFTMAX || (facts.span >= 0x1p-20 && facts.largest <= 0x1p40f &&
                                      facts.smallest >= -0x1p40f);
}

struct FastWeights {
    float above, below;   // the factor times 1 +- WINDOW

    DEVICE explicit FastWeights(const Weights& weights)
        : above(round_to_float(weights.factor * (1.0 + WINDOW))),
          below(round_to_float(weights.factor * (1.0 - WINDOW))) {}
};

// One vector of weights from what is kept of it in two others; `unsure` gets bits where 1 + WINDOW
// and 1 - WINDOW times a weight round differently.
DEVICE Vector fast_vector(const FastWeights& fast, const Vector& first, const Vector& second,
                          Vector& unsure) {
    Vector result;
    UNROLL
    for (int i = 0; i < 4; ++i) {
        float a = from_bits(i < 2 ? first.word[2 * i] : second.word[2 * i - 4]);
        float b = from_bits(i < 2 ? first.word[2 * i + 1] : second.word[2 * i - 3]);
        result.word[i] = STORAGE::pack(a * fast.above, b * fast.above);
        unsure.word[i] = result.word[i] ^ STORAGE::pack(a * fast.below, b * fast.below);
    }
    return result;
}

DEVICE bool any_bit(const Vector& bits) {
    return (bits.word[0] | bits.word[1] | bits.word[2] | bits.word[3]) != 0;
}

// Write the unsure entries of vector w once more, evaluated in binary64. (No absent one is unsure:
// its weight is 0. So the entries may come from where no mask is applied.)
DEVICE void write_unsure(const Weights& weights, const Vector& unsure, const Bits* entries, int w,
                         const Output& output) {
    Word left = 0;   // bit i: entry i
    UNROLL
    for (int i = 0; i < 4; ++i) {
        left |= (unsure.word[i] & 0xffff ? 1u : 0u) << (2 * i);
        left |= (unsure.word[i] >> 16 ? 2u : 0u) << (2 * i);
    }
#pragma unroll 1
    while (left != 0) {
        int i = lowest_bit(left);
        left &= left - 1;
        float weight = sticky_float(weights.weight(STORAGE::widen(entries[i])));
        output.store_one(w, i, static_cast<Bits>(STORAGE::pack(weight, 0.0f)));
    }
}

#endif

// What is kept of vector w: floats of 16-bit weights, else binary64 numbers in the place of the
// logits, which are not needed any more, and one more.
DEVICE void keep(const Call& call, const Regions& regions, int w,
                 const double (&kept)[PER_VECTOR]) {
#if STORAGE_BITS == 16
    regions.kept(0)[w] = rounded_to_floats(kept, 0);
    regions.kept(1)[w] = rounded_to_floats(kept, 4);
#else
    Doubles pairs[2] = {{{kept[0], kept[1]}}, {{kept[2], kept[3]}}};
    regions.row(0)[w] = pairs[0].vector;
    regions.kept(0)[w] = pairs[1].vector;
#endif
}

// The sum of the exponentials over this thread's vectors.
template <bool KEPT, bool IS_NEAR>
DEVICE double sum_of_vectors(const Call& call, const RowGroup& group, const Regions& regions,
                             const RowFacts& facts) {
    double total = 0.0;
    int vectors = vectors_of(call);
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Vector entries = regions.row(0)[w];
        Floats x(IS_NEAR ? facts.raised(entries) : entries);
        double power[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            power[i] = Weights::power<IS_NEAR>(facts, x.value[i]);
        }
        total += tree(power);
        if (KEPT) {
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) {
                power[i] = Weights::gated<IS_NEAR>(facts, x.value[i], power[i]);
            }
            keep(call, regions, w, power);
        }
    }
    return total;
}

// Write this thread's vectors from the logits.
DEVICE void write_again(const Call& call, const RowGroup& group, const Regions& regions,
                        const Weights& weights, const Output& output) {
    int vectors = vectors_of(call);
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Floats x(regions.row(0)[w]);
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) result[i] = weights.weight(x.value[i]);
        output.store(w, rounded(result));
    }
}

#if STORAGE_BITS == 16

DEVICE void write_kept(const Call& call, const Span& span, long long index,
                       const RowGroup& group, const Regions& regions, const Weights& weights,
                       const Output& output) {
    FastWeights fast(weights);
    int vectors = vectors_of(call);
    Word unsure = 0;   // bit m: vector m
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Vector bits;
        Vector result =
            fast_vector(fast, regions.kept(0)[w], regions.kept(1)[w], bits);
        Entries entries;   // which the results may take the place of
        if (!WHOLE) entries.vector = regions.row(0)[w];
        output.store(w, result);
        if (!any_bit(bits)) continue;
        if (WHOLE) {
            unsure |= 1u << m;
        } else {
            write_unsure(weights, bits, entries.bits, w, output);
        }
    }
#if VECTORS > 0
    // Few threads have an entry that is unsure, and no other waits for them.
    if (unsure == 0) return;
#pragma unroll 1
    for (int m = 0; m < vectors; ++m) {
        if ((unsure >> m & 1) == 0) continue;
        int w = m * group.lanes + group.lane;
        // In shared memory the entries are no more.
        const Bits* entries = static_cast<const Bits*>(call.x) +
                              row_offset(call, call.x_strides, index) + span.start;
        Vector bits;
        fast_vector(fast, regions.kept(0)[w], regions.kept(1)[w], bits);
        write_unsure(weights, bits, entries + w * PER_VECTOR, w, output);
    }
#endif
}

#else

DEVICE void write_kept(const Call& call, const Span&, long long, const RowGroup& group,
                       const Regions& regions, const Weights& weights, const Output& output) {
    int vectors = vectors_of(call);
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Doubles pairs[2];
        pairs[0].vector = regions.row(0)[w];
        pairs[1].vector = regions.kept(0)[w];
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            result[i] = pairs[i / 2].value[i & 1] * weights.factor;
        }
        output.store(w, rounded(result));
    }
}

#endif

#if PARTS > 0

// One row of each group, from its logits to its weights.
DEVICE void evaluate_rows(const Call& call, RowGroup& group, const Regions& regions,
                          const Span& span, const Given& given, long long first_row) {
    int vectors = vectors_of(call);
    long long index = first_row + group.slot;
    Extrema extrema;
    extrema.see(group, vectors, regions.row(0), nullptr);
    extrema.across(group);
    RowFacts facts(call, given, extrema);
    bool kept = call.kept != 0;
#if STORAGE_BITS == 16
    // Where results replace the logits, these cannot be read again.
    kept = kept && floats_suffice(facts) && (!WHOLE || call.x != call.out);
#endif
    double total[1] = {1.0};
    if (facts.invalid) {
        // Its entries are not evaluated.
    } else if (kept) {
        total[0] = facts.near ? sum_of_vectors<true, true>(call, group, regions, facts)
                              : sum_of_vectors<true, false>(call, group, regions, facts);
    } else {
        total[0] = facts.near ? sum_of_vectors<false, true>(call, group, regions, facts)
                              : sum_of_vectors<false, false>(call, group, regions, facts);
    }
    group.sum(total);

    Output output(call, regions, span, index);
    Weights weights(facts, total[0]);
    if (facts.invalid) {
        write_invalid(group, vectors, regions.row(0), output);
    } else if (kept) {
        write_kept(call, span, index, group, regions, weights, output);
    } else {
        write_again(call, group, regions, weights, output);
    }
    store_entries(call, group, regions, span, first_row);
}

#endif

#endif
