// The kernel of rows that a block, or a cluster of PARTS blocks, holds. Each module has one.

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
