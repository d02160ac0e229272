"""The limits that the pages of the variants name are approached."""

from __future__ import annotations

from typing import Any

import pytest

from exact_values import sa_softmax, softmax, ssmax

FAR = 1e4


def near(found: Any, wanted: Any, absolute: float = 1e-6) -> None:
    assert [float(y) for y in found] == pytest.approx([float(y) for y in wanted], abs=absolute)


def test_softmax() -> None:
    near(softmax(FAR, 1, 2), (1, 0, 0))
    near(softmax(-FAR, 1, 2), (0, *softmax(1, 2)))
    near(softmax(5, 5, 5, 5), (0.25,) * 4)
    near(softmax(*(1e-9 * x for x in (1, 2, 7))), (1 / 3,) * 3)
    near(softmax(*(FAR * x for x in (1, 2, 2))), (0, 0.5, 0.5))


@pytest.mark.parametrize("s", [0.5, 2.0])
def test_ssmax(s: float) -> None:
    near(ssmax(1, 2, 7, s=1e-9), (1 / 3,) * 3)
    near(ssmax(1, 7, 7, s=FAR), (0, 0.5, 0.5))
    near(ssmax(-3, s=s), (1,))
    # All others lie the same gap below the largest: n^(−s gap) of it each, n − 1 of them.
    largest = {
        gap: [float(ssmax(gap / s, *(0.0,) * (n - 1), s=s)[0]) for n in (10, 300, 9000)]
        for gap in (0.5, 1.0, 1.5)
    }
    assert largest[0.5] == sorted(largest[0.5], reverse=True)
    assert largest[0.5][-1] < 0.02
    assert largest[1.0][-1] == pytest.approx(0.5, abs=1e-3)
    assert largest[1.5] == sorted(largest[1.5])
    assert largest[1.5][-1] > 0.98


def test_sa_softmax() -> None:
    near(sa_softmax(1e-9, 1e-9), (0.5, 0.5))
    near(sa_softmax(-1e-9, -1e-9), (0, 0))
    near(sa_softmax(2, 1, -1, -1e30), (*softmax(2, 1, -1), 0))
    for form, wanted in (("normalized", 1), ("minmax", 1), ("plain", FAR), ("shifted", FAR - 1)):
        near(sa_softmax(FAR, 1, form=form)[:1], (wanted,))
