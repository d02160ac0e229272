// The threads that share a row, and reductions over them.
//
// A row belongs to `lanes` threads of each of PARTS blocks, a cluster (of one block where PARTS is
// 1 or, for split rows, 0). Every reduction is the same tree for a given length: a butterfly over
// the lanes of a warp, the warps in order, the parts in order. All threads of a row end with the
// same bits. Shared memory begins with the scratch space that this needs; two buffers take turns,
// so that one barrier a reduction is enough: who writes the buffer of reduction k + 2 has passed
// the barrier of k + 1, which all reach after reading that of k.

// What a module may know when it is compiled.
constexpr bool WHOLE = VECTORS > 0;

// As in _plan.py: a module that knows its rows takes less, so that more blocks have room.
constexpr int MAX_VALUES = 6;   // of one reduction
constexpr int MAX_WARPS = !WHOLE ? 32 : LANES > 256 ? LANES / 32 : 8;   // of a block
constexpr int MAX_PARTS = !WHOLE ? 16 : PARTS > 1 ? PARTS : 0;          // of a cluster
constexpr int SCRATCH_DOUBLES = (MAX_WARPS + MAX_PARTS) * MAX_VALUES;   // of each buffer
constexpr int SCRATCH_BYTES = ((2 * SCRATCH_DOUBLES + 2) * 8 + 255) / 256 * 256;   // and mailboxes

struct Sum {
    template <typename T>
    DEVICE T operator()(T a, T b) const { return a + b; }
};
struct LargerOrNaN {
    DEVICE float operator()(float a, float b) const { return larger_or_nan(a, b); }
};
struct SmallerOrNaN {
    DEVICE float operator()(float a, float b) const { return smaller_or_nan(a, b); }
};

// Over the lanes of a row that lie in one warp. The butterfly gives all lanes the same bits, since
// every combination here commutes.
template <typename T, typename Combine>
DEVICE T reduce_warp(T value, int lanes, Combine combine) {
    UNROLL
    for (int mask = 16; mask > 0; mask >>= 1) {
        if (mask < lanes) value = combine(value, exchange(value, mask));
    }
    return value;
}

DEVICE int lanes_of(const Call& call) {
    return LANES > 0 ? LANES : static_cast<int>(call.lanes);
}
DEVICE int vectors_of(const Call& call) {
    return VECTORS > 0 ? VECTORS : static_cast<int>(call.vectors);
}

struct RowGroup {
    int lanes;       // threads of this block that share the row
    int lane;        // this thread among them
    int slot;        // which of the block's rows
    int part;        // which of the row's blocks this is
    int reductions;  // so far

    DEVICE RowGroup(const Call& call, int row_part) : RowGroup(lanes_of(call), row_part) {}
    DEVICE RowGroup(int row_lanes, int row_part)
        : lanes(row_lanes),
          lane(thread_index() & (row_lanes - 1)),
          slot(thread_index() / row_lanes),
          part(row_part),
          reductions(0) {
#if PARTS > 1
        if (thread_index() == 0) {
            open_mail(mailbox());
            open_mail(mailbox() + 1);
        }
        // The other half of this meeting is before the first mail.
        cluster_arrive();
#endif
    }

    // Whether exchanges beyond a warp are needed.
    DEVICE bool wide() const { return lanes > 32 || PARTS > 1; }

    // Values that are the same in a warp, from all warps and parts of the row:
    // value[i] = combine of theirs. `combine(i, a, b)`.
    template <int COUNT, typename Combine>
    DEVICE void across_warps(double (&value)[COUNT], Combine combine) {
        static_assert(COUNT <= MAX_VALUES, "values");
        if (!wide()) return;
        double* scratch = reinterpret_cast<double*>(shared_memory()) +
                          (reductions & 1) * SCRATCH_DOUBLES;
        int warp = thread_index() >> 5, warps = lanes >> 5, first = slot * warps;
        if ((thread_index() & 31) == 0) {
            UNROLL
            for (int i = 0; i < COUNT; ++i) scratch[warp * MAX_VALUES + i] = value[i];
        }
        block_sync();
        UNROLL
        for (int i = 0; i < COUNT; ++i) value[i] = scratch[first * MAX_VALUES + i];
        for (int other = 1; other < warps; ++other) {
            UNROLL
            for (int i = 0; i < COUNT; ++i) {
                value[i] = combine(i, value[i], scratch[(first + other) * MAX_VALUES + i]);
            }
        }
#if PARTS > 1
        across_parts(value, combine, scratch + MAX_WARPS * MAX_VALUES);
#endif
        reductions += 1;
    }

#if PARTS > 1
    // Each use of a box is the first or every second reduction.
    DEVICE Mailbox* mailbox() const {
        return reinterpret_cast<Mailbox*>(shared_memory()) + 2 * SCRATCH_DOUBLES +
               (reductions & 1);
    }

    // Every block sends its values to all, itself included. A block cannot be two reductions ahead
    // of another, so that a slot has been read when it is written again; and none ends before it
    // has all its mail.
    template <int COUNT, typename Combine>
    DEVICE void across_parts(double (&value)[COUNT], Combine combine, double* slots) {
        if (reductions == 0) cluster_wait();
        Mailbox* box = mailbox();
        if (thread_index() == 0) expect_mail(box, PARTS * COUNT * 8);
        if (thread_index() < PARTS) {
            UNROLL
            for (int i = 0; i < COUNT; ++i) {
                send_mail(box, slots + part * MAX_VALUES + i, value[i], thread_index());
            }
        }
        wait_for_mail(box, (reductions >> 1) & 1);
        UNROLL
        for (int i = 0; i < COUNT; ++i) value[i] = slots[i];
        UNROLL
        for (int other = 1; other < PARTS; ++other) {
            UNROLL
            for (int i = 0; i < COUNT; ++i) {
                value[i] = combine(i, value[i], slots[other * MAX_VALUES + i]);
            }
        }
    }
#endif

    // Sums over the row.
    template <int COUNT>
    DEVICE void sum(double (&value)[COUNT]) {
        UNROLL
        for (int i = 0; i < COUNT; ++i) value[i] = reduce_warp(value[i], lanes, Sum());
        across_warps(value, [](int, double a, double b) { return a + b; });
    }
};
