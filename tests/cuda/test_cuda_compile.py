"""The kernels compile without a GPU, to code that computes what the source says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cuda_support.emulator import DEVICE_SOURCE
from cuda_support.nvrtc import compile_source
from softmax_variants_backends._cuda._compile import options_of
from softmax_variants_backends._cuda._launch import Module
from softmax_variants_backends._cuda._source import files_of, source_of

if TYPE_CHECKING:
    from cuda_support.nvrtc import Compiled

AMPERE, HOPPER = (8, 0), (9, 0)

STORAGES = ("Half", "Bfloat", "Float", "Double")
FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
MODULES = [
    (storage, function, gradients)
    for storage in STORAGES
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


def name_of(module: Module) -> str:
    direction = "gradients" if module.gradients else "weights"
    return f"{module.storage}-{module.function}-{direction}-{module.parts}"


def ptx_of(module: Module, capability: tuple[int, int], *options: str) -> str:
    """Return what the kernels come to before they are assembled."""
    own = [
        option.replace("-arch=sm_", "-arch=compute_") for option in options_of(module, capability)
    ]
    return compile_source(source_of(module), [*own, *options]).ptx


def warnings_of(compiled: Compiled) -> list[str]:
    return re.findall(r"^.*(?:warning|error).*$", compiled.log, re.MULTILINE)


def spills_of(compiled: Compiled) -> dict[str, int]:
    """Return the bytes that each kernel stores for lack of registers, with those it calls."""
    spills: dict[str, int] = {}
    kernel = ""
    for line in compiled.log.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = found[1]
        elif found := re.search(r"(\d+) bytes spill stores", line):
            spills[kernel] = spills.get(kernel, 0) + int(found[1])
    return spills


@pytest.mark.parametrize("module", [*ROWS, *CLUSTERS, SUMS], ids=name_of)
def test_hopper(module: Module) -> None:
    options = [*options_of(module, HOPPER), "--ptxas-options=-v"]
    compiled = compile_source(source_of(module), options)
    assert warnings_of(compiled) == []
    name = "rows" if module.parts == 1 else f"rows_{module.parts}"
    assert spills_of(compiled) == {name if module.storage else "sum_terms": 0}


@pytest.mark.parametrize("module", SPLIT_ROWS[::5], ids=name_of)
def test_hopper_split_rows(module: Module) -> None:
    options = [*options_of(module, HOPPER), "--ptxas-options=-v"]
    compiled = compile_source(source_of(module), options)
    assert warnings_of(compiled) == []
    assert set(spills_of(compiled)) == {"split_parts", "split_rows", "split_write"}


@pytest.mark.parametrize("module", [*ROWS, *SPLIT_ROWS[2::5], SUMS], ids=name_of)
def test_ampere(module: Module) -> None:
    # The assembler may fuse a multiplication and an addition that do not say how they round.
    ptx = ptx_of(module, AMPERE)
    arithmetic = re.findall(
        r"\b((?:add|sub|mul|fma|mad|div|rcp|sqrt|ex2|lg2)\.[a-z0-9.]*f(?:16|16x2|32|64))\b", ptx
    )
    assert arithmetic
    assert {name for name in arithmetic if ".rn." not in name or ".ftz" in name} == set()


@pytest.mark.parametrize("module", [ROWS[0], ROWS[15], ROWS[20], ROWS[23]], ids=name_of)
def test_fused_only_where_written(module: Module) -> None:
    assert "fma.rn.f64" in ptx_of(module, AMPERE)
    unfused = [f"-D{name}(a,b,c)=((a)*(b)+(c))" for name in ("fma", "fmaf")]
    assert "fma" not in ptx_of(module, AMPERE, *unfused)


def test_emulated_device_has_the_same_names() -> None:
    (device,) = [text for name, text in files_of(SUMS) if name == "device.cuh"]
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
        missing = {name for name in own if not re.search(rf"\b{name}\b", DEVICE_SOURCE)}
        assert missing == set(), kind
