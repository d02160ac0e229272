"""The extensions of the site can be imported, as when it is built."""

from __future__ import annotations

import sys
from pathlib import Path

_DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path[:0] = [str(_DOCS / "_extensions"), str(_DOCS)]
