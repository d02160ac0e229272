"""A pytest plugin with one test an entry of the suite.

Opt in with ``pytest -p softmax_variants_spec.conformance.pytest_plugin``, or with a line
``pytest_plugins = ["softmax_variants_spec.conformance.pytest_plugin"]`` in the ``conftest.py`` at
the root of the tests. It collects the files whose names end in ``.conformance.toml``::

    backend = "my_kernels.softmax"      # all that is needed
    namespace = "torch"                 # instead of the backend's NAMESPACE
    device = "cuda"                     # instead of the backend's DEVICE
    functions = ["softmax", "ssmax"]    # all, if left out; so with the rest
    dtypes = ["float16", "float32"]
    smoke = true                        # a few rows of everything, seconds
    time-limit = 60                     # seconds of the backend in one entry; 0: no limit
    ratchet = "report.json"             # no error may grow beyond what --report wrote

    [expected-failures]                 # ids, with wildcards if you like, and reasons
    "softmax/float16/values/thresholds" = "the device flushes results"

The id of a test is that of the entry behind the name of the file, so
``pytest "my.conformance.toml::softmax/float32/values/normal"`` runs one. With pytest-xdist,
``--dist loadgroup`` keeps the entries of a function and dtype, which share references, together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .expected import SettingsError
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .context import Context, Entry
    from .outcome import Outcome
    from .runner import Plan

__all__ = ["SUFFIX", "pytest_collect_file"]

SUFFIX = ".conformance.toml"
"""How the names of the files end that the plugin collects."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the entries of the suite for the backend that a file names."""
    if file_path.name.endswith(SUFFIX):
        collector: pytest.Collector = _File.from_parent(parent, path=file_path)
        return collector
    return None


class _File(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        try:
            plan = Settings.read(self.path).plan()
        except SettingsError as error:
            raise self.CollectError(str(error)) from error
        grouped = self.config.pluginmanager.hasplugin("xdist")
        for context in plan.contexts:
            for entry in plan.entries(context):
                name = entry.id(context)
                item = _Item.from_parent(self, name=name, plan=plan, context=context, entry=entry)
                if grouped:
                    item.add_marker(pytest.mark.xdist_group(name.rsplit("/", maxsplit=2)[0]))
                yield item


class _Failure(Exception):  # noqa: N818  (a finding about the backend, no error of the suite)
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class _Item(pytest.Item):
    def __init__(self, *, plan: Plan, context: Context, entry: Entry, **options: Any) -> None:
        super().__init__(**options)
        self._plan, self._context, self._entry = plan, context, entry

    def runtest(self) -> None:
        outcome = self._plan.judge(self._context, self._entry)
        # For --junitxml and other reports.
        if outcome.weights is not None:
            self.user_properties.append(("max_error_ulp", outcome.weights.max_error))
        if outcome.gradient is not None:
            self.user_properties.append(("gradient_error_ratio", outcome.gradient.max_ratio))
        if outcome.status == "not promised":
            pytest.skip(outcome.message)
        if outcome.status == "expected failure":
            pytest.xfail(outcome.reason)
        if not outcome.holds:
            raise _Failure(outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, _Failure):
            outcome = excinfo.value.outcome
            return "\n".join([outcome.message, *(f"    {s}" for s in outcome.detail.splitlines())])
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name
