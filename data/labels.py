"""Labels of a recording by level, and those of one level of all recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import DataError

TEXT = "text"
"""The level of checkpoints that write words, and the key of labels that do not say which level they are of."""

AUDIO = "audio"
"""The key of a row that names its recording."""

_LEVELS = "levels"
_MOST_NAMED = 3


def labels_of_row(place: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Level to text: the row's own texts, and those under ``levels``. Raises DataError for what is no text."""
    levels = row.get(_LEVELS) or {}
    if not isinstance(levels, dict):
        raise DataError(f"{place}: 'levels' is no object of level and text")
    labels = {key: value for key, value in row.items() if key not in (AUDIO, _LEVELS) and isinstance(value, str)}
    labels |= levels
    wrong = [level for level, text in labels.items() if not isinstance(text, str)]
    if wrong:
        raise DataError(f"{place}: the label {wrong[0]!r} is no text")
    return labels


def level_labels(
    name: str, labels: Sequence[tuple[str, Mapping[str, str]]], level: str, levels: Sequence[str]
) -> list[str] | None:
    """The label of ``level`` of every recording of the set ``name``; None where none has one.

    ``labels``: of each recording, its name, and level to text. Labels called ``text`` serve the first
    of ``levels`` where no recording labels it by name. Raises DataError where only some recordings are labelled.
    """
    named = any(level in own for _, own in labels)
    key = TEXT if not named and level == levels[0] else level
    lacking = [recording for recording, own in labels if key not in own]
    if len(lacking) == len(labels):
        return None
    if lacking:
        more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
        raise DataError(
            f"{name}: no label of {key} for {', '.join(lacking[:_MOST_NAMED])}{more}; label all recordings or none"
        )
    return [own[key] for _, own in labels]
