"""Labels of the eleven levels, derived by ``quran-transcript``: phonemes, and ten sifat for each phoneme group."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, get_args

from .levels import PHONEMES

PAD = "[PAD]"

SIFAT_TEXT = {
    "hams": "[همس]",
    "jahr": "[جهر]",
    "shadeed": "[شديد]",
    "between": "[بين الشدة والرخاوة]",
    "rikhw": "[رخو]",
    "mofakham": "[مفخم]",
    "moraqaq": "[مرقق]",
    "low_mofakham": "[أدنى المفخم]",
    "monfateh": "[منفتح]",
    "motbaq": "[مطبق]",
    "safeer": "[صفير]",
    "no_safeer": "[لا صفير]",
    "moqalqal": "[مقلقل]",
    "not_moqalqal": "[لا قلقلة]",
    "mokarar": "[مكرر]",
    "not_mokarar": "[لا تكرار]",
    "motafashie": "[متفشي]",
    "not_motafashie": "[لا تفشي]",
    "mostateel": "[مستطيل]",
    "not_mostateel": "[لا إستطالة]",
    "maghnoon": "[مغن]",
    "not_maghnoon": "[لا غنة]",
}
"""Token of each sifa in the vocabulary of obadx/muaalem-model-v3_0, by its English name."""


@dataclass(frozen=True)
class Labels:
    """Labels of one utterance: ``phonemes`` as text, ``sifat`` by level, one attribute name for each phoneme group."""

    phonemes: str
    sifat: dict[str, tuple[str, ...]]

    def texts(self) -> dict[str, str]:
        """Text of each sifat level, in tokens of the checkpoint."""
        return {level: "".join(SIFAT_TEXT[name] for name in names) for level, names in self.sifat.items()}

    def ids(self) -> dict[str, list[int]]:
        """Token ids of every level."""
        vocabularies = vocabulary()
        ids = {PHONEMES: [vocabularies[PHONEMES][character] for character in self.phonemes]}
        for level, names in self.sifat.items():
            ids[level] = [vocabularies[level][SIFAT_TEXT[name]] for name in names]
        return ids


@cache
def vocabulary() -> dict[str, dict[str, int]]:
    """``vocab.json``: ids by level and token. The blank is first; the others have the order of quran-transcript."""
    from quran_transcript import SifaOutput
    from quran_transcript import alphabet as alphabet

    levels = {PHONEMES: [PAD, *asdict(alphabet.phonetics).values()]}
    for level, values in _sifat_values(SifaOutput).items():
        levels[level] = [PAD, *(SIFAT_TEXT[value] for value in values)]
    return {level: {token: index for index, token in enumerate(tokens)} for level, tokens in levels.items()}


@cache
def _recitation() -> Any:
    from quran_transcript import MoshafAttributes

    return MoshafAttributes(
        rewaya="hafs", madd_monfasel_len=4, madd_mottasel_len=4, madd_mottasel_waqf=4, madd_aared_len=4
    )


def phonetize(uthmani: str) -> Labels | None:
    """Labels of Uthmani text; None if quran-transcript cannot phonetize it."""
    from quran_transcript import SifaOutput, quran_phonetizer

    try:
        script = quran_phonetizer(uthmani, _recitation(), remove_spaces=True)
    except (ValueError, KeyError, IndexError, AssertionError):
        return None  # some parts of verses break rules that hold for complete verses
    names = _sifat_values(SifaOutput)
    sifat = {level: tuple(str(getattr(sifa, level)) for sifa in script.sifat) for level in names}
    return Labels(script.phonemes, sifat)


def _sifat_values(kind: Any) -> dict[str, tuple[str, ...]]:
    fields = {name: get_args(field.annotation) for name, field in kind.model_fields.items()}
    return {name: values for name, values in fields.items() if values}
