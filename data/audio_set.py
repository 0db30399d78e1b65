"""Audio files with or without labels: JSON lines with an ``audio`` column, or a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import sha256_of_file
from ..audio import AUDIO_SUFFIXES
from .errors import DataError
from .json_lines import json_lines
from .labels import AUDIO, labels_of_row, level_labels
from .paths import audio_files, is_file, is_folder


@dataclass(frozen=True)
class AudioSet:
    """Audio files in order."""

    name: str
    files: tuple[Path, ...]
    rows: tuple[Mapping[str, Any], ...]
    """Row of each file in the JSON lines; empty for files of a folder."""

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
    if is_folder(source):
        files = audio_files(source)
        rows = [{} for _ in files]
        if not files:
            raise DataError(f"{source}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
    else:
        rows = [row for _, row in json_lines(source)]
        files = [source.parent / row[AUDIO] for row in rows]
    missing = [str(file) for file in files if not is_file(file)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{source}: lists {missing[0]}{more}, which does not exist")
    count = len(files) if limit is None else min(limit, len(files))
    chosen = [number * len(files) // count for number in range(count)]
    return AudioSet(source.name, tuple(files[index] for index in chosen), tuple(rows[index] for index in chosen))
