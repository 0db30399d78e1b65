"""Paths that users name: what stands there, their text, and the audio files of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..audio import AUDIO_SUFFIXES
from .errors import DataError

# Of a path that is shown; what stands where a path should, audio as text say, may be of any length.
_MOST_CHARACTERS = 600


def is_file(path: Path) -> bool:
    """Whether a file stands at ``path``; see ``look_up``."""
    mode = look_up(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: Path) -> bool:
    """Whether a folder stands at ``path``; see ``look_up``."""
    mode = look_up(path)
    return mode is not None and stat.S_ISDIR(mode)


def look_up(path: Path, place: str | None = None) -> int | None:
    """The kind of what stands at ``path``, as ``stat`` has it; None where nothing does.

    Raises DataError where that cannot be known: of a name too long, in a folder that may not be searched. Its message
    begins with ``place``, the line that names the path. (``Path.is_file`` raises OSError for some of these.)
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = error.strerror
    except ValueError:
        reason = "no path has such characters"
    raise DataError(f"{'' if place is None else f'{place}: '}{_shown(path)}: cannot be read ({reason})")


def read_text(path: Path, what: str = "") -> str:
    """The text of a file in UTF-8; ``what`` is said of it in the DataError that is raised where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read{what} ({reason})") from None


def audio_files(folder: Path) -> list[Path]:
    """Files anywhere in ``folder`` whose names end like those of audio, in order. Raises DataError.

    A folder inside that cannot be read is an error: its recordings would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from None

    found = (Path(inside, name) for inside, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(path for path in found if path.suffix.lower() in AUDIO_SUFFIXES)


def _shown(path: Path) -> str:
    """The path as one line of print: null characters and the like are no text."""
    text = str(path) if str(path).isprintable() else repr(str(path))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
