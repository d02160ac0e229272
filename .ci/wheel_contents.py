"""Build the wheel and compare what is in it with what git tracks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOTS = {
    "softmax_variants": "softmax_variants",
    "softmax_variants_spec": "spec/softmax_variants_spec",
    "softmax_variants_backends": "backends/softmax_variants_backends",
}


def main() -> int:
    """Return 0 if the wheel holds the tracked files of the three packages and nothing else."""
    tracked = subprocess.run(
        ["git", "ls-files", *ROOTS.values()], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    wanted = {
        str(Path(package) / Path(file).relative_to(root))
        for file in tracked
        for package, root in ROOTS.items()
        if Path(file).is_relative_to(root)
    }
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
    held = {name for name in names if ".dist-info/" not in name}
    for name in sorted(wanted - held):
        print(f"tracked, but not in the wheel: {name}")
    for name in sorted(held - wanted):
        print(f"in the wheel, but not tracked: {name}")
    licensed = any(name.endswith("licenses/LICENSE") for name in names)
    if not licensed:
        print("the wheel has no licence")
    print(f"wheel: {len(held)} files")
    return 0 if held == wanted and licensed else 1


if __name__ == "__main__":
    sys.exit(main())
