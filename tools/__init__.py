"""Programs of the checkout, which are not part of the package; run them from the checkout's root.

``python -m`` puts the root on ``sys.path``, where its folders (``data``, ``gpu``, ``models``, …) would shadow installed
packages of the same names. The submodules of ``tools`` need no entry for the root, so importing ``tools`` removes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _ROOT]
