"""The kernels compile without a GPU, to code that computes what the source says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cuda_support.emulator import DEVICE_SOURCE
from cuda_support.nvrtc import compile_source
from softmax_variants_backends._cuda._compile import options_of
from softmax_variants_backends._cuda._launch import Limits, Module
from softmax_variants_backends._cuda._plan import SMALL_BLOCK, STRIDED_THREADS, path_of
from softmax_variants_backends._cuda._source import files_of, source_of

if TYPE_CHECKING:
    from cuda_support.nvrtc import Compiled

AMPERE, HOPPER = (8, 0), (9, 0)

ITEM_SIZES = {"Half": 2, "Bfloat": 2, "Float": 4, "Double": 8}
SUMS = Module("")


def known(storage: str, function: str, length: int, *, gradients: bool = False) -> Module:
    """Return the module for rows of one length, all of them whole vectors."""
    limits = Limits(HOPPER, 227 << 10)
    path = path_of(length, ITEM_SIZES[storage], limits, gradients=gradients)
    assert path.special
    return Module(storage, function, gradients, path.parts, path.lanes, path.vectors)


# All types, functions, directions and sizes of a cluster; those with the most to keep in registers
# for every kind of kernel. (bfloat16 differs from float16 in conversions only.)
WEIGHTS = [
    known("Bfloat", "ssmax", 4096),
    known("Half", "sa_softmax", 4096),
    known("Bfloat", "softmax", 65536),
    known("Float", "sa_softmax", 1024),
    Module("Half", "ssmax"),
    Module("Float", "softmax"),
    Module("Bfloat", "sa_softmax", parts=8),
    Module("Float", "sa_softmax", parts=2),
]
GRADIENTS = [
    known("Half", "ssmax", 4096, gradients=True),
    known("Float", "sa_softmax", 65536, gradients=True),
    Module("Bfloat", "sa_softmax", gradients=True),
    Module("Float", "softmax", gradients=True),
    Module("Half", "softmax", gradients=True, parts=4),
    Module("Float", "ssmax", gradients=True, parts=16),
]
WIDE = [
    Module("Double", "softmax"),
    Module("Double", "sa_softmax", gradients=True),
    Module("Double", "ssmax", parts=2),
]
SPLIT = [
    Module("Half", "sa_softmax", gradients=True, parts=0),
    Module("Float", "ssmax", gradients=True, parts=0),
]
# Bytes that a thread may store for want of registers. 64 or 80 registers a thread leave room for
# more rows at a time, which is worth more than what a row has in common (its facts and sums, read
# again a few times) costs in memory: 20 numbers. Were the exponentials of a vector there too, it
# would be more. Rows of float64, and the sums, have registers enough.
MOST_SPILLED = [
    *((module, 160) for module in [*WEIGHTS, *GRADIENTS, *SPLIT]),
    *((module, 0) for module in [*WIDE, SUMS]),
]


def name_of(module: Module) -> str:
    direction = "gradients" if module.gradients else "weights"
    return "-".join(map(str, [module.storage, module.function, direction, *module[3:]]))


def assembled(module: Module, capability: tuple[int, int]) -> Compiled:
    return compile_source(
        source_of(module), [*options_of(module, capability), "--ptxas-options=-v"]
    )


def ptx_of(module: Module, *options: str) -> str:
    """Return what the kernels come to before they are assembled."""
    own = [option.replace("-arch=sm_", "-arch=compute_") for option in options_of(module, AMPERE)]
    return compile_source(source_of(module), [*own, *options]).ptx


def complaints_of(compiled: Compiled) -> list[str]:
    return re.findall(r"^.*(?:warning|error).*$", compiled.log, re.MULTILINE)


def spills_of(compiled: Compiled) -> dict[str, int]:
    """Return the bytes that each kernel stores for want of registers.

    Those of the functions that it calls are not counted: they are for what is rare.
    """
    kernels = re.findall(r"Compiling entry function '(\w+)'", compiled.log)
    stored = r"Function properties for (\w+)\n.*?(\d+) bytes spill stores"
    found = {name: int(count) for name, count in re.findall(stored, compiled.log)}
    return {name: found[name] for name in kernels}


def roundings_left_open(ptx: str) -> set[str]:
    """Return the instructions that may be fused, approximate, or flush subnormal numbers."""
    arithmetic = re.findall(
        r"\b((?:add|sub|mul|fma|mad|div|rcp|sqrt|ex2|lg2)\.[a-z0-9.]*f(?:16|16x2|32|64))\b", ptx
    )
    assert arithmetic
    return {name for name in arithmetic if ".rn." not in name or ".ftz" in name}


def names_in(module: Module) -> set[str]:
    if not module.storage:
        return {"sum_terms"}
    if module.parts == 0:
        return {"split_parts", "split_rows", "split_write"}
    return {"rows" if module.parts == 1 else f"rows_{module.parts}"}


@pytest.mark.parametrize(
    ("module", "most"), [pytest.param(*case, id=name_of(case[0])) for case in MOST_SPILLED]
)
def test_hopper(module: Module, most: int) -> None:
    compiled = assembled(module, HOPPER)
    assert complaints_of(compiled) == []
    assert roundings_left_open(compiled.ptx) == set()
    spills = spills_of(compiled)
    assert set(spills) == names_in(module)
    assert max(spills.values()) <= most
    # No block of the plan has more threads than the kernel has registers for.
    if module.storage:
        needed = STRIDED_THREADS[ITEM_SIZES[module.storage]]
        if module.lanes:
            needed = max(module.lanes, SMALL_BLOCK)
        bounds = re.findall(r"\.maxntid (\d+)", compiled.ptx)
        assert [name for name in bounds if int(name) < needed] == []
        assert len(bounds) == len(spills)


# The assembler knows whether an architecture has an instruction: one module for each type.
@pytest.mark.parametrize("module", [*WEIGHTS[:2], GRADIENTS[3], WIDE[0], SUMS], ids=name_of)
def test_ampere(module: Module) -> None:
    compiled = assembled(module, AMPERE)
    assert complaints_of(compiled) == []
    assert roundings_left_open(compiled.ptx) == set()


@pytest.mark.parametrize("module", [WEIGHTS[3], WIDE[0]], ids=name_of)
def test_fused_only_where_written(module: Module) -> None:
    assert "fma.rn.f64" in ptx_of(module)
    unfused = [f"-D{name}(a,b,c)=((a)*(b)+(c))" for name in ("fma", "fmaf")]
    assert "fma" not in ptx_of(module, *unfused)


def test_emulated_device_has_the_same_names() -> None:
    texts = {name: text for module in (WIDE[0], SUMS) for name, text in files_of(module)}
    device = texts.pop("device.cuh")
    kernels = "".join(texts.values())
    names = {
        kind: set(re.findall(pattern, device, re.MULTILINE))
        for kind, pattern in {
            "macros": r"^#define (\w+)",
            "functions": r"^DEVICE [\w ]+[ *&](\w+)\(",
            "types": r"^(?:typedef .* (\w+);|struct alignas\(\d+\) \w+)",
            "constants": r"^constexpr \w+ (\w+)",
        }.items()
    }
    assert len(names["functions"]) > 20
    for kind, own in names.items():
        used = {name for name in own if re.search(rf"\b{name}\b", kernels)}
        missing = {name for name in used if not re.search(rf"\b{name}\b", DEVICE_SOURCE)}
        assert missing == set(), kind
