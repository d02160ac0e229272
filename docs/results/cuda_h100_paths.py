"""Run every path of the CUDA kernels once, for ``compute-sanitizer`` to watch.

``compute-sanitizer python docs/results/cuda_h100_paths.py --library torch --dtype float32``, with
``PYTORCH_NO_CUDA_MEMORY_CACHING=1`` so that every array has an allocation of its own. Operands are
made on the host: all kernels that run are those of this repository, and a few copies.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import softmax_variants as sv

DTYPES = ("float16", "bfloat16", "float32", "float64")
FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
LENGTHS = (5, 100, 1024, 4096, 16384, 20000, 70000, 300000)
LARGE = 1 << 18
"""Entries from which on kernels are compiled for the length of rows."""
LONG = 16384
"""Rows that long have one layout only: the others are those of shorter rows."""


class Operands:
    """Arrays of a library on the device, of a dtype, from fixed seeds."""

    def __init__(self, library: str, dtype: str) -> None:
        self.library, self.dtype = library, dtype
        self._random = np.random.default_rng(0)

    def array(self, *shape: int) -> Any:
        """Return normal logits."""
        host = self._random.standard_normal(shape) * 3.0
        if self.library == "cupy":
            import cupy

            return cupy.asarray(host.astype(self.dtype))
        import torch

        # On the host, where no kernel of PyTorch's runs.
        tensor = torch.from_numpy(host).to(getattr(torch, self.dtype))
        return tensor.to("cuda" if torch.cuda.is_available() else "cpu")

    def mask(self, *shape: int) -> Any:
        """Return a mask that hides some."""
        host = self._random.random(shape) < 0.8
        if self.library == "cupy":
            import cupy

            return cupy.asarray(host)
        import torch

        return torch.from_numpy(host).to("cuda" if torch.cuda.is_available() else "cpu")

    def layouts(
        self, length: int, layouts: tuple[str, ...]
    ) -> list[tuple[str, Any, Any, Any, int]]:
        """Return name, x, dy, mask and axis of the layouts asked for."""
        rows = 70 if length < 1024 else 3
        found: list[tuple[str, Any, Any, Any, int]] = []
        for name in layouts:
            if name == "aligned":
                many = max(rows, LARGE // length) if 1024 <= length <= LONG else rows
                x, dy, mask, axis = self.array(many, length), self.array(many, length), None, -1
            elif name == "masked":
                x, dy, axis = self.array(rows, length), self.array(rows, length), -1
                mask = self.mask(rows, length)
            elif name == "unaligned":
                x, dy, axis = self.array(rows, length + 3), self.array(rows, length + 3), -1
                x, dy, mask = x[:, 1:-2], dy[:, 2:-1], None
            elif name == "strided":
                x, dy, axis = self.array(rows, 2 * length), self.array(rows, 2 * length), -1
                x, dy, mask = x[:, ::2], dy[:, ::2], self.mask(1, length)
            else:  # rows are columns
                x, dy, mask, axis = self.array(length, 20), self.array(length, 20), None, 0
            found.append((name, x, dy, mask, axis))
        return found


def run(function: str, x: Any, dy: Any, mask: Any, axis: int, parameters: tuple[Any, Any]) -> int:
    """Run a function and its gradients; return how many calls that were."""
    if function == "softmax":
        sv.softmax(x, axis=axis, where=mask)
        sv.softmax_vjp(x, dy, axis=axis, where=mask)
        return 2
    if function == "ssmax":
        s, b = parameters
        sv.ssmax(x, s, b, axis=axis, where=mask)
        sv.ssmax_vjp(x, dy, s, b, axis=axis, where=mask)
        sv.ssmax(x, 0.43, n=x.shape[axis], axis=axis, where=mask)
        return 3
    for form in ("normalized", "plain"):
        sv.sa_softmax(x, form=form, axis=axis, where=mask)
        sv.sa_softmax_vjp(x, dy, form=form, axis=axis, where=mask)
    sv.sa_softmax_vjp(x, dy, detach_extrema=True, axis=axis, where=mask)
    return 5


def main() -> None:
    """Run the chosen cases and say how many calls they were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=("torch", "cupy"), default="torch")
    parser.add_argument("--dtype", choices=DTYPES, action="append")
    parser.add_argument("--function", choices=FUNCTIONS, action="append")
    parser.add_argument("--length", type=int, action="append")
    parser.add_argument("--few", action="store_true", help="the aligned and the masked layout only")
    chosen = parser.parse_args()
    if chosen.library == "cupy":
        import cupy

        cupy.cuda.set_allocator(None)  # no pool: every array is an allocation of its own
    calls = 0
    layouts = ("aligned", "masked") if chosen.few else ("aligned", "masked", "unaligned")
    for dtype in chosen.dtype or DTYPES:
        operands = Operands(chosen.library, dtype)
        parameters = (operands.array(1, 1), operands.array(1, 1))
        for length in chosen.length or LENGTHS:
            more = () if chosen.few or length > LONG else ("strided", "axis 0")
            for _, x, dy, mask, axis in operands.layouts(length, (*layouts, *more)):
                for function in chosen.function or FUNCTIONS:
                    calls += run(function, x, dy, mask, axis, parameters)
    if chosen.library == "cupy":
        cupy.cuda.runtime.deviceSynchronize()
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    print(f"{calls} calls")


if __name__ == "__main__":
    main()
