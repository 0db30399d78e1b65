"""Paths that users name: their kind, their text, and the audio files of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..audio import is_audio_name
from .errors import DataError

# Longest path in a message: a value in place of a path, such as encoded audio, may have any length.
_MAX_CHARACTERS = 600


def is_file(path: Path) -> bool:
    """Whether ``path`` is a file; see ``look_up``."""
    mode = look_up(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; see ``look_up``."""
    mode = look_up(path)
    return mode is not None and stat.S_ISDIR(mode)


def look_up(path: Path, description: str | None = None) -> int | None:
    """Mode of ``path`` as in ``stat``; None if it does not exist.

    Raises DataError if this cannot be determined (a name that is too long, a folder without permission), for some of
    which ``Path.is_file`` raises OSError. The message begins with ``description`` of the line that names the path.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = error.strerror
    except ValueError:
        reason = "no path has such characters"
    raise DataError(f"{'' if description is None else f'{description}: '}{_shown(path)}: cannot be read ({reason})")


def read_text(path: Path, what: str = "") -> str:
    """The text of a file in UTF-8. Raises DataError if it cannot be read; ``what`` is part of its message."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read{what} ({reason})") from None


def audio_files(folder: Path) -> list[Path]:
    """Files with an audio suffix anywhere in ``folder``, in order.

    Raises DataError for a subfolder that cannot be read, since its recordings would be missing silently.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from None

    paths = (Path(inside, name) for inside, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(path for path in paths if is_audio_name(path))


def _shown(path: Path) -> str:
    """The path as one printable line of limited length."""
    text = str(path) if str(path).isprintable() else repr(str(path))
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
