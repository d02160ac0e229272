"""The kernels stay within their arrays: pages around them end the process otherwise."""

from __future__ import annotations

import os
import subprocess
import sys


def test_nothing_beyond_the_arrays_is_touched() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cpu_support.guarded_calls"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout[-5:]) == (0, "done\n"), done.stdout[-200:] + done.stderr
