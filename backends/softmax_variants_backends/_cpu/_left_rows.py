"""Rows that the kernels leave, because their values are near the ends of the range.

The array-API numerics compute them, on copies of these rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np

from softmax_variants_backends.array_api._gradients import vjp
from softmax_variants_backends.array_api._weights import weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from softmax_variants_backends._axes import RowAxes

    Array = npt.NDArray[Any]

__all__ = ["LeftRows"]

_BLOCK = 1 << 14
"""Entries that are computed at a time."""


@dataclass(frozen=True)
class LeftRows:
    """A call with rows that are left; all arrays are NumPy's."""

    function: str
    axis: int
    form: str | None
    detach_extrema: bool
    axes: RowAxes
    x: Array
    parameters: tuple[Any, Any, Any]
    """SSMax's s, b and n: numbers or arrays."""
    where: Array | None

    def weights(self, rows: npt.NDArray[np.intp], out: Array) -> None:
        """Write the weights of these rows."""
        for _, index in self._blocks(rows):
            self._chosen(out)[index] = weights(
                xp, "cpu", self._chosen(self.x)[index], axis=1, **self._options(index)
            )

    def gradients(
        self, rows: npt.NDArray[np.intp], dy: Array, dx: Array, terms: Array | None
    ) -> None:
        """Write the gradients of these rows, of SSMax with their terms of ds and db."""
        for block, index in self._blocks(rows):
            self._chosen(dx)[index], sums = vjp(
                xp,
                "cpu",
                self._chosen(self.x)[index],
                self._chosen(dy)[index],
                axis=1,
                detach_extrema=self.detach_extrema,
                **self._options(index),
            )
            if sums is not None and terms is not None:
                for words, found in zip(terms, (*sums.ds, *sums.db), strict=True):
                    words[block] = found[:, 0]

    def _blocks(self, rows: npt.NDArray[np.intp]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """Yield some rows' numbers, and where they are, at a time."""
        step = max(1, _BLOCK // self.x.shape[self.axis])
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            yield (
                block,
                tuple(
                    block // step_of_number % size if step_of_number else np.zeros_like(block)
                    for i, (size, step_of_number) in enumerate(
                        zip(self.x.shape, self.axes.row_strides, strict=True)
                    )
                    if i != self.axis
                ),
            )

    def _chosen(self, array: Array) -> Array:
        """Return a view with rows last, to be indexed by where they are."""
        view = np.moveaxis(array, self.axis, -1)
        return view if view.ndim > 1 else view[np.newaxis]

    def _options(self, index: tuple[Any, ...]) -> dict[str, Any]:
        options: dict[str, Any] = {"form": self.form, "where": None}
        if self.where is not None:
            options["where"] = self._picked(self.where, index)
        if self.function == "ssmax":
            options["parameters"] = tuple(
                value
                if value is None or isinstance(value, (int, float))
                else self._picked(value, index)[:, :1]
                for value in self.parameters
            )
        return options

    def _picked(self, array: Array, index: tuple[Any, ...]) -> Array:
        picked: Array = self._chosen(np.broadcast_to(array, self.x.shape))[index]
        return picked
