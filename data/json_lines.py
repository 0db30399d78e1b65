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
    """Place of a row (for messages), and the row, whose ``audio`` is a path beside ``source``. Raises DataError."""
    if look_up(source) is None:
        raise DataError(f"{source}: no such file or folder")
    # Not splitlines(), which also splits at separators that JSON texts may hold.
    lines = read_text(source, " as JSON lines").split("\n")
    rows = [(f"{source}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{source}: is empty; it needs one JSON object a line with an 'audio' column")
    for place, line in rows:
        row = _parsed(line, place)
        if not isinstance(row, dict) or not isinstance(row.get(AUDIO), str):
            has = f"it has {', '.join(row)}" if isinstance(row, dict) and row else "it has no columns"
            raise DataError(f"{place}: no 'audio' column with a path ({has})")
        # Whether it is there is asked later; whether it can be asked for, while the line is known.
        look_up(source.parent / row[AUDIO], place)
        yield place, row


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        # Numbers of thousands of digits, and as many brackets in brackets.
        raise DataError(f"{place}: no JSON that can be read (a number too long, or nested too deep)") from None
