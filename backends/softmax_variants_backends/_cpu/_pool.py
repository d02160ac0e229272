"""A small pool of Python threads for kernels that release the interpreter's lock.

Requirements, and why:

- A forked child must work, whatever other threads of its parent were doing. A fork copies locks
  as they are, and of the threads only the one that forks: the child drops all state and starts
  its own threads when it needs them. OpenMP's pools cannot do that, and end the child.
- Callers in several threads at once must not add up to more threads than each was to have: one has
  the pool, the others work alone.
- Nobody returns while a kernel still writes into the caller's arrays, Ctrl-C or not.
- Importing this starts nothing, and no thread keeps the interpreter from ending.

A thread that sleeps takes 30 to 100 microseconds to begin. So work is dealt out as it is asked
for, and the caller, who never sleeps while there is some, does not wait for threads that come too
late to get any.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]


class _Job:
    """A range of rows, dealt out in steps."""

    def __init__(self, task: Callable[[int, int], None], count: int, step: int) -> None:
        self._task: Callable[[int, int], None] | None = task
        self._count = count
        self._step = step
        self._next = 0
        self._lock = threading.Lock()
        self._working = 0
        """Threads of the pool that are at work."""
        self._left: SimpleQueue[None] = SimpleQueue()
        """Gets something each time that one of them goes, after it is counted out."""
        self._error: BaseException | None = None
        """What one of them has met."""

    def take_part(self) -> None:
        """Work beside the caller, as a thread of the pool."""
        with self._lock:
            task = self._task
            if task is None:
                return
            self._working += 1
        try:
            self._work(task)
        except BaseException as error:
            self._stop()
            self._error = error
        finally:
            # The caller may go on, and its arrays go away, as soon as the count is 0.
            del task
            with self._lock:
                self._working -= 1
            self._left.put(None)

    def lead(self) -> None:
        """Work as the caller; return when nobody works any more."""
        task = self._task
        assert task is not None
        try:
            self._work(task)
        finally:
            self._finish()
        error, self._error = self._error, None
        if error is None:
            return
        try:
            raise error
        finally:
            del error  # its traceback has this frame: a cycle that would keep arrays

    def _work(self, task: Callable[[int, int], None]) -> None:
        while True:
            with self._lock:
                begin = self._next
                self._next = end = min(begin + self._step, self._count)
            if begin == end:
                return
            task(begin, end)

    def _stop(self) -> None:
        with self._lock:
            self._next = self._count

    def _finish(self) -> None:
        interruption: BaseException | None = None
        while True:
            # An interruption may strike anywhere here. All is done again then, which does no harm.
            try:
                self._stop()
                with self._lock:
                    self._task = None  # threads that come late keep nobody's arrays
                while self._working:
                    self._left.get()
                break
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption


class _Pool:
    """Threads that wait for jobs, started as they are needed."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        """Held by the caller whom the threads work for."""
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads = 0

    def run(self, job: _Job, helpers: int) -> None:
        """Do a job with up to ``helpers`` threads; ``busy`` is held."""
        try:
            while self._threads < helpers:
                name = f"softmax-variants-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
                self._threads += 1
        except RuntimeError:
            # The system has no more threads, or the interpreter is about to end: those there are
            # will do, if there are any.
            pass
        for _ in range(min(helpers, self._threads)):
            self._jobs.put(job)
        job.lead()

    def _serve(self) -> NoReturn:
        while True:
            # Nothing of a job is held while waiting for the next one.
            self._jobs.get().take_part()


_pool = _Pool()


def _start_afresh() -> None:
    """Forget the parent's pool: the child has none of its threads, and maybe its locks held."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def run(task: Callable[[int, int], None], count: int, step: int, threads: int) -> None:
    """Call ``task(begin, end)`` for ranges that make up ``range(count)``, by up to ``threads``.

    Parameters
    ----------
    task : callable
        It is called by several threads at once, for ranges of up to ``step`` rows; for all rows at
        once where one thread does them all. It must give the same whatever the ranges.
    count, step : int
        The number of rows, and how many are dealt out at a time.
    threads : int
        How many threads work at most, the caller's among them.

    Raises
    ------
    BaseException
        What ``task`` raises, in whatever thread; the rest is given up then.
    """
    helpers = min(threads, -(-count // step)) - 1
    pool = _pool
    if helpers < 1 or not pool.busy.acquire(blocking=False):
        task(0, count)
        return
    try:
        pool.run(_Job(task, count, step), helpers)
    finally:
        pool.busy.release()
