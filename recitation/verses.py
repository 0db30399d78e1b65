"""Labels from verse numbers: quran-transcript has the text of every verse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..audio import duration, is_audio_name
from ..errors import MissingExtraError
from .errors import VersesError
from .labels import phonetize
from .levels import PHONEMES

Verse = tuple[int, int]
"""Sura and aya, both from 1."""

_SURAS = 114
_PART = re.compile(r"(\d+)(?::(\d+)(?:-(\d+))?)?")
# Sura and aya of three digits each, or separated by one character: 001001, 1_1, 1:1, 001-001.
_NAME = re.compile(r"(\d{3})(\d{3})|0*(\d{1,3})[_:.\- ]0*(\d{1,3})")


@dataclass(frozen=True)
class VerseRecording:
    """The recording of a verse, and its labels."""

    name: str
    audio: Path
    seconds: float
    labels: dict[str, str]
    """Text by level, all eleven."""


def verse_recordings(verses: str, folder: Path) -> list[VerseRecording]:
    """The recording of every verse in ``verses`` (such as ``1:1-7,112``) among the files in ``folder``.

    Files are named as 001001.mp3 or 1_1.wav. Raises VersesError for verses that do not exist, and for all verses with
    no recording or several; AudioError for a file that cannot be read; MissingExtraError.
    """
    requested = parse_verses(verses)
    files: dict[Verse, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        match = _NAME.fullmatch(path.stem)
        if match and is_audio_name(path) and path.is_file():
            sura, aya = match[1] or match[3], match[2] or match[4]
            files.setdefault((int(sura), int(aya)), []).append(path)
    missing = [verse for verse in requested if verse not in files]
    if missing:
        raise VersesError(f"{folder}: no recording of {_listed(missing)} (looked for names as 001001.mp3 or 1_1.wav)")
    several = [verse for verse in requested if len(files[verse]) > 1]
    if several:
        raise VersesError(f"{folder}: more than one recording of {_listed(several)}")
    return [_recording(verse, files[verse][0]) for verse in requested]


def parse_verses(text: str) -> list[Verse]:
    """Verses of ``1:5``, ``1:1-7``, ``112`` (a sura) or several of them with commas, in this order, each once.

    Raises VersesError for everything that names no verses, or MissingExtraError.
    """
    verses: dict[Verse, None] = {}
    problems: list[str] = []
    for part in map(str.strip, text.split(",")):
        match = _PART.fullmatch(part)
        sura = int(match[1]) if match else 0
        if match is None:
            problems.append(f"{part!r} names no verses; write them as 1:5, 1:1-7 or 112")
        elif not 1 <= sura <= _SURAS:
            problems.append(f"no sura {sura}; suras are 1 to {_SURAS}")
        else:
            count = _verses_of(sura)
            first, last = int(match[2] or 1), int(match[3] or match[2] or count)
            if 1 <= first <= last <= count:
                verses |= {(sura, aya): None for aya in range(first, last + 1)}
            else:
                problems.append(f"{part}: sura {sura} has the verses 1 to {count}")
    if problems:
        raise VersesError("; ".join(problems))
    return list(verses)


def _recording(verse: Verse, path: Path) -> VerseRecording:
    labels = phonetize(_uthmani(verse))
    if labels is None:
        raise VersesError(f"quran-transcript cannot phonetize {verse[0]}:{verse[1]}")
    name = f"{verse[0]:03d}:{verse[1]:03d} {path.name}"
    return VerseRecording(name, path, duration(path), {PHONEMES: labels.phonemes, **labels.texts()})


def _uthmani(verse: Verse) -> str:
    from quran_transcript import Aya

    return str(Aya(*verse).get().uthmani)


def _verses_of(sura: int) -> int:
    """Number of verses of a sura. Raises MissingExtraError."""
    try:
        from quran_transcript import Aya
    except ImportError:
        raise MissingExtraError("quran-transcript", "verses") from None
    return int(Aya(sura, 1).get().num_ayat_in_sura)


def _listed(verses: list[Verse]) -> str:
    """Verses as text, consecutive ones as a range: ``1:3-5, 112:1``."""
    runs: list[tuple[int, int, int]] = []
    for sura, aya in verses:
        if runs and runs[-1][0] == sura and runs[-1][2] == aya - 1:
            runs[-1] = (sura, runs[-1][1], aya)
        else:
            runs.append((sura, aya, aya))
    return ", ".join(f"{sura}:{first}" + (f"-{last}" if last > first else "") for sura, first, last in runs)
