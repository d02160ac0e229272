"""A kernel's argument where the driver reads it: memory that a thread keeps for its launches."""

from __future__ import annotations

import ctypes
import threading

__all__ = ["Arguments"]

_SIZE = 1024
"""More than any argument has."""


class Arguments(threading.local):
    """One argument's memory, its own in each thread: the driver copies it during the launch."""

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(_SIZE)
        self._pointers = (ctypes.c_void_p * 1)(ctypes.addressof(self._memory))
        self._view = memoryview(self._memory).cast("B")
        self._address = ctypes.addressof(self._pointers)

    def place(self, argument: bytes) -> int:
        """Return the address of the list of arguments, which holds this one."""
        self._view[: len(argument)] = argument
        return self._address
