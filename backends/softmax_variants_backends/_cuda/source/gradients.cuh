// Gradients of rows of logits up to 32 bits, from x and dy, each read once.
//
//     dx_j = c p_j (r_j dy_j - G)                                  every variant
//          + dy_j p_j / D                                          gates
//          + lambda_j (G - P) / D - mu_j G / D                     minmax, normalized
//          - lambda_j P                                            shifted
//
// with p = exp / S, y = r p, G = sum dy y, P = sum dy p; lambda_j and mu_j are the entry's shares
// in the derivatives of the smallest and the largest logit. The row's term of db is sum dy p (x -
// v) - G sum p (x - v).
//
// All sums are in binary64: their errors, 2^-44 of the sums of magnitudes, are far below what
// 32-bit results resolve. 16-bit results are written in float, with errors of a few 2^-24 of the
// terms that cancel, where no step leaves its range; else in binary64, too.

#if !WIDE && GRADIENTS

// What a row's threads find together.
struct GradientSums {
    double total = 0.0;      // sum e, with e = LIFT * exp
    double weighted = 0.0;   // sum e dy; for gates sum e dy (x - lambda)
    double plain = 0.0;      // gates: sum e dy
    double spread = 0.0;     // SSMax: sum e (x - v)
    double product = 0.0;    // SSMax: sum e dy (x - v)
    int at_smallest = 0, at_largest = 0;   // gates: entries equal to the extrema

    DEVICE void join(const GradientSums& other) {
        total += other.total;
        weighted += other.weighted;
        plain += other.plain;
        spread += other.spread;
        product += other.product;
        at_smallest += other.at_smallest;
        at_largest += other.at_largest;
    }

    DEVICE void across(RowGroup& group) {
        if (FUNCTION == SOFTMAX) {
            double values[2] = {total, weighted};
            group.sum(values);
            total = values[0];
            weighted = values[1];
        } else if (FUNCTION == SSMAX) {
            double values[4] = {total, weighted, spread, product};
            group.sum(values);
            total = values[0];
            weighted = values[1];
            spread = values[2];
            product = values[3];
        } else {
            double values[5] = {total, weighted, plain, static_cast<double>(at_smallest),
                                static_cast<double>(at_largest)};
            group.sum(values);
            total = values[0];
            weighted = values[1];
            plain = values[2];
            at_smallest = static_cast<int>(values[3]);
            at_largest = static_cast<int>(values[4]);
        }
    }
};

// What the sums make of a row, and its gradients.
struct Gradients {
    RowFacts facts;
    double factor;            // c / S, which has LIFT in it as e has
    double mean;              // G
    double inverse_span;      // 1 / D
    double at_smallest, at_largest;   // what is added at the extrema
    double term_s, term_b;    // of ds and db

    DEVICE Gradients(const Call& call, const RowFacts& row, const GradientSums& sums)
        : facts(row), inverse_span(1.0), at_smallest(0.0), at_largest(0.0),
          term_s(0.0), term_b(0.0) {
        double inverse = row.empty ? 0.0 : 1.0 / sums.total;
        factor = row.scale * inverse;
        mean = sums.weighted * inverse;
        // A dy that is not finite reaches the sum, since no e is 0.
        double seen = FUNCTION == SA_SOFTMAX ? sums.plain : sums.weighted;
        facts.invalid = !row.empty && (row.invalid || !(seen - seen == 0.0));
        if (FUNCTION == SSMAX) {
            term_b = (sums.product - mean * sums.spread) * inverse;
            term_s = term_b * row.log_n;
            if (row.empty) term_s = term_b = 0.0;
            if (facts.invalid) term_s = term_b = NAN_DOUBLE;
        }
        if (FUNCTION == SA_SOFTMAX) gate(call, sums, inverse);
    }

    DEVICE void gate(const Call& call, const GradientSums& sums, double inverse) {
        bool ratio = call.form == FORM_MINMAX || call.form == FORM_NORMALIZED;
        bool moving = call.form != FORM_PLAIN && !call.detach_extrema;
        bool single = sums.at_smallest == 1 && facts.smallest == facts.largest;
        if (facts.span == 0.0 || (moving && single)) {
            // By convention, and where the one entry's weight does not depend on it.
            factor = mean = 0.0;
            return;
        }
        inverse_span = 1.0 / facts.span;
        mean *= inverse_span;
        if (!moving || facts.empty) return;
        double plain_mean = sums.plain * inverse;
        // An appended 0 has a share where it is an extremum, too, and all of it beyond.
        bool appended = call.form == FORM_NORMALIZED;
        double low = sums.at_smallest + (appended && facts.smallest == 0.0f ? 1 : 0);
        double high = sums.at_largest + (appended && facts.largest == 0.0f ? 1 : 0);
        bool has_low = !(appended && facts.smallest > 0.0f);
        bool has_high = ratio && !(appended && facts.largest < 0.0f);
        double pull = ratio ? (mean - plain_mean) * inverse_span : -plain_mean;
        at_smallest = has_low ? pull / low : 0.0;
        at_largest = has_high ? -mean * inverse_span / high : 0.0;
    }

