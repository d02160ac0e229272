"""The emulator that runs CUDA kernels on the CPU: its threads, its arithmetic, what it catches."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from cuda_support.emulator import DEVICE_SOURCE, EmulatorError, Kernels, compile_kernels

KERNELS = r"""
struct Arrays {
    const void* x;
    void* out;
    long long length;
};

DEVICE double* doubles() { return reinterpret_cast<double*>(shared_memory()); }
DEVICE double at(const Arrays& call, long long i) {
    return static_cast<const double*>(call.x)[i];
}
DEVICE double& result(const Arrays& call, long long i) {
    return static_cast<double*>(call.out)[i];
}
DEVICE double warp_sum(double value) {
    UNROLL
    for (int mask = 16; mask > 0; mask >>= 1) value += exchange(value, mask);
    return value;
}
// The sum over a block; without its barrier, a warp reads what the others may not have written.
DEVICE double block_sum(const Arrays& call, bool meet) {
    double sum = 0;
    for (long long i = thread_index(); i < call.length; i += block_threads()) sum += at(call, i);
    sum = warp_sum(sum);
    if (thread_index() % 32 == 0) doubles()[thread_index() / 32] = sum;
    if (meet) block_sync();
    sum = 0;
    for (int warp = 0; warp < block_threads() / 32; ++warp) sum += doubles()[warp];
    return sum;
}

KERNEL sum(CALL_ARGUMENT(Arrays) call) {
    result(call, block_index() * block_threads() + thread_index()) = block_sum(call, true);
}
KERNEL sum_without_barrier(CALL_ARGUMENT(Arrays) call) {
    result(call, block_index() * block_threads() + thread_index()) = block_sum(call, false);
}

KERNEL lanes(CALL_ARGUMENT(Arrays) call) {
    int lane = thread_index() & 31, warp = thread_index() & ~31;
    double of_int = exchange(thread_index(), 5) - (warp + (lane ^ 5));
    double of_float = exchange(thread_index() + 0.5f, 9) - (warp + (lane ^ 9) + 0.5f);
    double of_double = exchange(thread_index() + 0x1p-40, 31) - (warp + (lane ^ 31) + 0x1p-40);
    result(call, thread_index()) = fabs(of_int) + fabs(of_float) + fabs(of_double);
}

// Every block sends a number to all blocks of its cluster, `length` of them, in each of two rounds.
struct Post {
    Mailbox* box;
    double* slots;

    DEVICE Post() : box(reinterpret_cast<Mailbox*>(doubles())), slots(doubles() + 2) {
        if (thread_index() == 0) open_mail(box);
    }
    DEVICE void meet() {
        cluster_arrive();
        cluster_wait();
    }
    DEVICE void send(const Arrays& call, double value) {
        if (thread_index() == 0) expect_mail(box, 8 * static_cast<int>(call.length));
        if (thread_index() < call.length) {
            send_mail(box, slots + cluster_rank(), value, thread_index());
        }
    }
    DEVICE double sum(const Arrays& call) {
        double total = 0;
        for (int rank = 0; rank < call.length; ++rank) total += slots[rank];
        return total;
    }
};

KERNEL cluster(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, at(call, block_index()));
    wait_for_mail(post.box, 0);
    double first = post.sum(call);
    block_sync();
    post.meet();
    post.send(call, first);
    wait_for_mail(post.box, 1);
    result(call, block_index() * block_threads() + thread_index()) =
        post.sum(call) + 1000 * cluster_rank();
}
KERNEL mail_read_early(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, 1.0);
    result(call, block_index() * block_threads() + thread_index()) = post.sum(call);
    wait_for_mail(post.box, 0);
}
KERNEL mail_not_opened(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.send(call, 1.0);
    wait_for_mail(post.box, 0);
}
KERNEL mail_opened_twice(CALL_ARGUMENT(Arrays)) { Post first, second; }
KERNEL mail_missing(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, 1.0);
    if (thread_index() == 0 && cluster_rank() == 0) send_mail(post.box, post.slots, 1.0, 1);
    wait_for_mail(post.box, 0);
}
KERNEL mail_not_expected(CALL_ARGUMENT(Arrays)) {
    Post post;
    wait_for_mail(post.box, 0);
}
KERNEL mail_expected_twice(CALL_ARGUMENT(Arrays)) {
    Post post;
    if (thread_index() == 0) {
        expect_mail(post.box, 8);
        expect_mail(post.box, 8);
    }
}
KERNEL mail_out_of_turn(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, 1.0);
    wait_for_mail(post.box, 1);
}
KERNEL mail_left_early(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, 1.0);
    if (cluster_rank() == 0) wait_for_mail(post.box, 0);
}
KERNEL mail_never_waited(CALL_ARGUMENT(Arrays) call) {
    Post post;
    post.meet();
    post.send(call, 1.0);
}
KERNEL mail_too_late(CALL_ARGUMENT(Arrays)) {
    Post post;
    post.meet();
    if (thread_index() == 0 && cluster_rank() == 1) send_mail(post.box, post.slots, 1.0, 0);
}
KERNEL mail_beside(CALL_ARGUMENT(Arrays) call) {
    Post post;
    if (thread_index() == 0) send_mail(post.box, doubles() + call.length, 1.0, 0);
}

