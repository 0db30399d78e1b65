"""Audio files with or without labels: JSON lines with an ``audio`` column, or a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import sha256_of_file
from ..audio import AUDIO_SUFFIXES
from .errors import DataError
from .labels import AUDIO, labels_of_row, level_labels


@dataclass(frozen=True)
class AudioSet:
    """Audio files in order, and where they were listed."""

    name: str
    files: tuple[Path, ...]
    rows: tuple[Mapping[str, Any], ...]
    """What the JSON lines say of each file; empty for files of a folder."""

    def sha256(self) -> str:
        """Hash over the files' contents, in order."""
        hashed = hashlib.sha256()
        for file in self.files:
            hashed.update(bytes.fromhex(sha256_of_file(file)))
        return hashed.hexdigest()

    def labels(self, level: str, levels: Sequence[str]) -> list[str] | None:
        """Every file's label of ``level``, one of ``levels``; see ``level_labels``. Raises DataError."""
        named = [(str(file), labels_of_row(str(file), row)) for file, row in zip(self.files, self.rows, strict=True)]
        return level_labels(self.name, named, level, levels)


def read_audio_set(source: Path, limit: int | None = None) -> AudioSet:
    """At most ``limit`` files of a manifest or folder, evenly spread. Raises DataError."""
    rows: Sequence[dict[str, Any]]
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        rows = [{} for _ in files]
        if not files:
            raise DataError(f"{source}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
    else:
        rows = list(_rows(source))
        files = [source.parent / row[AUDIO] for row in rows]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise DataError(f"{source}: lists {absent[0]}{more}, which does not exist")
    count = len(files) if limit is None else min(limit, len(files))
    chosen = [place * len(files) // count for place in range(count)]
    return AudioSet(source.name, tuple(files[place] for place in chosen), tuple(rows[place] for place in chosen))


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    try:
        # Not splitlines(), which also splits at separators that JSON texts may hold.
        lines = source.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise DataError(f"{source}: no such file or folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read as JSON lines ({error})") from None
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{source}: is empty; it needs one JSON object a line with an 'audio' column")
    for number, line in rows:
        place = f"{source}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: not JSON ({error.msg})") from None
        if not isinstance(row, dict) or not isinstance(row.get(AUDIO), str):
            has = f"it has {', '.join(row)}" if isinstance(row, dict) and row else "it has no columns"
            raise DataError(f"{place}: no 'audio' column with a path ({has})")
        yield row
