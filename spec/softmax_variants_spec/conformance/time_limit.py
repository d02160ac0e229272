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


class _Abandoned(BaseException):
    """Raised inside a thread whose call took too long, to end it where it runs Python code."""


class _Call:
    """A call made in another thread, and what came of it."""

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
        return self._done.wait(max(0.0, seconds))

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _Thread(threading.Thread):
    """A thread that makes one call after another; a daemon, so that no call can keep a process."""

    def __init__(self) -> None:
        super().__init__(name="backend under judgement", daemon=True)
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self.start()

    def submit(self, call: _Call) -> None:
        self._calls.put(call)

    def run(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call.run()
        except _Abandoned:
            return

    def finish(self) -> None:
        """End the thread after the calls that it has."""
        self._calls.put(None)

    def abandon(self) -> None:
        """End the thread once its call returns; Python code in it is interrupted at once."""
        self.finish()
        identity = ctypes.c_ulong(self.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(_Abandoned))


class TimeLimit:
    """Makes the calls of a backend, which may take so many seconds together until ``restart``.

    The calls run in a thread of their own. One that takes too long is left behind there: a loop
    in Python is interrupted, a call into compiled code that never returns ends with the process.

    Parameters
    ----------
    seconds
        The limit; None makes the calls directly, in the thread that asks for them.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._left = seconds or 0.0
        self._thread: _Thread | None = None

    def restart(self) -> None:
        """Begin a new entry, with all of the time."""
        self._left = self.seconds or 0.0

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns, or raise what it raises.

        Raises
        ------
        TimedOut
            If it has not returned when the time is over.
        """
        if self.seconds is None:
            return function()
        if self._thread is None:
            self._thread = _Thread()
        call = _Call(function)
        start = time.perf_counter()
        self._thread.submit(call)
        returned = call.wait(self._left)
        self._left -= time.perf_counter() - start
        if not returned:
            self._thread.abandon()
            self._thread = None
            msg = f"did not return within {self.seconds:g} s"
            raise TimedOut(msg)
        result: T = call.result()
        return result

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.finish()
            self._thread = None
