// Rows that no cluster can hold, and all longer ones where there are no clusters.
//
// Each part is summed by one block with the part's own pivot (split_parts), the parts' sums are
// brought to the row's pivot (split_rows), and each part is read again and written (split_write):
// x is read twice, dy twice, the result written once. Rows are cut by their length only.
//
// SSMax's scale depends on the number of present entries, which is known after all have been read.
// Parts are summed for all of them being present; rows where that was wrong are summed again
// (stage 1), the others are left alone.

#if !WIDE && PARTS == 0

// Records of a row: of its parts, and of itself.
DEVICE double* record_of(const Call& call, long long row, long long part) {
    return call.records + (row * (call.parts + 1) + part) * RECORD_DOUBLES;
}

// The facts of the row as its parts were summed, or of a part, from extrema.
DEVICE RowFacts facts_for_count(const Call& call, const Given& given, Extrema extrema,
                                long long count) {
    if (FUNCTION == SSMAX && extrema.count > 0) extrema.count = static_cast<int>(count);
    return RowFacts(call, given, extrema);
}

DEVICE long long assumed_count(const Call& call, long long row) {
    if (call.stage == 0) return call.length;
    return Record::load(record_of(call, row, call.parts)).extrema.count;
}

DEVICE bool summed_already(const Call& call, long long row) {
    return call.stage == 1 && assumed_count(call, row) == call.length;
}

KERNEL split_parts(CALL_ARGUMENT(Call) call) {
    long long row = block_index() / call.parts;
    if (summed_already(call, row)) return;
    RowGroup group(call, static_cast<int>(block_index() % call.parts));
    Regions regions(call, group);
    Span span(call, group);
    finish_rows(start_rows(call, group, regions, span, row));
    apply_mask(call, group, regions, span, row);

    Record record;
    record.extrema.see(group, vectors_of(call), regions.row(0), regions.row(1));
    record.extrema.across(group);
    RowFacts facts = facts_for_count(call, given_for(call, row), record.extrema,
                                     assumed_count(call, row));
    record.sums = sums_of_part(call, group, regions, facts);
    group.sum(record.sums.value);
    if (group.lane == 0) record.store(record_of(call, row, group.part));
}

KERNEL split_rows(CALL_ARGUMENT(Call) call) {
    long long row = block_index();
    if (summed_already(call, row)) return;
    RowGroup group(block_threads(), 0);
    int parts = static_cast<int>(call.parts);
    Record whole;
    for (int part = group.lane; part < parts; part += group.lanes) {
        whole.extrema.join(Record::load(record_of(call, row, part)).extrema);
    }
    whole.extrema.across(group);
    long long assumed = assumed_count(call, row);
    Given given = given_for(call, row);
    RowFacts facts = facts_for_count(call, given, whole.extrema, assumed);
    RowSums sums;
    for (int part = group.lane; part < parts; part += group.lanes) {
        Record own = Record::load(record_of(call, row, part));
        RowFacts of_part = facts_for_count(call, given, own.extrema, assumed);
        if (of_part.empty || facts.invalid) continue;
        double argument = facts.scale * (of_part.pivot - facts.pivot);
        sums.add(facts, of_part, own.sums, facts.power<false>(argument) * (1.0 / LIFT));
    }
    sums.across(group);
    whole.sums = sums.stored();
    if (group.lane == 0) {
        // Not yet right where the assumption was not: stage 1 follows.
        finish_row(call, facts, whole.sums, row);
        whole.store(record_of(call, row, parts));
    }
}

KERNEL split_write(CALL_ARGUMENT(Call) call) {
    long long row = block_index() / call.parts;
    RowGroup group(call, static_cast<int>(block_index() % call.parts));
    Regions regions(call, group);
    Span span(call, group);
    finish_rows(start_rows(call, group, regions, span, row));
    apply_mask(call, group, regions, span, row);
    if (GRADIENTS) {
        // Sets dy to 0 where x is absent.
        Extrema().see(group, vectors_of(call), regions.row(0), regions.row(1));
    }
    Record whole = Record::load(record_of(call, row, call.parts));
    RowFacts facts(call, given_for(call, row), whole.extrema);
    write_part(call, group, regions, facts, whole.sums, Output(call, regions, span, row));
    store_entries(call, group, regions, span, row);
}

#endif