// Each thread copies two doubles and reads its own, or its neighbour's.
DEVICE void copies(const Arrays& call, bool wait, bool meet, int neighbour) {
    int i = thread_index(), other = (i + neighbour) % block_threads();
    start_copy(doubles() + 2 * i, static_cast<const double*>(call.x) + 2 * i);
    if (wait) wait_for_copies();
    if (meet) block_sync();
    result(call, i) = doubles()[2 * other] + doubles()[2 * other + 1];
    if (!wait) wait_for_copies();
}
KERNEL copy_own(CALL_ARGUMENT(Arrays) call) { copies(call, true, false, 0); }
KERNEL copy_shared(CALL_ARGUMENT(Arrays) call) { copies(call, true, true, 1); }
KERNEL copy_without_wait(CALL_ARGUMENT(Arrays) call) { copies(call, false, true, 0); }
KERNEL copy_without_barrier(CALL_ARGUMENT(Arrays) call) { copies(call, true, false, 1); }
KERNEL copy_never_waited(CALL_ARGUMENT(Arrays) call) { start_copy(doubles(), call.x); }
KERNEL copy_unaligned(CALL_ARGUMENT(Arrays) call) {
    start_copy(doubles(), static_cast<const double*>(call.x) + 1);
}
KERNEL copy_outside(CALL_ARGUMENT(Arrays) call) { start_copy(doubles() + call.length, call.x); }

KERNEL unwritten(CALL_ARGUMENT(Arrays) call) {
    result(call, thread_index()) = doubles()[thread_index()];
}
KERNEL written_beside(CALL_ARGUMENT(Arrays) call) { doubles()[call.length] = 1; }
KERNEL lane_missing(CALL_ARGUMENT(Arrays)) {
    if (thread_index() != 5) exchange(1, 1);
}
KERNEL lane_alone(CALL_ARGUMENT(Arrays)) {
    if (thread_index() == 37) exchange(1, 1);
}
KERNEL lanes_differ(CALL_ARGUMENT(Arrays)) {
    if (thread_index() < 8) {
        exchange(1.0, 1);
    } else {
        exchange(1.0f, 1);
    }
}
KERNEL lane_beyond(CALL_ARGUMENT(Arrays)) { exchange(1, 32); }
KERNEL warp_missing(CALL_ARGUMENT(Arrays)) {
    if (thread_index() < 32) block_sync();
}
KERNEL barrier_in_branch(CALL_ARGUMENT(Arrays)) {
    if (thread_index() < 40) block_sync();
    block_sync();
}
KERNEL wait_alone(CALL_ARGUMENT(Arrays)) { cluster_wait(); }
KERNEL arrive_twice(CALL_ARGUMENT(Arrays)) {
    cluster_arrive();
    cluster_arrive();
}
KERNEL arrive_only(CALL_ARGUMENT(Arrays)) { cluster_arrive(); }
// More than a thread's stack should ever have to hold while it waits.
KERNEL deep(CALL_ARGUMENT(Arrays) call) {
    volatile double held[10000];
    held[thread_index()] = thread_index();
    block_sync();
    result(call, thread_index()) = held[thread_index()];
}

// Arithmetic, one thread an entry.
KERNEL halves(CALL_ARGUMENT(Arrays) call) {
    for (long long i = thread_index(); i < call.length; i += block_threads()) {
        Word bits = static_cast<const unsigned short*>(call.x)[i];
        static_cast<float*>(call.out)[i] = float_of_half(bits);
    }
}
#define CONVERT(name, From, To, expression)                                            \
    KERNEL name(CALL_ARGUMENT(Arrays) call) {                                          \
        for (long long i = thread_index(); i < call.length; i += block_threads()) {    \
            From x = static_cast<const From*>(call.x)[i];                              \
            static_cast<To*>(call.out)[i] = static_cast<To>(expression);               \
        }                                                                              \
    }
