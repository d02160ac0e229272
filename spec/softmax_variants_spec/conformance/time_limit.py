"""A limit on the time that a backend may take in one entry of the suite."""

from __future__ import annotations

import contextvars
import ctypes
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TimeLimit", "TimedOut"]

T = TypeVar("T")


class TimedOut(Exception):  # noqa: N818  (a finding about the backend, no error of the suite)
    """The backend did not return in time."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what
        """What was called, as ``TimeLimit.call`` was told."""


class _Abandoned(BaseException):
    """Raised inside a thread whose call took too long, to end it."""


class _Job:
    """A function to run in another thread, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        # The settings of the calling thread hold in the other one, NumPy's errstate among them.
        self._context, self._function = contextvars.copy_context(), function
        self._done = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result = self._context.run(self._function)
        except BaseException as error:
            self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _Thread(threading.Thread):
    """A thread that runs one job after another; a daemon, so that no call can keep a process."""

    def __init__(self) -> None:
        super().__init__(name="conformance entry", daemon=True)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._abandoned = False
        self._used = 0.0
        self._since: float | None = None
        self.what = ""
        self.start()

    def submit(self, job: _Job) -> None:
        self._used = 0.0
        self._jobs.put(job)

    def run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job.run()
        except _Abandoned:
            return

    def call(self, function: Callable[[], T], what: str) -> T:
        """Return what a function returns, and take its time."""
        self.what, began = what, time.perf_counter()
        self._since = began
        try:
            return function()
        finally:
            self._since = None
            self._used += time.perf_counter() - began
            if self._abandoned:
                raise _Abandoned

    def used(self) -> tuple[float, bool]:
        """Return the seconds that calls took in this job, and whether one is under way."""
        since = self._since
        return self._used + (0.0 if since is None else time.perf_counter() - since), bool(since)

    def finish(self) -> None:
        """End the thread after the jobs that it has."""
        self._jobs.put(None)

    def abandon(self) -> None:
        """End the thread once its call returns; Python code in it is interrupted at once."""
        self._abandoned = True
        self.finish()
        identity = ctypes.c_ulong(self.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(_Abandoned))


class TimeLimit:
    """Runs entries of the suite, in each of which calls of the backend may take so many seconds.

    An entry runs in a thread of its own. One whose call takes too long is left behind there: a loop
    in Python is interrupted, a call into compiled code that never returns ends with the process.
    (Compiled code that keeps Python's global lock while it hangs stops everything: nothing in the
    process can report it.) What the suite itself computes is not limited.

    Parameters
    ----------
    seconds
        The limit; None runs the entries in the thread that asks for them.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._thread: _Thread | None = None

    def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns, which calls the backend through ``call``.

        Raises
        ------
        TimedOut
            If its calls together take longer than the limit.
        """
        if self.seconds is None:
            return function()
        if self._thread is None:
            self._thread = _Thread()
        thread, job = self._thread, _Job(function)
        thread.submit(job)
        while not job.wait(max(0.01, self.seconds - thread.used()[0])):
            used, calling = thread.used()
            if calling and used >= self.seconds:
                thread.abandon()
                self._thread = None
                msg = f"did not return within {self.seconds:g} s"
                raise TimedOut(msg, thread.what)
        result: T = job.result()
        return result

    def call(self, function: Callable[[], T], what: str) -> T:
        """Return what a function of the backend returns; ``what`` names it for ``TimedOut``."""
        thread = threading.current_thread()
        return thread.call(function, what) if isinstance(thread, _Thread) else function()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.finish()
            self._thread = None
