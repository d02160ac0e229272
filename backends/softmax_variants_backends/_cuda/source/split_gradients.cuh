// Split rows: a part by itself, the row's sums from its parts, and a part of the results. A part
// knows only its own pivot v', smallest and largest logit; with f = exp(c (v' - v)) its sums count
//     f sum e ...      and      f (sum e ... (x - v') + (v' - o) sum e ...)     for x - o.

#if !WIDE && GRADIENTS && PARTS == 0

DEVICE PartSums sums_of_part(const Call& call, const RowGroup& group, const Regions& regions,
                             const RowFacts& facts) {
    float size;
    GradientSums found = sums_of_vectors<false, false>(call, group, regions, facts, size);
    PartSums sums;
    sums.value[TOTAL] = found.total;
    sums.value[1] = found.weighted;
    sums.value[2] = FUNCTION == SSMAX ? found.spread : found.plain;
    sums.value[3] = FUNCTION == SSMAX ? found.product : found.at_smallest;
    sums.value[4] = found.at_largest;
    return sums;
}

struct RowSums {
    GradientSums sums;

    DEVICE void add(const RowFacts& row, const RowFacts& own, const PartSums& part,
                    double power) {
        sums.total += power * part.value[TOTAL];
        if (FUNCTION == SOFTMAX) {
            sums.weighted += power * part.value[1];
        } else if (FUNCTION == SSMAX) {
            double shift = own.pivot - row.pivot;
            sums.weighted += power * part.value[1];
            sums.spread += power * (part.value[2] + shift * part.value[TOTAL]);
            sums.product += power * (part.value[3] + shift * part.value[1]);
        } else {
            // Of a part, lambda is its own smallest logit, or 0 in the plain form.
            double shift = static_cast<double>(own.lower) - static_cast<double>(row.lower);
            sums.weighted += power * (part.value[1] + shift * part.value[2]);
            sums.plain += power * part.value[2];
            if (own.smallest == row.smallest) {
                sums.at_smallest += static_cast<int>(part.value[3]);
            }
            if (own.largest == row.largest) sums.at_largest += static_cast<int>(part.value[4]);
        }
    }
    DEVICE void across(RowGroup& group) { sums.across(group); }
    DEVICE PartSums stored() const {
        PartSums stored;
        stored.value[TOTAL] = sums.total;
        stored.value[1] = sums.weighted;
        stored.value[2] = FUNCTION == SSMAX ? sums.spread : sums.plain;
        stored.value[3] = FUNCTION == SSMAX ? sums.product : sums.at_smallest;
        stored.value[4] = sums.at_largest;
        return stored;
    }
};

DEVICE GradientSums of_stored(const PartSums& stored) {
    GradientSums sums;
    sums.total = stored.value[TOTAL];
    sums.weighted = stored.value[1];
    if (FUNCTION == SSMAX) {
        sums.spread = stored.value[2];
        sums.product = stored.value[3];
    } else {
        sums.plain = stored.value[2];
        sums.at_smallest = static_cast<int>(stored.value[3]);
        sums.at_largest = static_cast<int>(stored.value[4]);
    }
    return sums;
}

DEVICE void finish_row(const Call& call, const RowFacts& facts, const PartSums& sums,
                       long long row) {
    if (FUNCTION == SSMAX) store_terms(call, Gradients(call, facts, of_stored(sums)), row);
}

DEVICE void write_part(const Call& call, const RowGroup& group, const Regions& regions,
                       const RowFacts& facts, const PartSums& sums, const Output& output) {
    int vectors = vectors_of(call);
    Gradients row(call, facts, of_stored(sums));
    if (row.facts.invalid) {
        write_invalid(group, vectors, regions.row(0), output);
    } else {
        write_again<false>(vectors, group, regions, row, output);
    }
}

#endif
