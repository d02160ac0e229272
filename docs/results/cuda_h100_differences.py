"""Results of two implementations compared bit for bit, and what differs counted and listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Tally", "as_tensor", "differing", "distances"]

LISTED = 5
"""So many differing elements are listed of each comparison."""

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def as_tensor(array: Any) -> Tensor:
    """Return an array of NumPy, CuPy or PyTorch as a tensor, without changing a bit."""
    if isinstance(array, Tensor):
        return array.detach()
    if type(array).__module__.split(".")[0] == "numpy":
        return torch.from_numpy(array)
    return from_dlpack(array)


def differing(first: Tensor, second: Tensor) -> Tensor:
    """Return the flat indices of elements with other bits. All NaN are one."""
    bits = _INTEGERS[first.element_size()]
    same = first.contiguous().view(bits) == second.contiguous().view(bits)
    same |= first.isnan() & second.isnan()
    return (~same).flatten().nonzero().flatten()


def distances(first: Tensor, second: Tensor) -> npt.NDArray[np.uint64]:
    """Return how many numbers of the format lie between two, the second counted; zeros are one."""
    signs, places = [], []
    for tensor in (first, second):
        bits = tensor.view(_INTEGERS[tensor.element_size()]).cpu().numpy().astype(np.int64)
        signs.append(bits < 0)
        places.append((bits & ((1 << (8 * tensor.element_size() - 1)) - 1)).astype(np.uint64))
    one, other = places
    apart = np.maximum(one, other) - np.minimum(one, other)
    return np.where(signs[0] == signs[1], apart, one + other)


@dataclass
class Tally:
    """Comparisons of one kind of result, added up."""

    elements: int = 0
    differing: int = 0
    zeros: int = 0
    """Of those that differ, zeros of the other sign."""
    nans: int = 0
    """Of those that differ, numbers beside a NaN."""
    largest_ulp: int = 0
    """Largest distance of two numbers that differ, in numbers of the format."""
    beyond_one: int = 0
    """Numbers that differ by more than one: entries of a gradient cancel, and what is left then
    has few digits to agree on, or none."""
    first: list[dict[str, Any]] = field(default_factory=list)

    def add(self, first: Any, second: Any, input_name: str) -> None:
        """Compare two arrays and count.

        Raises
        ------
        ValueError
            If they differ in shape or dtype.
        """
        one = as_tensor(first)
        other = as_tensor(second).to(one.device)
        if one.shape != other.shape or one.dtype != other.dtype:
            msg = f"{input_name}: {one.dtype} {tuple(one.shape)} and {other.dtype} {other.shape}"
            raise ValueError(msg)
        self.elements += one.numel()
        indices = differing(one, other)
        if not len(indices):
            return
        self.differing += len(indices)
        one, other = (each.flatten()[indices] for each in (one, other))
        nan = (one.isnan() | other.isnan()).cpu().numpy()
        apart = distances(one, other)
        self.nans += int(nan.sum())
        self.zeros += int((~nan & (apart == 0)).sum())
        self.beyond_one += int((~nan & (apart > 1)).sum())
        self.largest_ulp = max(self.largest_ulp, int(np.where(nan, 0, apart).max()))
        for i in range(min(len(indices), LISTED - len(self.first))):
            values = [float(each[i]).hex() for each in (one, other)]
            entry = {"input": input_name, "index": int(indices[i]), "values": values}
            self.first.append(entry | {"ulp": None if nan[i] else int(apart[i])})

    def to_json(self) -> dict[str, Any]:
        """Return what is written."""
        return dict(vars(self))
