"""Kernels of the documented interface in plain Python: the array-API numerics, row by row.

They read and write memory by address, as the compiled ones do, so that all the rest (plans, views,
parameters, sums, threads) can be tested bit for bit against the array-API backend. Rows whose
first entry is ``LEAVE`` are left, those of binary64.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import array_api_compat.numpy as xp
import ml_dtypes
import numpy as np

from softmax_variants_backends._cpu import _layout as fields
from softmax_variants_backends._cpu._kernels import WHOLE
from softmax_variants_backends.array_api._gradients import vjp
from softmax_variants_backends.array_api._weights import weights

__all__ = ["LEAVE", "StandIn"]

LEAVE = 4321.0

_DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
_FORMS = {
    fields.PLAIN: "plain",
    fields.SHIFTED: "shifted",
    fields.MINMAX: "minmax",
    fields.NORMALIZED: "normalized",
}


def _row(address: int, offset: int, step: int, length: int, dtype: np.dtype[Any]) -> Any:
    """Return a view of a row in memory: of its entries from the lowest address on, turned."""
    assert address % dtype.itemsize == 0
    low = min(0, (length - 1) * step)
    span = abs(step) * (length - 1) + 1
    buffer = (ctypes.c_char * (span * dtype.itemsize)).from_address(
        address + (offset + low) * dtype.itemsize
    )
    flat = np.frombuffer(buffer, dtype)
    if step == 0:
        return np.broadcast_to(flat, (length,))
    return flat[:: abs(step)][:: -1 if step < 0 else 1]


@dataclass
class StandIn:
    """The kernels, and what they were called with."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    units: list[tuple[int, int, int]] = field(default_factory=list)

    def kernel(self, function: str, dtype: str, *, gradients: bool) -> Any:
        def evaluate(stage: int, *arguments: Any) -> int:
            *rest, layout, records, begin, end = arguments
            if stage == WHOLE:
                assert records == 0
                self.ranges.append((begin, end))
                return sum(
                    self._one(function, dtype, row, layout, *rest, gradients=gradients)
                    for row in range(begin, end)
                )
            blocks = -(-int(layout[fields.LENGTH]) // fields.BLOCK)
            all_records = np.frombuffer(
                (ctypes.c_double * (layout[fields.ROWS] * blocks * fields.RECORD)).from_address(
                    records
                )
            ).reshape(-1, fields.RECORD)
            left = 0
            for unit in range(begin, end):
                self.units.append((stage, unit, end - begin))
                # A record holds what the stage before left there.
                if stage:
                    assert all_records[unit, 0] == stage - 1
                all_records[unit, 0] = stage
                rows = int(layout[fields.ROWS])
                if stage == 2 and unit // rows == 0:
                    assert (all_records[unit::rows, 0] >= 1).all()
                    left += self._one(
                        function, dtype, unit % rows, layout, *rest, gradients=gradients
                    )
            return left

        return evaluate

    def _one(
        self,
        function: str,
        dtype: str,
        row: int,
        layout: Any,
        x_at: int,
        dy_at: int,
        out_at: int,
        mask_at: int,
        s_at: int,
        b_at: int,
        n_at: int,
        n_low_at: int,
        terms_at: int,
        left_at: int,
        s: float,
        b: float,
        log_n: float,
        log_n_low: float,
        *,
        gradients: bool,
    ) -> int:
        assert (layout.dtype, layout.shape) == (np.dtype(np.int64), (fields.FIELDS,))
        length, axes = int(layout[fields.LENGTH]), int(layout[fields.AXES])
        sizes = layout[fields.SIZES : fields.SIZES + axes]
        at = np.unravel_index(row, sizes)

        def offset(k: int) -> int:
            start = fields.STRIDES + 8 * k
            return int(np.dot(at, layout[start : start + axes]))

        def read(address: int, k: int, of: str | np.dtype[Any]) -> Any:
            own = _DTYPES[of] if isinstance(of, str) else of
            step = int(layout[fields.STEPS + k])
            return _row(address, offset(k), step, length, own)

        def word(address: int, k: int) -> Any:
            return _row(address, offset(k), 1, 1, _DTYPES["float64"])

        wide = dtype == "float64"
        x, out = read(x_at, fields.X, dtype), read(out_at, fields.OUT, dtype)
        assert bool(left_at) == wide
        assert bool(dy_at) == gradients
        if wide and x[0] == LEAVE:
            ctypes.c_uint8.from_address(left_at + row).value = 1
            return 1
        options: dict[str, Any] = {"axis": 0}
        if mask_at:
            options["where"] = read(mask_at, fields.MASK, np.dtype(bool))
        else:
            options["where"] = None
        if function == "sa_softmax":
            options["form"] = _FORMS[int(layout[fields.FORM])]
        if function == "ssmax":
            options["parameters"] = (
                word(s_at, fields.PARAMETER_S) if s_at else s,
                word(b_at, fields.PARAMETER_B) if b_at else b,
                self._n(layout, n_at, n_low_at, log_n, log_n_low, word),
            )
        with np.errstate(all="ignore"):
            if not gradients:
                out[:] = weights(xp, "cpu", x, **options)
                return 0
            dy = read(dy_at, fields.DY, dtype)
            detach = bool(layout[fields.DETACH])
            dx, sums = vjp(xp, "cpu", x, dy, detach_extrema=detach, **options)
        out[:] = dx
        if sums is None:
            assert not terms_at
            return 0
        rows = int(layout[fields.ROWS])
        terms = np.frombuffer((ctypes.c_double * (4 * rows)).from_address(terms_at))
        words = (*sums.ds, 0.0)[:2] + (*sums.db, 0.0)[:2]
        for k, value in enumerate(words):
            terms.reshape(4, rows)[k, row] = np.asarray(value).item()
        return 0

    def _n(
        self, layout: Any, at: int, low_at: int, log_n: float, log_n_low: float, word: Any
    ) -> Any:
        source = int(layout[fields.N_FROM])
        assert bool(at) == (source == fields.FROM_ARRAY)
        if source == fields.FROM_ARRAY:
            high = word(at, fields.PARAMETER_N)
            if not low_at:
                return high
            total = int(high.item()) + int(word(low_at, fields.PARAMETER_N).item())
            return np.asarray([total], np.uint64)
        # Both logarithms are of whole numbers in these tests.
        number = round(np.exp(log_n))
        assert abs(np.log(number) - log_n) <= 1e-15
        assert abs(log_n_low) <= 2e-16 * abs(log_n)
        if source == fields.FROM_COUNT:
            assert number == layout[fields.LENGTH]
            return None
        return number
