"""The explanation in the terminal. All expectations are what quran-muaalem 0.2.2 gives."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from qasr.errors import MissingExtraError
from qasr.recitation.levels import SIFAT
from qasr.recitation.muaalem import explain
from qasr.recitation.muaalem.explain import Pair, compare_sifat, differences, explain_for_terminal, pair_groups
from qasr.recitation.muaalem.types import Sifa, SingleUnit

USUAL = dict.fromkeys(SIFAT, "not_maghnoon") | {"hams_or_jahr": "jahr"}


def sifa(group, **changes):
    names = USUAL | changes
    units = {level: None if name is None else SingleUnit(name, 0.9, 1) for level, name in names.items()}
    return Sifa(group, **units)


def expected(group, **changes):
    return {"phonemes": group} | USUAL | changes


def pairs(reference, recited):
    changes = differences("".join(reference), "".join(recited))
    return [(pair.reference, pair.recited) for pair in pair_groups(reference, recited, changes)]


def test_groups_in_pairs():
    assert pairs(["قَ", "اا", "لُ"], ["قَ", "اا", "لُ"]) == [(0, 0), (1, 1), (2, 2)]
    assert pairs(["قَ", "اا", "لُ"], ["قَ", "لُ"]) == [(0, 0), (1, None), (2, 1)]
    assert pairs(["قَ", "لُ"], ["قَ", "اا", "لُ"]) == [(0, 0), (None, 1), (1, 2)]
    # A madd of another length, shorter and longer.
    assert pairs(["قَ", "اااا", "لُ"], ["قَ", "اا", "لُ"]) == [(0, 0), (1, 1), (2, 2)]
    assert pairs(["قَ", "اا", "لُ"], ["قَ", "اااا", "لُ"]) == [(0, 0), (1, 1), (2, 2)]
    assert pair_groups([], [], []) == []
    assert pair_groups(["ق"], [], [(-1, "ق")]) == [Pair(0, None)]


def test_rows():
    own = [sifa("قَ"), sifa("اا", ghonna="maghnoon"), sifa("مَ", safeer=None)]
    reference = [expected("قَ"), expected("اااا"), expected("لُ")]
    changes = differences("قَاااالُ", "قَاامَ")
    first, madd, other = compare_sifat(own, reference, changes)
    assert (first["tag"], first["phonemes"], first["exp_phonemes"]) == ("exact", "قَ", "قَ")
    assert (madd["tag"], madd["exp_phonemes"]) == ("exact", "اااا")
    assert (madd["ghonna"], madd["exp_ghonna"]) == ("maghnoon", "not_maghnoon")
    assert (other["tag"], other["exp_phonemes"], other["safeer"], other["exp_safeer"]) == ("insert", "", "None", "")
    assert list(first) == ["tag", "phonemes", "exp_phonemes", *(name for one in SIFAT for name in (one, f"exp_{one}"))]


@pytest.fixture
def printed(monkeypatch):
    """What is printed, with and without colours."""

    def run(*arguments, **options):
        output = io.StringIO()
        console = Console(file=output, width=250, force_terminal=True, color_system="standard")
        monkeypatch.setattr(explain, "Console", lambda: console)
        explain_for_terminal(*arguments, **options)
        return output.getvalue()

    return run


def test_colours(printed):
    text = printed(
        "قَاامَ", "قَااا", [sifa("قَ", ghonna="maghnoon"), sifa("اا"), sifa("مَ")], [expected("قَ"), expected("ااا")]
    )
    first = text.splitlines()[0]
    assert "\x1b[9;31mا" in first  # missing
    assert "\x1b[32mمَ" in first  # surplus
    assert "\x1b[31mmaghnoon" in text
    assert "\x1b[33mمَ" in text
    assert "Hams Or Jahr" in text


def test_arabic_names(printed):
    text = printed("قَ", "قَ", [sifa("قَ", safeer=None)], [expected("قَ")], lang="arabic")
    assert "لا غنة" in text
    assert "not_maghnoon" not in text
    assert "[لا" not in text
    assert "None" in text


def test_nothing_recited(printed):
    assert printed("", "قَ", [], [expected("قَ")]).count("\n") == 1


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diff_match_patch", None)
    with pytest.raises(
        MissingExtraError, match=r"diff-match-patch is not installed; type: pip install 'qasr\[muaalem\]'"
    ):
        differences("a", "b")