    template <bool ALL>
    DEVICE double gradient(float x, float dy) const {
        double power = facts.power<ALL>(facts.argument<ALL>(x));
        double cotangent = static_cast<double>(dy);
        if (FUNCTION != SA_SOFTMAX) return power * (cotangent - mean) * factor;
        double gate = facts.gate_numerator<ALL>(x) * inverse_span;
        double result = fma(cotangent, gate, -mean) + cotangent * inverse_span;
        result = power * result * factor;
        if (x == facts.smallest) result += at_smallest;
        if (x == facts.largest) result += at_largest;
        return result;
    }
};

#if STORAGE_BITS == 16

struct FastGradients {
    float factor, mean, lower, inverse_span, smallest, largest, at_smallest, at_largest;
    bool possible;   // whether no step leaves the range of float

    // `size` is the largest |dy| of this thread. Powers are at most 2^64, and what multiplies them
    // at most 2^42; products below 2^-126 end below 2^-166 once the factor is in.
    DEVICE FastGradients(const Gradients& row, float size)
        : factor(round_to_float(row.factor)), mean(round_to_float(row.mean)),
          lower(row.facts.lower), inverse_span(round_to_float(row.inverse_span)),
          smallest(row.facts.smallest), largest(row.facts.largest),
          at_smallest(round_to_float(row.at_smallest)),
          at_largest(round_to_float(row.at_largest)) {
        const RowFacts& facts = row.facts;
        possible = size <= 0x1p20f && fabs(row.mean) <= 0x1p40;
        if (FUNCTION == SSMAX) {
            double scale = fabs(facts.scale);
            possible = possible && scale <= 0x1p20 && (scale >= 0x1p-20 || scale == 0.0);
        }
        if (FUNCTION == SA_SOFTMAX) {
            possible = possible && facts.span >= 0x1p-20 && facts.largest <= 0x1p20f &&
                       facts.smallest >= -0x1p20f;
        }
    }

    template <bool ALL>
    DEVICE float gradient(float x, float dy, float power) const {
        if (FUNCTION != SA_SOFTMAX) return power * (dy - mean) * factor;
        float gate = ((!ALL && is_absent(x) ? lower : x) - lower) * inverse_span;
        float result = power * (fmaf(dy, gate, -mean) + dy * inverse_span) * factor;
        if (x == smallest) result += at_smallest;
        if (x == largest) result += at_largest;
        return result;
    }
};

template <bool ALL>
DEVICE Vector fast_vector(const FastGradients& fast, const Vector& entries,
                          const Vector& cotangents, const Vector& first, const Vector& second) {
    Floats x(entries), dy(cotangents);
    Vector vector;
    UNROLL
    for (int i = 0; i < 4; ++i) {
        float a = from_bits(i < 2 ? first.word[2 * i] : second.word[2 * i - 4]);
        float b = from_bits(i < 2 ? first.word[2 * i + 1] : second.word[2 * i - 3]);
        vector.word[i] =
            STORAGE::pack(fast.gradient<ALL>(x.value[2 * i], dy.value[2 * i], a),
                          fast.gradient<ALL>(x.value[2 * i + 1], dy.value[2 * i + 1], b));
    }
    return vector;
}

#endif

