"""Run the emulated kernels on arrays between pages that nobody may touch.

``python -m cuda_support.guarded_rows`` prints each case before it runs: an access beyond an array
ends the process there.
"""

from __future__ import annotations

import ctypes
import mmap
from itertools import product

import torch

from cuda_support.emulated_backend import EmulatedBackend
from cuda_support.emulated_launcher import AMPERE, EAGER, HOPPER, EmulatedLauncher, holding

_PAGE = mmap.PAGESIZE
_NO_ACCESS = 0
_libc = ctypes.CDLL(None, use_errno=True)


def guarded(values: torch.Tensor, *, at_end: bool) -> torch.Tensor:
    """Return a copy that ends where its memory does, or begins there."""
    size = values.numel() * values.element_size()
    inside = -(-size // _PAGE) * _PAGE
    memory = mmap.mmap(-1, inside + 2 * _PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (first, first + _PAGE + inside):
        if _libc.mprotect(ctypes.c_void_p(guard), _PAGE, _NO_ACCESS) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = _PAGE + (inside - size if at_end else 0)
    own = torch.frombuffer(memory, dtype=values.dtype, count=values.numel(), offset=offset)
    return own.view(values.shape).copy_(values)


def main() -> None:
    """Run weights and gradients of rows of all paths."""
    any_length = EmulatedBackend(EmulatedLauncher())
    known_length = EmulatedBackend(EmulatedLauncher(EAGER))
    cluster = EmulatedBackend(EmulatedLauncher(holding(HOPPER, 32)))
    split = EmulatedBackend(EmulatedLauncher(holding(AMPERE, 32)))
    every = (torch.float16, torch.float32, torch.float64)
    paths = [
        ("any length", any_length, every, (5, 40)),
        ("any length, not aligned", any_length, every, (5, 301)),
        ("known length", known_length, (torch.bfloat16,), (5, 64)),
        ("known length, in shared memory", known_length, (torch.float16,), (3, 2048)),
        ("known length", known_length, (torch.float32,), (5, 1024)),
        ("cluster", cluster, every, (2, 120)),
        ("split", split, every[:2], (2, 500)),
    ]
    cases = product(paths, (1, 0), (False, True))
    for (name, backend, dtypes, shape), axis, at_end in cases:
        for dtype in dtypes:
            print(name, dtype, f"axis {axis}", "end" if at_end else "start", flush=True)
            values = torch.linspace(-3, 3, shape[0] * shape[1], dtype=dtype)
            turned = shape[:: 2 * axis - 1]
            x, dy, out = (guarded(values.view(turned), at_end=at_end) for _ in range(3))
            where = guarded(values.view(turned) * 7 % 3 < 2, at_end=at_end)
            for mask in (None, where):
                backend.ssmax(x, 0.5, 0.1, n=None, axis=axis, where=mask, out=out)
                backend.ssmax_vjp(x, dy, 0.5, 0.1, n=None, axis=axis, where=mask)
    print("done")


if __name__ == "__main__":
    main()
