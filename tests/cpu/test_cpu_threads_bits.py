"""Same bits whatever the threads: dealt rows, shared rows, callers at once, forked children."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import softmax_variants as sv
from backend_support.variants import Variant
from softmax_variants_backends import numpy as numpy_backend
from softmax_variants_backends import torch as torch_backend
from softmax_variants_backends._cpu import _layout as fields
from softmax_variants_backends._cpu import _numpy_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIANTS = [Variant("softmax"), Variant("ssmax"), Variant("sa_softmax")]
SHAPES = [(700, 513), (30_000, 7), (3, 2 * fields.BLOCK + 5), (1, 5 * fields.BLOCK), (40, 40_000)]


@pytest.fixture
def set_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()

    def set_them(count: int) -> None:
        monkeypatch.setattr(_numpy_arrays, "process_threads", lambda: count)
        torch.set_num_threads(count)

    yield set_them
    torch.set_num_threads(before)


def bits(values: Any) -> list[bytes]:
    return [np.asarray(value).tobytes() for value in values]


def results(variant: Variant, x: Any, dy: Any, **options: Any) -> list[bytes]:
    library = torch_backend if isinstance(x, torch.Tensor) else numpy_backend
    y = variant.weights(library, x, **options)
    return bits([y, *variant.gradients(library, x, dy, **options)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_any_number_of_threads(
    variant: Variant, shape: tuple[int, int], dtype: type, set_threads: Callable[[int], None]
) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(0, 3, shape).astype(dtype) for _ in range(2))
    for axis, options in ((1, {"where": rng.random((1, shape[1])) < 0.9}), (0, {})):
        if axis == 0:
            x, dy = (np.ascontiguousarray(own.T) for own in (x, dy))
        set_threads(1)
        alone = results(variant, x, dy, axis=axis, **options)
        for count in (2, 3, 8):
            set_threads(count)
            assert results(variant, x, dy, axis=axis, **options) == alone
        # The same for tensors, and for a row by itself.
        tensors = {name: torch.from_numpy(value) for name, value in options.items()}
        pair = torch.from_numpy(x), torch.from_numpy(dy)
        assert results(variant, *pair, axis=axis, **tensors) == alone
        row = x[-1:] if axis else np.ascontiguousarray(x[:, -1:])
        own = variant.weights(numpy_backend, row, axis=axis, **options)
        whole = np.frombuffer(alone[0], dtype).reshape(x.shape)
        assert own.tobytes() == (whole[-1:] if axis else whole[:, -1:]).tobytes()


def test_callers_at_once(set_threads: Callable[[int], None]) -> None:
    set_threads(3)
    rng = np.random.default_rng(1)
    arrays = [rng.normal(0, 3, (300 + 20 * k, 1000)).astype(np.float32) for k in range(4)]
    wanted = [sv.softmax(x).tobytes() for x in arrays]
    wrong: list[int] = []

    def call(k: int) -> None:
        wrong.extend(k for _ in range(30) if sv.softmax(arrays[k]).tobytes() != wanted[k])

    callers = [threading.Thread(target=call, args=(k % 4,)) for k in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not wrong


LOADER = """
import hashlib, os
os.environ["OMP_NUM_THREADS"] = "3"
import numpy as np
import torch
import softmax_variants as sv

def made(index):
    x = np.random.default_rng(index).normal(0, 3, (400, 500)).astype(np.float32)
    y = sv.softmax(x)
    z = sv.softmax(torch.from_numpy(x))
    assert y.tobytes() == z.numpy().tobytes()
    return hashlib.sha256(y.tobytes()).hexdigest()

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return made(index)

if __name__ == "__main__":
    here = [made(index) for index in range(6)]
    for _ in range(2):
        loader = torch.utils.data.DataLoader(
            Rows(), batch_size=None, num_workers=2, timeout=60, multiprocessing_context="fork"
        )
        assert list(loader) == here
        assert [made(index) for index in range(6)] == here
    print("done")
"""


def test_workers_of_a_data_loader() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", LOADER],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
