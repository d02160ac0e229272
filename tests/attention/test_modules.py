"""The modules: what they compute, start from, save, and say to wrong arguments."""

from __future__ import annotations

import copy
import math
import pickle
import re

import pytest
import torch

import softmax_variants as sv
from softmax_variants.torch import SASoftmax, Softmax, SSMax

FORMS = ("plain", "shifted", "minmax", "normalized")


@pytest.fixture
def scores():
    return torch.randn((2, 3, 4, 5), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def sees():
    return torch.ones(4, 5, dtype=torch.bool).tril(1)


def test_softmax_is_the_function(scores, sees):
    torch.testing.assert_close(Softmax()(scores), sv.softmax(scores), rtol=0, atol=0)
    along = Softmax(1)(scores, where=sees)
    torch.testing.assert_close(along, sv.softmax(scores, axis=1, where=sees), rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("detach_extrema", [False, True])
def test_sa_softmax_is_the_function(scores, sees, form, detach_extrema):
    x, own = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    options = {"form": form, "detach_extrema": detach_extrema, "axis": -1}
    y = SASoftmax(form, detach_extrema=detach_extrema)(x, where=sees)
    expected = sv.sa_softmax(own, where=sees, **options)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, own.grad, rtol=0, atol=0)


def test_sa_softmax_takes_an_axis(scores):
    expected = sv.sa_softmax(scores, axis=0)
    torch.testing.assert_close(SASoftmax(axis=0)(scores), expected, rtol=0, atol=0)


@pytest.mark.parametrize("bias", [None, 0.25])
def test_ssmax_is_the_function_with_a_scale_for_each_head(scores, sees, bias):
    module = SSMax(3, bias=bias)
    with torch.no_grad():
        module.s.copy_(torch.tensor([0.3, 1.0, -0.5]))
    s = module.s.detach().reshape(3, 1, 1).requires_grad_()
    b = 0.0 if bias is None else torch.full((3, 1, 1), bias, requires_grad=True)
    y = module(scores, where=sees)
    expected = sv.ssmax(scores, s, b, where=sees)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(module.s.grad, s.grad.reshape(3), rtol=0, atol=0)
    assert module.s.grad.ne(0).all()
    if bias is not None:
        torch.testing.assert_close(module.b.grad, b.grad.reshape(3), rtol=0, atol=0)


def test_ssmax_takes_n(scores):
    n = torch.tensor([7, 8, 9, 10]).reshape(4, 1)
    module = SSMax(3, init=0.43)
    expected = sv.ssmax(scores, torch.full((3, 1, 1), 0.43), n=n)
    torch.testing.assert_close(module(scores, n=n), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("init", "length", "bias", "s"),
    [
        (1.0, None, None, 1.0),
        (0.43, None, None, 0.43),
        (0, None, 1, 0.0),
        ("log_length", 1024, None, 1 / math.log(1024)),
        ("log_length", 1024, 0.25, 0.75 / math.log(1024)),
        ("mean_log_length", 1024, None, 1024 / math.fsum(map(math.log, range(1, 1025)))),
        ("mean_log_length", 2, 0.5, 0.5 * 2 / math.log(2)),
    ],
)
def test_ssmax_starts_from(init, length, bias, s):
    module = SSMax(4, init=init, length=length, bias=bias, dtype=torch.float64)
    # lgamma, ln and the division are each off by an ULP or so.
    torch.testing.assert_close(
        module.s.detach(), torch.full((4,), s, dtype=torch.float64), rtol=1e-15, atol=0
    )
    assert (module.b is None) == (bias is None)
    if bias is not None:
        assert module.b.tolist() == [bias] * 4


def test_log_length_is_softmax_at_that_length():
    x = torch.randn((1, 2, 3, 64), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = SSMax(2, init="log_length", length=64, dtype=torch.float64)(x)
    # c differs from 1 by 2 rounding errors, 2^-52, and logits from their maximum by at most 8.
    torch.testing.assert_close(y, sv.softmax(x), rtol=2e-15, atol=0)


def test_mean_log_length_has_a_mean_scale_of_one():
    length = 37
    s = SSMax(1, init="mean_log_length", length=length, dtype=torch.float64).s.item()
    scales = [s * math.log(n) for n in range(1, length + 1)]
    assert math.fsum(scales) / length == pytest.approx(1.0, rel=1e-14)


def test_reset_parameters_starts_over():
    module = SSMax(2, init=0.43, bias=0.5)
    with torch.no_grad():
        module.s.fill_(7.0)
        module.b.fill_(8.0)
    module.reset_parameters()
    assert module.s.tolist() == SSMax(2, init=0.43).s.tolist()
    assert module.b.tolist() == [0.5, 0.5]


def test_learned_or_not_s_is_saved_and_moved():
    learned, fixed = SSMax(2, bias=1.0), SSMax(2, bias=1.0, learned=False)
    assert [name for name, _ in learned.named_parameters()] == ["s", "b"]
    assert list(fixed.parameters()) == []
    assert [name for name, _ in fixed.named_buffers()] == ["s", "b"]
    assert list(fixed.state_dict()) == list(learned.state_dict()) == ["s", "b"]
    assert list(SSMax(2).state_dict()) == ["s"]
    assert fixed.to(torch.float64).s.dtype == torch.float64
    assert learned.double().b.dtype == torch.float64


@pytest.mark.parametrize("learned", [False, True])
def test_state_dict_round_trip(learned):
    module = SSMax(3, init=0.43, bias=0.5, learned=learned)
    with torch.no_grad():
        module.s.copy_(torch.tensor([1.0, 2.0, 3.0]))
    other = SSMax(3, bias=0.0, learned=learned)
    other.load_state_dict(module.state_dict())
    assert other.s.tolist() == [1.0, 2.0, 3.0]
    assert other.b.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    "module", [Softmax(1), SSMax(3, init="log_length", length=9, bias=0.5), SASoftmax("plain")]
)
def test_copies_compute_the_same(module, scores):
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(scores), module(scores), rtol=0, atol=0)
        assert repr(other) == repr(module)
        assert all(a is not b for a, b in zip(other.parameters(), module.parameters(), strict=True))


