// The kernel of rows that a block, or a cluster of PARTS blocks, holds. Each module has one.

#if !WIDE && PARTS > 0
DEVICE void rows_on_chip(const Call& call, int rank) {
    RowGroup group(call, rank);
    Regions regions(call, group);
    Span span(call, group);
    long long first_row = block_index() / PARTS * call.rows_per_block;
    bool meet = start_rows(call, group, regions, span, first_row);
    Given given = given_for(call, first_row + group.slot);
    finish_rows(meet);
    apply_mask(call, group, regions, span, first_row + group.slot);
    evaluate_rows(call, group, regions, span, given, first_row);
}
#endif

#if PARTS == 1
KERNEL rows(CALL_ARGUMENT(Call) call) { rows_on_chip(call, 0); }
#elif PARTS == 2
KERNEL CLUSTER(2) rows_2(CALL_ARGUMENT(Call) call) { rows_on_chip(call, cluster_rank()); }
#elif PARTS == 4
KERNEL CLUSTER(4) rows_4(CALL_ARGUMENT(Call) call) { rows_on_chip(call, cluster_rank()); }
#elif PARTS == 8
KERNEL CLUSTER(8) rows_8(CALL_ARGUMENT(Call) call) { rows_on_chip(call, cluster_rank()); }
#elif PARTS == 16
KERNEL CLUSTER(16) rows_16(CALL_ARGUMENT(Call) call) { rows_on_chip(call, cluster_rank()); }
#endif
