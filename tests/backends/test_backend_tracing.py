"""No control flow depends on data: arrays whose elements cannot be looked at are enough."""

from __future__ import annotations

import math
import operator
from typing import Any

import array_api_strict
import numpy as np
import pytest

from backend_support.namespaces import Traced
from backend_support.variants import VARIANTS, Variant
from softmax_variants_backends import array_api


def traced(a: Any) -> Traced:
    return Traced(array_api_strict.asarray(a))


LOOKS = (bool, int, float, complex, operator.index, len, iter, list, np.asarray)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_a_look_at_a_traced_array_raises(look: Any) -> None:
    with pytest.raises(RuntimeError, match="looks at the elements"):
        look(traced(np.ones(())))


def test_traced_arrays_compute() -> None:
    x: Any = traced(np.asarray([1.0, -2.0]))
    xp = x.__array_namespace__()
    got = xp.where(2.0 * x > 1.0, -x, x / 2.0)[0:2]
    assert isinstance(got, Traced)
    assert np.asarray(got.revealed()).tolist() == [-1.0, -1.0]
    with pytest.raises(RuntimeError, match="looks at the elements"):
        x.item()
    with pytest.raises(RuntimeError, match="looks at the elements"):
        x[0] = 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_functions_do_not_look_at_elements(variant: Variant, dtype: str) -> None:
    # Rows of every special kind: nothing in their elements may be asked for.
    x = np.asarray([[1, 2, -3], [0, 0, 0], [math.nan, 1, 2], [math.inf, -math.inf, 1]], dtype)
    x = np.concatenate([x, np.full((1, 3), -math.inf, dtype), x[:1] * np.asarray(1e-38, dtype)])
    dy = np.cos(np.arange(18.0)).reshape(6, 3).astype(dtype)
    dy[1, 1] = math.inf
    where = np.arange(18).reshape(6, 3) % 4 > 0
    s = np.linspace(-1.0, 1.0, 6).reshape(6, 1)
    n = np.asarray([[0], [1], [2], [3], [4], [2**40]])
    masks = [(None, None), (traced(where), where)]
    options: list[Any] = [
        ({}, {}),
        ({"s": traced(s), "n": traced(n)}, {"s": s, "n": n}),
        ({"n": 5}, {"n": 5}),
    ]
    for hidden, shown in options:
        for hidden_mask, mask in masks:
            got = _all(variant, traced(x), traced(dy), **hidden, where=hidden_mask)
            wanted = _all(variant, x, dy, **shown, where=mask)
            for one, other in zip(got, wanted, strict=True):
                assert isinstance(one, Traced)
                np.testing.assert_array_equal(np.asarray(one.revealed()), other)


def _all(variant: Variant, x: Any, dy: Any, **options: Any) -> tuple[Any, ...]:
    y = variant.weights(array_api, x, axis=1, **options)
    return (y, *variant.gradients(array_api, x, dy, axis=1, **options))
