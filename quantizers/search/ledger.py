"""Measurements kept on disk as they are made, so that a search that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..technique import make_folder


class Ledger:
    """A file of JSON lines: a key and what was measured.

    Its name is a hash over all that decides the values. A line that a kill has cut is passed over.
    """

    def __init__(self, folder: Path, identity: Iterable[str]) -> None:
        hashed = hashlib.sha256("\n".join(identity).encode())
        make_folder(folder)
        self._path = folder / f"{hashed.hexdigest()[:32]}.jsonl"
        self._found: dict[str, Any] = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    key, value = json.loads(line)
                except ValueError:
                    continue
                self._found[key] = value

    def get(self, key: str) -> Any:
        """What was measured under ``key``, or None."""
        return self._found.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a measurement; it is on disk when this returns."""
        self._found[key] = value
        with self._path.open("ab") as file:
            # The line break first: what a kill has cut then spoils no other line.
            file.write(f"\n{json.dumps([key, value])}".encode())
            file.flush()
            os.fsync(file.fileno())
