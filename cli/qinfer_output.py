"""Where ``qinfer`` writes transcripts: stdout, or a file for each recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from ..errors import QasrError
from ..runtimes import Transcript
from ..runtimes.ctc.formats import FORMATS, SUFFIXES, json_array


class Output:
    """Writes results in one format."""

    def __init__(self, format_: str, folder: Path | None, *, several: bool) -> None:
        self._format = FORMATS[format_]
        self._suffix = SUFFIXES[format_]
        self._folder = folder
        # One JSON document of several recordings is written when all are transcribed.
        self._waiting: list[Transcript] | None = [] if format_ == "json" and several and folder is None else None

    def add(self, transcript: Transcript, path: Path) -> None:
        """Write a transcript, to ``path`` in the folder if there is one. Call in the order of the recordings.

        Raises QasrError for a file that cannot be written.
        """
        if self._folder is not None:
            _write(self._folder / path.with_name(path.name + self._suffix), self._format([transcript]))
        elif self._waiting is not None:
            self._waiting.append(transcript)
        else:
            click.echo(self._format([transcript]), nl=False)

    def finish(self) -> None:
        """Write the transcripts that were held back."""
        if self._waiting is not None:
            click.echo(json_array(self._waiting), nl=False)


def refuse_clashes(outputs: Sequence[tuple[str, Path]]) -> None:
    """Raise UsageError if two recordings, each a name and an output path, would be written to one file."""
    names: dict[Path, str] = {}
    for name, path in outputs:
        if path in names:
            raise click.UsageError(
                f"{names[path]} and {name} would be written to one file; name them in separate commands"
            )
        names[path] = name


def _write(path: Path, content: str) -> None:
    """Write a file that is complete or does not exist."""
    # Short, because the name of the file may be as long as the file system allows.
    partial = path.with_name(f".qasr-{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise QasrError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