// The sums over this thread's vectors; e is kept as floats where those are used, and `size` becomes
// the largest |dy| where one could be too large for them.
template <bool KEPT, bool ALL>
DEVICE GradientSums sums_of_vectors(const Call& call, const RowGroup& group,
                                    const Regions& regions, const RowFacts& facts,
                                    float& size) {
    // Of even and odd entries: chains of fused multiply-adds, which take fewer instructions and
    // registers than trees of products.
    GradientSums halves[2];
#if STORAGE_BITS == 16
    Word sizes = 0;
#endif
    int vectors = vectors_of(call);
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Vector cotangents = regions.row(1)[w];
        Floats x(regions.row(0)[w]), dy(cotangents);
        double power[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            GradientSums& sums = halves[i & 1];
            double difference = facts.difference<ALL>(x.value[i], FUNCTION == SSMAX);
            power[i] = facts.power<ALL>(facts.argument<ALL>(x.value[i], difference));
            double cotangent = static_cast<double>(dy.value[i]);
            sums.total += power[i];
            if (FUNCTION == SOFTMAX) {
                sums.weighted = fma(power[i], cotangent, sums.weighted);
                continue;
            }
            double weighted = power[i] * cotangent;
            if (FUNCTION == SSMAX) {
                sums.weighted += weighted;
                sums.spread = fma(power[i], difference, sums.spread);
                sums.product = fma(weighted, difference, sums.product);
            } else {
                sums.plain += weighted;
                sums.weighted =
                    fma(weighted, facts.gate_numerator<ALL>(x.value[i]), sums.weighted);
                sums.at_smallest += x.value[i] == facts.smallest ? 1 : 0;
                sums.at_largest += x.value[i] == facts.largest ? 1 : 0;
            }
        }
#if STORAGE_BITS == 16
        if (KEPT) {
            regions.kept(0)[w] = rounded_to_floats(power, 0);
            regions.kept(1)[w] = rounded_to_floats(power, 4);
            UNROLL
            for (int i = 0; i < 4; ++i) {
                sizes = STORAGE::larger(sizes, cotangents.word[i] & 0x7fff7fffu);
            }
        }
#endif
    }
#if STORAGE_BITS == 16
    size = larger(STORAGE::widen(sizes & 0xffff), STORAGE::widen(sizes >> 16));
#endif
    GradientSums sums = halves[0];
    sums.join(halves[1]);
    return sums;
}

// Write this thread's vectors, evaluated in binary64 throughout.
template <bool ALL>
DEVICE void write_again(int vectors, const RowGroup& group, const Regions& regions,
                        const Gradients& row, const Output& output) {
    const Vector *x = regions.row(0), *dy = regions.row(1);
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Floats entries(x[w]), cotangents(dy[w]);
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            result[i] = row.gradient<ALL>(entries.value[i], cotangents.value[i]);
        }
        output.store(w, rounded(result));
    }
}

template <bool ALL>
DEVICE void write_vectors(const Call& call, const RowGroup& group, const Regions& regions,
                          const Gradients& row, float size, const Output& output) {
    int vectors = vectors_of(call);
#if STORAGE_BITS == 16
    FastGradients fast(row, size);
    if (call.kept && fast.possible) {
        const Vector *x = regions.row(0), *dy = regions.row(1);
#pragma unroll 1
        for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
            output.store(w, fast_vector<ALL>(fast, x[w], dy[w], regions.kept(0)[w],
                                             regions.kept(1)[w]));
        }
        return;
    }
#endif
    write_again<ALL>(vectors, group, regions, row, output);
}

DEVICE void store_terms(const Call& call, const Gradients& row, long long index) {
    call.terms[index] = row.term_s;
    call.terms[call.rows + index] = row.term_b;
}

#if PARTS > 0

// One row of each group, from x and dy to its gradients.
DEVICE void evaluate_rows(const Call& call, RowGroup& group, const Regions& regions,
                          const Span& span, const Given& given, long long first_row) {
    long long row = first_row + group.slot;
    Extrema extrema;
    extrema.see(group, vectors_of(call), regions.row(0), regions.row(1));
    extrema.across(group);
    RowFacts facts(call, given, extrema);
    float size = 0.0f;
    GradientSums sums;
    if (call.kept) {
        sums = facts.all ? sums_of_vectors<true, true>(call, group, regions, facts, size)
                         : sums_of_vectors<true, false>(call, group, regions, facts, size);
    } else {
        sums = facts.all ? sums_of_vectors<false, true>(call, group, regions, facts, size)
                         : sums_of_vectors<false, false>(call, group, regions, facts, size);
    }
    sums.across(group);

    Gradients gradients(call, facts, sums);
    if (FUNCTION == SSMAX && group.lane == 0 && group.part == 0 && row < call.rows) {
        store_terms(call, gradients, row);
    }
    Output output(call, regions, span, row);
    if (gradients.facts.invalid) {
        write_invalid(group, vectors_of(call), regions.row(0), output);
    } else if (facts.all) {
        write_vectors<true>(call, group, regions, gradients, size, output);
    } else {
        write_vectors<false>(call, group, regions, gradients, size, output);
    }
    store_entries(call, group, regions, span, first_row);
}

#endif

#endif