CONVERT(to_halves, float, Word, pack_halves(x, -x))
CONVERT(to_bfloats, float, Word, pack_bfloats(x, -x))
CONVERT(of_bfloats, unsigned short, float, float_of_bfloat(x))
CONVERT(rounded, double, float, round_to_float(x))
CONVERT(truncated, double, float, truncate_to_float(x))
CONVERT(split, double, double, from_words(high_word(x), low_word(x)))
CONVERT(residue, double, double, fma(x, x, -(x * x)))
CONVERT(no_residue, double, double, x * x - x * x)
CONVERT(extrema, float, float,
        larger_or_nan(x, 0.5f) + 4 * smaller_or_nan(x, 0.5f) + 16 * larger(x, 0.5f))
"""


@pytest.fixture(scope="module", name="kernels")
def fixture_kernels() -> Kernels:
    return compile_kernels([("device.cuh", DEVICE_SOURCE), ("test.cuh", KERNELS)])


def run(
    kernels: Kernels, name: str, x: Any, out: Any, length: int = 0, **how: Any
) -> np.ndarray[Any, Any]:
    shape = {"grid": 1, "block": 64, "shared": 2048, **how}
    kernels.launch(name, struct.pack("PPq", x.ctypes.data, out.ctypes.data, length), **shape)
    return out


def aligned(values: Any) -> np.ndarray[Any, Any]:
    """Return doubles that begin at a multiple of 16 bytes."""
    room = np.empty(len(values) + 1)
    start = room.ctypes.data % 16 // 8
    room[start : start + len(values)] = values
    return room[start : start + len(values)]


BOTH = pytest.mark.parametrize("backwards", [False, True])


@BOTH
def test_block_sums(kernels: Kernels, backwards: bool) -> None:
    x = np.arange(1000.0)
    out = run(kernels, "sum", x, np.zeros(3 * 96), 1000, grid=3, block=96, backwards=backwards)
    assert set(out) == {x.sum()}


def test_missing_barrier_reads_nan(kernels: Kernels) -> None:
    x = np.ones(64)
    first, second = (
        run(kernels, "sum_without_barrier", x, np.zeros(64), 64, backwards=backwards)
        for backwards in (False, True)
    )
    assert np.isnan(first).any()
    assert np.isnan(second).any()


@BOTH
def test_lanes_exchange(kernels: Kernels, backwards: bool) -> None:
    out = run(kernels, "lanes", np.zeros(1), np.ones(64), backwards=backwards)
    assert not out.any()


@BOTH
def test_clusters(kernels: Kernels, backwards: bool) -> None:
    x = np.arange(12.0) ** 2
    how = {"grid": 12, "block": 32, "shared": 256, "cluster": 4, "backwards": backwards}
    out = run(kernels, "cluster", x, np.zeros((12, 32)), 4, **how)
    sums = np.repeat(x.reshape(3, 4).sum(axis=1), 4)[:, None]
    assert (out == 4 * sums + 1000 * (np.arange(12) % 4)[:, None]).all()


@BOTH
def test_mail_is_nan_until_waited_for(kernels: Kernels, backwards: bool) -> None:
    how = {"grid": 2, "cluster": 2, "backwards": backwards}
    out = run(kernels, "mail_read_early", np.ones(1), np.zeros(128), 2, **how)
    assert np.isnan(out).all()


@BOTH
def test_copies(kernels: Kernels, backwards: bool) -> None:
    x = aligned(np.arange(128.0))
    sums = x[::2] + x[1::2]
    out = run(kernels, "copy_own", x, np.zeros(64), backwards=backwards)
    assert (out == sums).all()
    out = run(kernels, "copy_shared", x, np.zeros(64), backwards=backwards)
    assert (out == np.roll(sums, -1)).all()


def test_copies_are_nan_until_waited_for(kernels: Kernels) -> None:
    out = run(kernels, "copy_without_wait", aligned(np.ones(128)), np.zeros(64))
    assert np.isnan(out).all()


def test_copies_of_other_threads_need_a_barrier(kernels: Kernels) -> None:
    out = run(kernels, "copy_without_barrier", aligned(np.ones(128)), np.zeros(64))
    assert np.isnan(out).any()


def test_unwritten_shared_memory_is_nan(kernels: Kernels) -> None:
    x = np.arange(64.0)
    run(kernels, "sum", x, np.zeros(64), 64)
    out = run(kernels, "unwritten", x, np.zeros(64))
    assert np.isnan(out).all()


@pytest.mark.parametrize(
    ("kernel", "length", "cluster", "message"),
    [
        ("lane_missing", 0, 1, "ended, but thread 0 of block 0 waits at exchange of int"),
        ("lane_alone", 0, 1, "is at exchange of int, but thread 32 of block 0 is at its end"),
        ("lanes_differ", 0, 1, "is at exchange of float, but thread 0 of block 0 is at exchange"),
        ("lane_beyond", 0, 1, "thread 0 of block 0: asks lane 32 of 32 for its value"),
        ("warp_missing", 0, 1, "ended, but thread 0 of block 0 waits at block_sync"),
        ("barrier_in_branch", 0, 1, "ended, but thread 32 of block 0 waits at block_sync"),
        ("wait_alone", 0, 2, "waits for its cluster without arriving"),
        ("arrive_twice", 0, 2, "arrives twice"),
        ("arrive_only", 0, 2, "ended without waiting for its cluster"),
        ("mail_not_opened", 2, 2, "uses mail that block 1 has not opened"),
        ("mail_opened_twice", 2, 2, "opens a mailbox twice"),
        ("mail_missing", 2, 2, "waits for mail of which -8 bytes never come"),
        ("mail_not_expected", 2, 2, "waits for mail that it does not expect"),
        ("mail_expected_twice", 2, 2, "expects more mail before"),
        ("mail_out_of_turn", 2, 2, "waits for mail out of turn"),
        ("mail_left_early", 2, 2, "thread 0 of block 1: ended without waiting for mail"),
        ("mail_never_waited", 2, 2, "ended without waiting for mail"),
        ("mail_too_late", 2, 2, "thread 0 of block 1: sends to block 0, which has ended"),
        ("mail_beside", 256, 2, "sends to what is not shared memory"),
        ("cluster", 3, 2, "sends to block 2 of a cluster of 2"),
        ("copy_never_waited", 0, 1, "ended without waiting for its copies"),
        ("copy_unaligned", 0, 1, "is not aligned to 16 bytes"),
        ("copy_outside", 256, 1, "is not 16 aligned bytes of its shared memory"),
        ("deep", 0, 1, "thread 0 of block 0: overflows its stack"),
        ("written_beside", 256, 1, "wrote beside its shared memory"),
        ("written_beside", -1, 2, "blocks 0 to 1 wrote beside"),
    ],
)
def test_misuse_is_found(
    kernels: Kernels, kernel: str, length: int, cluster: int, message: str
) -> None:
    x, out = aligned(np.ones(128)), np.zeros(128)
    with pytest.raises(EmulatorError, match=f"{kernel}: .*{message}"):
        run(kernels, kernel, x, out, length, grid=cluster, cluster=cluster)
    # What follows is not disturbed.
    assert set(run(kernels, "sum", x, np.zeros(64), 64)) == {64.0}


@pytest.mark.parametrize(
    ("name", "value"), [("grid", 3), ("block", 48), ("block", 2048), ("shared", 240_000)]
)
def test_launches_that_no_gpu_takes(kernels: Kernels, name: str, value: int) -> None:
    with pytest.raises(EmulatorError, match=f"sum cannot be launched for its {name}: "):
        run(kernels, "sum", np.ones(1), np.ones(1), 1, **{"grid": 4, "cluster": 2, name: value})


def test_compile_errors_name_the_file() -> None:
    with pytest.raises(RuntimeError, match=r"wrong\.cuh:2:"):
        compile_kernels([("device.cuh", DEVICE_SOURCE), ("wrong.cuh", "\nKERNEL wrong( {}")])


def test_largest_launches_of_several_libraries(kernels: Kernels) -> None:
    """All threads' stacks together, and those of other kernels, leave room for more."""
    parts = [("device.cuh", DEVICE_SOURCE), ("test.cuh", KERNELS)]
    x = np.ones(16)
    how = {"grid": 16, "block": 1024, "shared": 8192, "cluster": 16}
    for number in range(3):
        other = compile_kernels(parts, {"OTHER": str(number)}) if number else kernels
        out = run(other, "cluster", x, np.zeros((16, 1024)), 16, **how)
        assert out[0, 0] == 16 * 16


