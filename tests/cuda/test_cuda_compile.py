"""The kernels compile without a GPU, to code that computes what the source says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cuda_support.emulator import DEVICE_SOURCE
from cuda_support.nvrtc import compile_source
from softmax_variants_backends._cuda._compile import options_of
from softmax_variants_backends._cuda._launch import Limits, Module
from softmax_variants_backends._cuda._plan import STRIDED_THREADS, path_of
from softmax_variants_backends._cuda._source import files_of, source_of

if TYPE_CHECKING:
    from cuda_support.nvrtc import Compiled

AMPERE, HOPPER = (8, 0), (9, 0)

ITEM_SIZES = {"Half": 2, "Bfloat": 2, "Float": 4, "Double": 8}
FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
MODULES = [
    (storage, function, gradients)
    for storage in ITEM_SIZES
    for function in FUNCTIONS
    for gradients in (False, True)
]
ROWS = [Module(*key, parts=1) for key in MODULES]
SPLIT_ROWS = [Module(*key, parts=0) for key in MODULES if key[0] != "Double"]
SUMS = Module("")
# Clusters of all sizes, all functions and types, in few modules: their rows are those of ROWS.
CLUSTERS = [
    Module(*key, parts=(2, 4, 8, 16)[number % 4]) for number, key in enumerate(MODULES[::5])
]
# What is compiled for one length; bfloat16 differs from float16 in conversions only.
KNOWN = [
    Module(*key, 1, path.lanes, path.vectors)
    for key in MODULES
    if key[0] in ("Half", "Float")
    for path in [path_of(4096, ITEM_SIZES[key[0]], Limits(HOPPER, 227 << 10), gradients=key[2])]
    if path.special
]
MOST_SPILLED = 192
"""Bytes. What a row has in common may wait in memory, so that more threads have room for theirs;
the vectors that a loop works on may not."""
HOT = [module for module in ROWS if module.storage != "Bfloat"] + KNOWN + CLUSTERS


def name_of(module: Module) -> str:
    direction = "gradients" if module.gradients else "weights"
    return "-".join(map(str, [module.storage, module.function, direction, *module[3:]]))


def assembled(module: Module, capability: tuple[int, int]) -> Compiled:
    return compile_source(
        source_of(module), [*options_of(module, capability), "--ptxas-options=-v"]
    )


def ptx_of(module: Module, capability: tuple[int, int], *options: str) -> str:
    """Return what the kernels come to before they are assembled."""
    own = [
        option.replace("-arch=sm_", "-arch=compute_") for option in options_of(module, capability)
    ]
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


@pytest.mark.parametrize("module", [*HOT, SUMS], ids=name_of)
def test_hopper(module: Module) -> None:
    compiled = assembled(module, HOPPER)
    assert complaints_of(compiled) == []
    assert roundings_left_open(compiled.ptx) == set()
    name = "rows" if module.parts == 1 else f"rows_{module.parts}"
    spills = spills_of(compiled)
    assert list(spills) == [name if module.storage else "sum_terms"]
    assert max(spills.values()) <= MOST_SPILLED
    # No block of the plan has more threads than the kernel has registers for.
    if module.storage:
        bounds = re.findall(r"\.maxntid (\d+)", compiled.ptx)
        threads = module.lanes or STRIDED_THREADS[ITEM_SIZES[module.storage]]
        assert len(bounds) == 1
        assert int(bounds[0]) >= threads


@pytest.mark.parametrize("module", SPLIT_ROWS[::5], ids=name_of)
def test_hopper_split_rows(module: Module) -> None:
    compiled = assembled(module, HOPPER)
    assert complaints_of(compiled) == []
    assert roundings_left_open(compiled.ptx) == set()
    assert set(spills_of(compiled)) == {"split_parts", "split_rows", "split_write"}


@pytest.mark.parametrize("module", [*ROWS, *SPLIT_ROWS[2::5], SUMS], ids=name_of)
def test_ampere(module: Module) -> None:
    assert roundings_left_open(ptx_of(module, AMPERE)) == set()


# The assembler knows whether an architecture has an instruction: one module for each type.
@pytest.mark.parametrize(
    "module", [ROWS[0], ROWS[9], ROWS[15], ROWS[20], SPLIT_ROWS[8], SUMS], ids=name_of
)
def test_ampere_has_the_instructions(module: Module) -> None:
    assert complaints_of(assembled(module, AMPERE)) == []


@pytest.mark.parametrize("module", [ROWS[0], ROWS[15], ROWS[20], ROWS[23]], ids=name_of)
def test_fused_only_where_written(module: Module) -> None:
    assert "fma.rn.f64" in ptx_of(module, AMPERE)
    unfused = [f"-D{name}(a,b,c)=((a)*(b)+(c))" for name in ("fma", "fmaf")]
    assert "fma" not in ptx_of(module, AMPERE, *unfused)


def test_emulated_device_has_the_same_names() -> None:
    texts = {name: text for module in (ROWS[0], SUMS) for name, text in files_of(module)}
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
