"""What ``qexport --explain`` says of mixed precision: the frontier, and which layers stayed high and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def show_mixture(found: Any, plot: Path | None) -> None:
    print(found.chosen, found.by_layer())