def test_portable_fibers_do_the_same() -> None:
    parts = [("device.cuh", DEVICE_SOURCE), ("test.cuh", KERNELS)]
    kernels = compile_kernels(parts, options=["-DEMULATED_UCONTEXT"])
    assert set(run(kernels, "sum", np.arange(1000.0), np.zeros(64), 1000)) == {499500.0}
    with pytest.raises(EmulatorError, match="ended, but thread 0"):
        run(kernels, "warp_missing", np.ones(1), np.ones(1))


def converted(kernels: Kernels, name: str, x: Any, to: Any) -> np.ndarray[Any, Any]:
    return run(kernels, name, x, np.zeros(len(x), to), len(x))


def floats() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return floats of all sizes, and those at and beside every place where halves round."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 1 << 32, 100_000, dtype=np.uint32)
    # Midpoints of binary16 and of bfloat16, among others.
    lowest = np.arange(1 << 16, dtype=np.uint32) << 16 | 0x8000
    middles = np.arange(1 << 19, dtype=np.uint32)[::7] << 13
    beside = [middles - 1, middles, middles + 1, lowest - 1, lowest, lowest + 1]
    # Middles of subnormal halves lie at odd multiples of 2^-25.
    small = (np.arange(-4100, 4100, dtype=np.float32) * np.float32(2.0**-25)).view(np.uint32)
    return np.concatenate([bits, *beside, small, small + 1, small - 1]).view(np.float32)


