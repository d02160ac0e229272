"""Rows of strided arrays: whatever the layouts, a row's number leads to the same row in all."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from softmax_variants_backends._axes import merge, row_axes

layouts = st.lists(st.integers(1, 4), min_size=1, max_size=5).flatmap(
    lambda shape: st.tuples(
        st.just(tuple(shape)),
        st.integers(0, len(shape) - 1),
        st.lists(
            st.tuples(st.permutations(range(len(shape))), st.lists(st.booleans(), min_size=5)),
            min_size=1,
            max_size=3,
        ),
    )
)


@given(layouts)
def test_rows_of_merged_axes_are_the_rows(
    case: tuple[tuple[int, ...], int, list[tuple[list[int], list[bool]]]],
) -> None:
    """Every row number leads to the same row in all arrays: transposed, reversed, expanded."""
    shape, axis, wanted = case
    arrays = []
    for order, flips in wanted:
        view = np.arange(prod(shape)).reshape([shape[i] for i in order])
        view = view.transpose(np.argsort(order))
        view = view[tuple(slice(None, None, -1 if flip else 1) for flip in flips[: view.ndim])]
        if flips[-1]:
            view = np.broadcast_to(view[:1], shape)
        arrays.append(view)
    strides = [tuple(stride // 8 for stride in view.strides) for view in arrays]
    found = row_axes(shape, axis, strides)
    assert found is not None
    numbers = np.array([[0]])
    for size in found.sizes:
        numbers = np.repeat(numbers, size, axis=0)
    assert found.rows == prod(shape) // shape[axis]
    for view, own in zip(arrays, found.strides, strict=True):
        first = np.moveaxis(view, axis, -1)[..., 0]
        for index in np.ndindex(first.shape):
            kept = [i for i in range(len(shape)) if i != axis]
            row = sum(found.row_strides[i] * at for i, at in zip(kept, index, strict=True))
            offset, rest = 0, row
            for size, stride in zip(reversed(found.sizes), reversed(own), strict=True):
                offset += rest % size * stride
                rest //= size
            base = view[(0,) * view.ndim]
            assert base + offset == first[index]


def test_merge_keeps_one_axis() -> None:
    assert merge((), ((), ())) == ((1,), ((0,), (0,)))
    assert merge((1, 1), ((3, 5),)) == ((1,), ((0,),))
    assert merge((2, 3, 4), ((12, 4, 1),)) == ((24,), ((1,),))
    assert merge((2, 3), ((3, 1), (1, 2))) == ((2, 3), ((3, 1), (1, 2)))
    assert merge((2, 3), ((0, 0),)) == ((6,), ((0,),))
