"""Measurements written to disk one by one, so that an interrupted search resumes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..storage import make_folder


class Ledger:
    """A file of JSON lines: a key and the measured value.

    Its name is a hash over all that decides the values. A line that an interruption has cut off is ignored.
    """

    def __init__(self, folder: Path, identity: Iterable[str]) -> None:
        hashed = hashlib.sha256("\n".join(identity).encode())
        make_folder(folder)
        self._path = folder / f"{hashed.hexdigest()[:32]}.jsonl"
        self._values: dict[str, Any] = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    key, value = json.loads(line)
                except ValueError:
                    continue
                self._values[key] = value

    def get(self, key: str) -> Any:
        """The value measured under ``key``, or None."""
        return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a measurement; it is on disk when this returns."""
        self._values[key] = value
        with self._path.open("ab") as file:
            # The line break first: a line that was cut off then damages no other line.
            file.write(f"\n{json.dumps([key, value])}".encode())
            file.flush()
            os.fsync(file.fileno())
