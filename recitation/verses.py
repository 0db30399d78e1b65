"""Labels from verse numbers: a recitation of a verse needs no transcript, quran-transcript knows it."""

from __future__ import annotations

import re
from pathlib import Path

from ..audio import AUDIO_SUFFIXES, AudioError, duration
from ..data import DataError, LabelledSet, Recording, labelled_set
from ..errors import MissingExtraError

Verse = tuple[int, int]
"""Sura and aya, both from 1."""

_SURAS = 114
_PART = re.compile(r"(\d+)(?::(\d+)(?:-(\d+))?)?")
# A sura and an aya of three digits each without anything between, or parted by one sign: 001001, 1_1, 1:1, 001-001.
_NAME = re.compile(r"(\d{3})(\d{3})|0*(\d{1,3})[_:.\- ]0*(\d{1,3})")


def from_verses(verses: str, folder: Path) -> LabelledSet:
    """Recordings in ``folder`` of the verses named, as ``1:1-7,112``, one each, labelled in all levels.

    Raises DataError for verses that there are not, and with all verses that have no recording, or several.
    """
    wanted = parse_verses(verses)
    there: dict[Verse, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        found = _NAME.fullmatch(path.stem)
        if found and path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            sura, aya = found[1] or found[3], found[2] or found[4]
            there.setdefault((int(sura), int(aya)), []).append(path)
    missing = [verse for verse in wanted if verse not in there]
    if missing:
        raise DataError(f"{folder}: no recording of {_listed(missing)} (looked for names as 001001.mp3 or 1_1.wav)")
    several = [verse for verse in wanted if len(there[verse]) > 1]
    if several:
        raise DataError(f"{folder}: more than one recording of {_listed(several)}")
    return labelled_set(f"verses {verses}", [_recording(verse, there[verse][0]) for verse in wanted])


def parse_verses(text: str) -> list[Verse]:
    """Verses in the order named, each once: ``1:5``, ``1:1-7``, or a whole sura as ``112``.

    Raises DataError with everything that names no verses, or MissingExtraError.
    """
    found: dict[Verse, None] = {}
    wrong: list[str] = []
    for part in map(str.strip, text.split(",")):
        match = _PART.fullmatch(part)
        sura = int(match[1]) if match else 0
        if match is None:
            wrong.append(f"{part!r} names no verses; write them as 1:5, 1:1-7 or 112")
        elif not 1 <= sura <= _SURAS:
            wrong.append(f"there is no sura {sura}; they go from 1 to {_SURAS}")
        else:
            count = _verses_of(sura)
            first, last = int(match[2] or 1), int(match[3] or match[2] or count)
            if 1 <= first <= last <= count:
                found |= {(sura, aya): None for aya in range(first, last + 1)}
            else:
                wrong.append(f"{part}: sura {sura} has the verses 1 to {count}")
    if wrong:
        raise DataError("; ".join(wrong))
    return list(found)


def _recording(verse: Verse, path: Path) -> Recording:
    from .labels import phonetize

    labels = phonetize(_uthmani(verse))
    if labels is None:
        raise DataError(f"quran-transcript cannot phonetize {verse[0]}:{verse[1]}")
    try:
        seconds = duration(path)
    except AudioError as error:
        raise DataError(str(error)) from None
    name = f"{verse[0]:03d}:{verse[1]:03d} {path.name}"
    return Recording(name, path, seconds, {"phonemes": labels.phonemes, **labels.texts()})


def _uthmani(verse: Verse) -> str:
    from quran_transcript import Aya

    return str(Aya(*verse).get().uthmani)


def _verses_of(sura: int) -> int:
    """How many there are."""
    try:
        from quran_transcript import Aya
    except ImportError:
        raise MissingExtraError("quran-transcript", "verses") from None
    return int(Aya(sura, 1).get().num_ayat_in_sura)


def _listed(verses: list[Verse]) -> str:
    """All of them, neighbours as a range: ``1:3-5, 112:1``."""
    runs: list[tuple[int, int, int]] = []
    for sura, aya in verses:
        if runs and runs[-1][0] == sura and runs[-1][2] == aya - 1:
            runs[-1] = (sura, runs[-1][1], aya)
        else:
            runs.append((sura, aya, aya))
    return ", ".join(f"{sura}:{first}" + (f"-{last}" if last > first else "") for sura, first, last in runs)
