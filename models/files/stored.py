"""JSON files of checkpoints, and files that Git LFS has not fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

_POINTER = b"version https://git-lfs"


def read_json(path: Path) -> Any:
    """The content of a JSON file; CheckpointError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: no {path.name} in the checkpoint") from None
    except (OSError, ValueError) as error:
        check_fetched(path)
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from None


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds an object; CheckpointError where it does not."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: must be a JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as checkpoints store it: indented, with sorted keys, the same bytes every time."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def check_fetched(path: Path) -> None:
    """Raise CheckpointError for a file that Git LFS has left as a pointer."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(_POINTER)) == _POINTER
    except OSError:
        return
    if pointer:
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the file itself; fetch it again: git lfs pull")
