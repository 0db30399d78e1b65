"""Files of JSON lines that name recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DataError
from .labels import AUDIO
from .paths import look_up, read_text


def json_lines(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Description of a row for messages, and the row, whose ``audio`` is a path relative to the folder of ``source``.

    Raises DataError.
    """
    if look_up(source) is None:
        raise DataError(f"{source}: no such file or folder")
    # splitlines() would also split at separators that JSON strings may contain.
    lines = read_text(source, " as JSON lines").split("\n")
    rows = [(f"{source}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{source}: is empty; it needs one JSON object in each line, with an 'audio' column")
    for description, line in rows:
        row = _parsed(line, description)
        if not isinstance(row, dict) or not isinstance(row.get(AUDIO), str):
            has = f"it has {', '.join(row)}" if isinstance(row, dict) and row else "it has no columns"
            raise DataError(f"{description}: no 'audio' column with a path ({has})")
        # Reports an invalid path with its line; whether the file exists is checked later.
        look_up(source.parent / row[AUDIO], description)
        yield description, row


def _parsed(line: str, description: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{description}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        # Numbers of thousands of digits, or thousands of nested brackets.
        raise DataError(f"{description}: no JSON that can be read (a number too long, or nested too deep)") from None
