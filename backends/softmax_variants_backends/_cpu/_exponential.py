"""The exponential of logits up to 32 bits, in binary64."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from ._functions import inlined
from ._intrinsics import fma, full, larger, shift_exponent
from ._layout import FLOAT16, FLOAT32

__all__ = ["FLOOR", "exponential", "precision_of"]

FULL, SHORT, SHORTER = 0, 1, 2

FLOOR = -700.0
"""Below this a weight, whatever it is multiplied with, is 0 in every type of 32 bits or less; the
exponential must stay a normal number."""

# (exp(r) - 1) / r on |r| <= ln(2)/2, minimax, highest power first. exp(r) then has a relative error
# of 2^-50.5.
_T0 = float.fromhex("0x1.28917c9f3a495p-22")
_T1 = float.fromhex("0x1.72e107e8d8eb6p-19")
_T2 = float.fromhex("0x1.a019b914881bap-16")
_T3 = float.fromhex("0x1.a01994c82e1c6p-13")
_T4 = float.fromhex("0x1.6c16c17889f3cp-10")
_T5 = float.fromhex("0x1.11111123bf1c5p-7")
_T6 = float.fromhex("0x1.5555555553d68p-5")
_T7 = float.fromhex("0x1.5555555550d87p-3")
_T8 = float.fromhex("0x1.0000000000001p-1")
_T9 = float.fromhex("0x1.0000000000006p+0")

_INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
_MINUS_LN2 = -float.fromhex("0x1.62e42fefa39efp-1")
_ROUNDER = 1.5 * 2.0**52


# exp(r) by 1 + r + r^2 times these: 2^-33.
_S0 = float.fromhex("0x1.a1516a0790f9dp-13")
_S1 = float.fromhex("0x1.6d753216c60e8p-10")
_S2 = float.fromhex("0x1.1110c63a3c331p-7")
_S3 = float.fromhex("0x1.5554ace0f68fap-5")
_S4 = float.fromhex("0x1.55555567506dep-3")
_S5 = float.fromhex("0x1.00000028795d2p-1")

# exp(r) by 1 + r times these: 2^-28.5.
_R0 = float.fromhex("0x1.709b640f47df3p-10")
_R1 = float.fromhex("0x1.12903d7971052p-7")
_R2 = float.fromhex("0x1.55515efb2956cp-5")
_R3 = float.fromhex("0x1.5553c1090bf4ap-3")
_R4 = float.fromhex("0x1.000001752095dp-1")
_R5 = float.fromhex("0x1.000000d53432dp+0")


@inlined
def precision_of(storage, gradients):
    """Return which polynomial results of a format take: FULL, SHORT, or SHORTER.

    The relative error of a weight is up to twice the exponential's. In units of the format's last
    place, up to 2^p of them in a number of p bits: float32, FULL, 2^-49.5 makes 2^-25.5; float16,
    SHORT, 2^-21; bfloat16, SHORTER, 2^-19.5. Gradients are differences, whose errors are judged,
    at 4 units and more, against the terms: SHORT errs by 2^-8 units of the terms of float32,
    SHORTER by 2^-16.5 of those of 16 bits.
    """
    if gradients:
        return SHORT if storage == FLOAT32 else SHORTER
    if storage == FLOAT32:
        return FULL
    return SHORT if storage == FLOAT16 else SHORTER


@inlined
def exponential(precision, z):
    """exp(z) for z <= 0; -inf counts as the floor, and so does NaN.

    exp(z) = 2^k exp(r). The sum with 1.5 * 2^52 rounds to an integer, which its low bits show: k.
    ln(2) in one word is off by 2^-54 |z|, below 2^-46 for weights that are not 0 (|z| < 2^7.6; with
    gates and cotangents 2^9.5, and 2^-44.5).
    """
    z = larger(z, full(FLOOR))
    shifted = fma(z, full(_INVERSE_LN2), full(_ROUNDER))
    r = fma(shifted - _ROUNDER, full(_MINUS_LN2), z)
    if precision == SHORTER:
        q = fma(full(_R0), r, full(_R1))
        q = fma(q, r, full(_R2))
        q = fma(q, r, full(_R3))
        q = fma(q, r, full(_R4))
        q = fma(q, r, full(_R5))
        q = fma(q, r, full(1.0))
        return shift_exponent(q, shifted)
    if precision == SHORT:
        q = fma(full(_S0), r, full(_S1))
        q = fma(q, r, full(_S2))
        q = fma(q, r, full(_S3))
        q = fma(q, r, full(_S4))
        q = fma(q, r, full(_S5))
        q = fma(q, r, full(1.0))
        q = fma(q, r, full(1.0))
        return shift_exponent(q, shifted)
    q = fma(full(_T0), r, full(_T1))
    q = fma(q, r, full(_T2))
    q = fma(q, r, full(_T3))
    q = fma(q, r, full(_T4))
    q = fma(q, r, full(_T5))
    q = fma(q, r, full(_T6))
    q = fma(q, r, full(_T7))
    q = fma(q, r, full(_T8))
    q = fma(q, r, full(_T9))
    q = fma(q, r, full(1.0))
    return shift_exponent(q, shifted)
