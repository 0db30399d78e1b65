"""Labels by level of a recording, and labels of one level of all recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import DataError

TEXT = "text"
"""The level of checkpoints that write words, and the key of labels that name no level."""

AUDIO = "audio"
"""The key of a row that names its recording."""

_LEVELS = "levels"
_MAX_NAMED = 3


def labels_of_row(description: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Texts by level: those of the row, and those in its ``levels``.

    Raises DataError, which begins with ``description``, for a label that is no text.
    """
    levels = row.get(_LEVELS) or {}
    if not isinstance(levels, dict):
        raise DataError(f"{description}: 'levels' is no object of texts by level")
    labels = {key: value for key, value in row.items() if key not in (AUDIO, _LEVELS) and isinstance(value, str)}
    labels |= levels
    wrong = [level for level, text in labels.items() if not isinstance(text, str)]
    if wrong:
        raise DataError(f"{description}: the label {wrong[0]!r} is no text")
    return labels


def level_labels(
    name: str, labels: Sequence[tuple[str, Mapping[str, str]]], level: str, levels: Sequence[str]
) -> list[str] | None:
    """The label of ``level`` of every recording of the set ``name``; None if no recording has one.

    ``labels`` has the name and the texts by level of each recording. Labels called ``text`` label the first of
    ``levels`` if no recording labels it by name. Raises DataError if only some recordings are labelled.
    """
    named = any(level in own for _, own in labels)
    key = TEXT if not named and level == levels[0] else level
    lacking = [recording for recording, own in labels if key not in own]
    if len(lacking) == len(labels):
        return None
    if lacking:
        more = f" and {len(lacking) - _MAX_NAMED} more" if len(lacking) > _MAX_NAMED else ""
        raise DataError(
            f"{name}: no label of {key} for {', '.join(lacking[:_MAX_NAMED])}{more}; label all recordings or none"
        )
    return [own[key] for _, own in labels]