def same(a: Any, b: Any) -> bool:
    """Return whether the numbers have the same bits, NaNs aside."""
    return bool(
        ((a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")) | ((a != a) & (b != b))).all()
    )


def test_halves_widen(kernels: Kernels) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    assert same(converted(kernels, "halves", bits, np.float32), bits.view(np.float16).astype("f4"))
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    assert same(converted(kernels, "of_bfloats", bits, np.float32), wide)


def test_floats_round_to_halves(kernels: Kernels) -> None:
    x = floats()
    packed = converted(kernels, "to_halves", x, np.uint32)
    with np.errstate(over="ignore"):
        wanted = x.astype(np.float16)
    assert same(packed.astype(np.uint16).view(np.float16), wanted)
    assert same((packed >> 16).astype(np.uint16).view(np.float16), -wanted)


def test_floats_round_to_bfloats(kernels: Kernels) -> None:
    x = floats()
    packed = converted(kernels, "to_bfloats", x, np.uint32)
    wanted = torch.from_numpy(x).to(torch.bfloat16).float().numpy()
    assert same((packed << 16).view(np.float32), wanted)
    assert same((packed & 0xFFFF0000).view(np.float32), -wanted)


def test_doubles_round_and_truncate(kernels: Kernels) -> None:
    random = np.random.default_rng(1)
    near = floats()
    near = near[np.isfinite(near)].astype(np.float64)
    x = np.concatenate(
        [near, near * (1 + 2.0**-26), random.normal(size=1000), [1e39, 1e-46, np.inf, np.nan]]
    )
    x = np.concatenate([x, -x])
    with np.errstate(over="ignore", under="ignore"):
        nearest = x.astype(np.float32)
        beyond = np.abs(nearest.astype(np.float64)) > np.abs(x)
        towards_zero = np.where(beyond, np.nextafter(nearest, np.float32(0)), nearest)
    assert same(converted(kernels, "rounded", x, np.float32), nearest)
    assert same(converted(kernels, "truncated", x, np.float32), towards_zero)
    assert same(converted(kernels, "split", x, np.float64), x)


def test_nothing_is_fused_unasked(kernels: Kernels) -> None:
    x = np.random.default_rng(2).normal(size=1000)
    assert not converted(kernels, "no_residue", x, np.float64).any()
    residue = converted(kernels, "residue", x, np.float64)
    squares = [(Fraction(entry) ** 2, Fraction(entry * entry)) for entry in x.tolist()]
    assert residue.tolist() == [float(exact - rounded) for exact, rounded in squares]
    assert residue.any()


def test_extrema(kernels: Kernels) -> None:
    x = np.array([np.nan, 1.0, 0.0, np.inf, -np.inf], np.float32)
    out = converted(kernels, "extrema", x, np.float32)
    assert np.isnan(out[0])
    assert np.isnan(out[4]) == np.isnan(0.5 - np.inf + 8)
    assert out[1:4].tolist() == [1 + 2 + 16, 0.5 + 0 + 8, np.inf]
