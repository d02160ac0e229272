"""The pool: all rows once, at once, no more threads than asked for, errors and interruptions."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest

from softmax_variants_backends._cpu import _pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 20.0
"""How long a test waits for what must happen."""


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> _pool._Pool:
    own = _pool._Pool()
    monkeypatch.setattr(_pool, "_pool", own)
    return own


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    threads = []

    def start(function: Callable[[], None]) -> threading.Thread:
        threads.append(threading.Thread(target=function, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
@pytest.mark.parametrize(("count", "step"), [(1, 1), (2, 1), (7, 3), (8, 4), (100, 1), (5, 9)])
def test_all_rows_once(count: int, step: int, threads: int) -> None:
    done: list[int] = []
    for _ in range(20):
        done.clear()
        _pool.run(lambda begin, end: done.extend(range(begin, end)), count, step, threads)
        assert sorted(done) == [*range(count)]


def test_threads_work_at_once() -> None:
    together = threading.Barrier(4)
    names = set()

    def task(begin: int, end: int) -> None:
        together.wait(SECONDS)
        names.add(threading.current_thread().name)

    for _ in range(3):  # with new threads, and with those that are there
        _pool.run(task, 4, 1, 4)
    assert len(names) == 4
    assert names > {"softmax-variants-0", "softmax-variants-1", "softmax-variants-2"}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_threads_than_asked_for(threads: int) -> None:
    _pool.run(lambda begin, end: time.sleep(0.001), 16, 1, 5)  # that many are there
    working, most = set(), []

    def task(begin: int, end: int) -> None:
        working.add(threading.get_ident())
        most.append(len(working))
        time.sleep(0.001)

    _pool.run(task, 50, 1, threads)
    assert max(most) <= threads


def test_one_thread_has_all_rows_at_once(pool: _pool._Pool) -> None:
    ranges = []
    _pool.run(lambda begin, end: ranges.append((begin, end)), 10, 3, 1)
    _pool.run(lambda begin, end: ranges.append((begin, end)), 10, 10, 8)
    assert ranges == [(0, 10), (0, 10)]
    assert not pool._threads


def test_the_caller_does_not_wait_for_threads_that_come_late(
    pool: _pool._Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = threading.Event()
    serve = pool._serve

    def come_late() -> None:
        late.wait(SECONDS)
        serve()

    monkeypatch.setattr(pool, "_serve", come_late)
    done: list[int] = []
    array = np.zeros(3)
    gone = weakref.ref(array)

    def run(array: np.ndarray) -> None:
        _pool.run(lambda begin, end: done.extend(array[begin:end]), 3, 1, 2)

    run(array)
    assert done == [0.0, 0.0, 0.0]
    # Nor do they keep its arrays, before or after.
    del array
    assert gone() is None
    late.set()
    assert pool._threads == 1


def test_threads_that_wait_keep_no_arrays() -> None:
    array = np.zeros(4)
    gone = weakref.ref(array)
    together = threading.Barrier(2)

    def run(array: np.ndarray) -> None:
        def task(begin: int, end: int) -> None:
            together.wait(SECONDS)
            array[begin:end] = 1.0

        _pool.run(task, 2, 1, 2)

    run(array)
    del array
    deadline = time.monotonic() + SECONDS
    while gone() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestConcurrentCallers:
    def test_the_second_works_alone(
        self, in_thread: Callable[[Callable[[], None]], threading.Thread]
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def first(begin: int, end: int) -> None:
            begun.set()
            assert go_on.wait(SECONDS)

        in_thread(lambda: _pool.run(first, 8, 1, 4))
        assert begun.wait(SECONDS)
        seen = []

        def second(begin: int, end: int) -> None:
            seen.append((threading.get_ident(), begin, end))

        _pool.run(second, 8, 1, 4)
        assert seen == [(threading.get_ident(), 0, 8)]
        go_on.set()

    def test_many(self, in_thread: Callable[[Callable[[], None]], threading.Thread]) -> None:
        wrong = []

        def call() -> None:
            for k in range(200):
                done = np.zeros(50, dtype=np.int64)

                def task(begin: int, end: int, done: np.ndarray = done) -> None:
                    done[begin:end] += 1

                _pool.run(task, 50, 1 + k % 20, 3)
                if not (done == 1).all():
                    wrong.append(done)

        callers = [in_thread(call) for _ in range(6)]
        for caller in callers:
            caller.join(SECONDS)
        assert not wrong

    def test_a_task_that_calls(self) -> None:
        done: list[int] = []

        def task(begin: int, end: int) -> None:
            _pool.run(lambda inner, last: done.extend(range(inner, last)), 5, 1, 3)

        _pool.run(task, 4, 1, 2)
        assert sorted(done) == sorted([*range(5)] * 4)


class TestErrors:
    @pytest.mark.parametrize("whose", ["caller's", "helper's"])
    def test_they_reach_the_caller(self, whose: str) -> None:
        caller = threading.get_ident()
        together = threading.Barrier(2)
        done = []

        def task(begin: int, end: int) -> None:
            done.append(begin)
            if begin < 2:
                together.wait(SECONDS)
                if (threading.get_ident() == caller) == (whose == "caller's"):
                    raise MemoryError(whose)
            else:
                time.sleep(0.001)

        with pytest.raises(MemoryError, match=whose):
            _pool.run(task, 10_000, 1, 2)
        assert len(done) < 10_000  # the rest is given up
        # The next call is as good as new.
        done.clear()
        together.reset()
        _pool.run(lambda begin, end: done.append(begin), 10, 1, 2)
        assert sorted(done) == [*range(10)]

    def test_alone(self) -> None:
        def task(begin: int, end: int) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            _pool.run(task, 10, 1, 1)

    @pytest.mark.parametrize("at_work", [True, False], ids=["at work", "waiting"])
    def test_an_interrupted_caller_waits_for_the_others(self, at_work: bool) -> None:
        # Jobs in the background of a shell ignore it otherwise.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        caller = threading.get_ident()
        together = threading.Barrier(2)
        done = threading.Event()

        def task(begin: int, end: int) -> None:
            together.wait(SECONDS)
            if threading.get_ident() == caller:
                if at_work:
                    raise KeyboardInterrupt
                return
            if not at_work:
                time.sleep(0.05)
                _thread.interrupt_main()
            time.sleep(0.1)
            done.set()

        try:
            with pytest.raises(KeyboardInterrupt):
                _pool.run(task, 2, 1, 2)
        finally:
            signal.signal(signal.SIGINT, before)
        assert done.is_set()
        assert _pool._pool.busy.acquire(blocking=False)

    def test_no_more_threads(self, pool: _pool._Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Thread.start

        def once(thread: threading.Thread) -> None:
            if pool._threads:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", once)
        done: list[int] = []
        _pool.run(lambda begin, end: done.extend(range(begin, end)), 20, 1, 8)
        assert sorted(done) == [*range(20)]
        assert pool._threads == 1


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=2 * SECONDS
    )


USED = """
import threading
from softmax_variants_backends._cpu import _pool
assert threading.active_count() == 1
together = threading.Barrier(2)
_pool.run(lambda begin, end: together.wait(20), 2, 1, 2)
assert threading.active_count() == 2
"""


def test_import_starts_nothing_and_the_interpreter_ends() -> None:
    done = python(USED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_calls_while_the_interpreter_ends() -> None:
    code = f"""
import atexit
{USED}
def last():
    done = []
    _pool.run(lambda begin, end: done.append(end), 4, 1, 4)
    print(len(done))
atexit.register(last)
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")
