"""A recitation beside what was to be recited, for the terminal: differences of phonemes, and a table of sifat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...errors import MissingExtraError
from ..labels import SIFAT_TEXT
from ..levels import SIFAT
from .types import Sifa, value_of

Difference = tuple[int, str]
"""-1, 0 or 1 for text of the reference alone, of both, or of the recitation alone."""

Row = dict[str, str]
"""By column; ``exp_`` and a column's name is what was expected there. ``tag`` is ``exact`` or ``insert``."""

MADD_LETTERS = "اۦۥ"
_STYLES = {-1: "red strike", 0: "white", 1: "green"}


@dataclass(frozen=True)
class Pair:
    """Indices of a phoneme group of the reference and of one of the recitation, either of which may be missing."""

    reference: int | None
    recited: int | None


def explain_for_terminal(
    phonemes: str,
    exp_phonemes: str,
    sifat: list[Sifa],
    exp_sifat: Sequence[Any],
    lang: Literal["arabic", "english"] = "english",
) -> None:
    """Print the phonemes with their differences from the expected ones, and the sifat of each phoneme group.

    Green is surplus and struck red is missing. In the table, red sifat differ from the expected ones, and yellow rows
    belong to groups that were not expected. ``exp_sifat`` are quran-transcript's. Raises MissingExtraError.
    """
    changes = differences(exp_phonemes, phonemes)
    console = Console()
    console.print(Text.assemble(*((text, _STYLES[kind]) for kind, text in changes)))
    rows = compare_sifat(sifat, exp_sifat, changes)
    if rows:
        console.print(sifat_table(rows, lang))


def differences(expected: str, actual: str) -> list[Difference]:
    """What has to change, by the library that quran-muaalem uses (Myers 1986). Raises MissingExtraError."""
    try:
        from diff_match_patch import diff_match_patch
    except ImportError:
        raise MissingExtraError("diff-match-patch", "muaalem") from None
    return [(int(kind), str(text)) for kind, text in diff_match_patch().diff_main(expected, actual)]


def compare_sifat(sifat: Sequence[Sifa], expected: Sequence[Any], changes: Sequence[Difference]) -> list[Row]:
    """A row for each recited group: with the expected sifat if it is the expected group, or a madd of another length.

    Groups that were expected and not recited have no row.
    """
    recited = [one.phonemes_group for one in sifat]
    reference = [value_of(one, "phonemes") for one in expected]
    rows = []
    for pair in pair_groups(reference, recited, changes):
        if pair.recited is None:
            continue
        own = sifat[pair.recited]
        other = None
        if pair.reference is not None:
            group = reference[pair.reference]
            if group == own.phonemes_group or group[0] in MADD_LETTERS:
                other = expected[pair.reference]
        row = {"tag": "insert" if other is None else "exact", "phonemes": own.phonemes_group}
        row["exp_phonemes"] = "" if other is None else value_of(other, "phonemes")
        for level in SIFAT:
            unit = getattr(own, level)
            row[level] = "None" if unit is None else unit.text
            row[f"exp_{level}"] = "" if other is None else value_of(other, level)
        rows.append(row)
    return rows


def pair_groups(reference: Sequence[str], recited: Sequence[str], changes: Sequence[Difference]) -> list[Pair]:
    """Groups that are complete after the same difference belong together; so do neighbours that contain one another."""
    pairs = []
    read, next_group = [0, 0], [0, 0]
    sides = (reference, recited)
    ends = [_ends(side) for side in sides]
    for kind, text in changes:
        read[0] += len(text) if kind <= 0 else 0
        read[1] += len(text) if kind >= 0 else 0
        while True:
            pair: list[int | None] = [None, None]
            for side in (0, 1):
                group = next_group[side]
                if group < len(ends[side]) and ends[side][group] <= read[side]:
                    pair[side] = group
                    next_group[side] += 1
            if pair == [None, None]:
                break
            pairs.append(Pair(*pair))
    return _merged(pairs, reference, recited)


def sifat_table(rows: Sequence[Row], lang: Literal["arabic", "english"]) -> Table:
    """The rows with English or Arabic names of sifat; the heads are quran-muaalem's."""
    table = Table()
    columns = ("phonemes", *SIFAT)
    for name in columns:
        table.add_column(name.replace("_", " ").title())
    for row in rows:
        cells = []
        for name in columns:
            value = row[name]
            if lang == "arabic" and name != "phonemes":
                value = SIFAT_TEXT.get(value, value).strip("[]")
            colour = "yellow" if row["tag"] == "insert" else "red" if row[name] != row[f"exp_{name}"] else None
            cells.append(escape(value) if colour is None else f"[{colour}]{escape(value)}[/{colour}]")
        table.add_row(*cells)
    return table


def _ends(groups: Sequence[str]) -> list[int]:
    ends, end = [], 0
    for group in groups:
        end += len(group)
        ends.append(end)
    return ends


def _merged(pairs: Sequence[Pair], reference: Sequence[str], recited: Sequence[str]) -> list[Pair]:
    """A group whose text is part of the other side's next group is its counterpart."""
    merged = list(pairs[:1])
    for before, now in pairwise(pairs):
        if _within(recited, before.recited, reference, now.reference):
            merged[-1] = Pair(now.reference, before.recited)
        elif _within(reference, before.reference, recited, now.recited):
            merged[-1] = Pair(before.reference, now.recited)
        else:
            merged.append(now)
    return merged


def _within(groups: Sequence[str], part: int | None, others: Sequence[str], whole: int | None) -> bool:
    return part is not None and whole is not None and groups[part] in others[whole]
