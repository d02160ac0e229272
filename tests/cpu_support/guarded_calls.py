"""Call the row kernels with arrays between pages that nobody may touch.

``python -m cpu_support.guarded_calls`` prints each case before it runs: an access beyond an array
ends the process there.
"""

from __future__ import annotations

import ctypes
import mmap
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from backend_support.variants import Variant
from softmax_variants_backends import numpy as numpy_backend
from softmax_variants_backends import torch as torch_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = mmap.PAGESIZE
_NO_ACCESS = 0
_libc = ctypes.CDLL(None, use_errno=True)
_rng = np.random.default_rng(0)

VARIANTS = [Variant("softmax"), Variant("ssmax"), Variant("sa_softmax")]
LENGTHS = [*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 257]


def guarded(size: int, dtype: np.dtype[Any], *, at_end: bool) -> np.ndarray[Any, Any]:
    """Return an array that ends where its memory does, or begins there."""
    inside = -(-size * dtype.itemsize // _PAGE) * _PAGE
    memory = mmap.mmap(-1, inside + 2 * _PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (first, first + _PAGE + inside):
        if _libc.mprotect(ctypes.c_void_p(guard), _PAGE, _NO_ACCESS) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = _PAGE + (inside - size * dtype.itemsize if at_end else 0)
    return np.frombuffer(memory, dtype, size, offset)


def laid_out(
    shape: tuple[int, int], strides: tuple[int, int], dtype: np.dtype[Any], *, at_end: bool
) -> np.ndarray[Any, Any]:
    """Return an array of these strides, in elements, and no more memory than that."""
    spans = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True)]
    size = 1 + sum(map(abs, spans))
    own = guarded(size, dtype, at_end=at_end)
    if dtype.kind == "b":
        own[:] = _rng.random(size) < 0.7
    elif dtype.kind == "f":
        own[:] = _rng.normal(0, 3, size)
    else:  # bfloat16, as its bits
        own[:] = (_rng.normal(0, 3, size).astype(np.float32).view(np.int32) >> 16).astype(np.int16)
    first = -sum(min(0, span) for span in spans)
    steps = tuple(stride * dtype.itemsize for stride in strides)
    return as_strided(own[first:], shape, steps)


def layouts(rows: int, length: int) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Yield names, strides of inputs and of results, for (rows, length)."""
    yield "rows", (length, 1), (length, 1)
    yield "rows apart", (length + 3, 1), (length + 1, 1)
    yield "columns", (1, rows), (1, rows)
    yield "columns apart", (1, rows + 2), (1, rows + 1)
    yield "every second", (2 * length, 2), (3 * length, 3)
    yield "from the end", (-length, -1), (-length, -1)
    yield "columns from the end", (-1, -rows), (-1, -rows)
    yield "one row for all", (0, 1), (length, 1)
    yield "one entry for all", (1, 0), (1, rows)
    yield "into columns", (length, 1), (1, rows)


def calls() -> Iterator[tuple[str, Any]]:
    """Yield cases and what runs them."""
    shapes = [*product((1, 3), LENGTHS), *product((15, 16, 17, 33), (1, 2, 5, 16, 21)), (2, 32771)]
    dtypes = ("float16", "bfloat16", "float32", "float64")
    for dtype, (rows, length), at_end in product(dtypes, shapes, (True, False)):
        for name, inputs, results in layouts(rows, length):
            own = np.dtype("int16" if dtype == "bfloat16" else dtype)

            def call(
                shape: tuple[int, int] = (rows, length),
                inputs: tuple[int, int] = inputs,
                results: tuple[int, int] = results,
                own: np.dtype[Any] = own,
                *,
                at_end: bool = at_end,
                brain: bool = dtype == "bfloat16",
            ) -> None:
                x, dy = (laid_out(shape, inputs, own, at_end=at_end) for _ in range(2))
                out = laid_out(shape, results, own, at_end=at_end)
                mask = laid_out(shape, inputs, np.dtype(bool), at_end=at_end)
                s, n = (
                    laid_out((shape[0], 1), (1, 1), np.dtype(np.float64), at_end=at_end)
                    for _ in range(2)
                )
                n[:] = shape[1]
                if brain:
                    run_bfloat16(x, dy, mask)
                    return
                for variant, where in product(VARIANTS, (None, mask)):
                    options = {"axis": 1, "where": where, "s": s, "n": n}
                    variant.weights(numpy_backend, x, out=out, **options)
                    variant.gradients(numpy_backend, x, dy, **options)

            place = "end" if at_end else "start"
            yield f"{dtype} {rows}x{length} {name}, at the {place}", call


def run_bfloat16(x: Any, dy: Any, mask: Any) -> None:
    """Call PyTorch's backend with NumPy arrays of the elements' bits."""
    if min(*x.strides, *mask.strides) < 0:
        return  # PyTorch has no negative strides
    own, tangent = (torch.from_numpy(bits).view(torch.bfloat16) for bits in (x, dy))
    for variant, where in product(VARIANTS, (None, torch.from_numpy(mask))):
        variant.weights(torch_backend, own, axis=1, where=where)
        variant.gradients(torch_backend, own, tangent, axis=1, where=where)


def main() -> None:
    """Run all cases."""
    for name, call in calls():
        print(name, flush=True)
        call()
    print("done")


if __name__ == "__main__":
    main()