def test_ssmax_on_the_meta_device():
    module = SSMax(3, init=0.43, bias=0.5, device="meta")
    assert module.s.is_meta
    module.to_empty(device="cpu").reset_parameters()
    assert module.s.tolist() == SSMax(3, init=0.43).s.tolist()
    assert module.b.tolist() == [0.5] * 3
    with torch.device("meta"):
        assert SSMax(3).s.is_meta


def test_replicas_read_their_own_scale(scores):
    """A replica of DataParallel has the tensors as attributes, and no parameters."""
    module = SSMax(3, bias=0.5)
    replica = module._replicate_for_data_parallel()
    replica.s, replica.b = module.s * 2, module.b * 2
    expected = sv.ssmax(scores, module.s.reshape(3, 1, 1) * 2, module.b.reshape(3, 1, 1) * 2)
    torch.testing.assert_close(replica(scores), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Softmax(), "Softmax(axis=-1)"),
        (SSMax(2), "SSMax(heads=2, init=1.0)"),
        (
            SSMax(2, init="log_length", length=64, bias=0.5, learned=False),
            "SSMax(heads=2, init='log_length', length=64, bias=0.5, learned=False)",
        ),
        (SASoftmax(), "SASoftmax(form='normalized')"),
        (
            SASoftmax("minmax", detach_extrema=True, axis=1),
            "SASoftmax(form='minmax', detach_extrema=True, axis=1)",
        ),
    ],
)
def test_repr_is_the_call(module, text):
    assert repr(module) == text
    assert repr(eval(text, {"Softmax": Softmax, "SSMax": SSMax, "SASoftmax": SASoftmax})) == text


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_scores_with_a_wide_scale(scores, dtype):
    y = SSMax(3, init=0.43)(scores.to(dtype))
    assert y.dtype == dtype
    expected = sv.ssmax(scores.to(dtype), torch.full((3, 1, 1), 0.43))
    torch.testing.assert_close(y, expected, rtol=0, atol=0)


WRONG = {
    "Softmax(1.0)": (TypeError, "axis must be an int, got"),
    "Softmax(axis=True)": (TypeError, "axis must be an int, got"),
    "SSMax(2.0)": (TypeError, "heads must be an int, got"),
    "SSMax(0)": (ValueError, "heads must be at least 1, got 0"),
    "SSMax(2, init='ln')": (ValueError, "init must be a number, 'log_length' or"),
    "SSMax(2, init=None)": (TypeError, "init must be a number or 'log_length' or"),
    "SSMax(2, init=True)": (TypeError, "init must be a number or 'log_length' or"),
    "SSMax(2, init=math.nan)": (ValueError, "init must be finite, got"),
    "SSMax(2, init=10**400)": (ValueError, "init must be finite, got"),
    "SSMax(2, init='log_length')": (ValueError, "length is required by init='log_length': pass"),
    "SSMax(2, init='log_length', length=1)": (ValueError, "length must be at least 2, got 1"),
    "SSMax(2, init='log_length', length=8.0)": (TypeError, "length must be an int, got"),
    "SSMax(2, length=8)": (ValueError, "length is used by init='log_length' and"),
    "SSMax(2, bias='1')": (TypeError, "bias must be a number or None, got"),
    "SSMax(2, bias=math.inf)": (ValueError, "bias must be finite, got"),
    "SSMax(2, learned=1)": (TypeError, "learned must be a bool, got"),
    "SSMax(2, dtype=torch.int64)": (TypeError, "dtype must be a real floating dtype"),
    "SSMax(2, dtype='float32')": (TypeError, "dtype must be a real floating dtype"),
    "SASoftmax('sharp')": (ValueError, "form must be one of"),
    "SASoftmax(2)": (TypeError, "form must be a str"),
    "SASoftmax(detach_extrema=1)": (TypeError, "detach_extrema must be a bool"),
    "SASoftmax(axis='keys')": (TypeError, "axis must be an int, got"),
}


@pytest.mark.parametrize("call", WRONG)
def test_wrong_options(call):
    error, message = WRONG[call]
    with pytest.raises(error, match=re.escape(message)):
        eval(call)


def test_ssmax_wants_a_head_axis():
    for shape in ((3, 5), (2, 4, 4, 5)):
        with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 3, queries, keys\)"):
            SSMax(3)(torch.zeros(shape))
    with pytest.raises(TypeError, match="x must be a tensor of scores, got"):
        SSMax(3)([[1.0]])
