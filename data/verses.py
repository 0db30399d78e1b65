"""Labelled recordings of verses of the Quran."""

from __future__ import annotations

from pathlib import Path

from ..audio import AudioError
from ..recitation.errors import VersesError
from .errors import DataError
from .labelled import LabelledSet, Recording, labelled_set


def from_verses(verses: str, folder: Path) -> LabelledSet:
    """One recording in ``folder`` of each of ``verses`` (such as ``1:1-7,112``), labelled in all levels.

    Raises DataError as ``recitation.verses.verse_recordings`` raises VersesError and AudioError, or MissingExtraError.
    """
    from ..recitation.verses import verse_recordings

    try:
        verse_list = verse_recordings(verses, folder)
    except (VersesError, AudioError) as error:
        raise DataError(str(error)) from None
    recordings = [Recording(one.name, one.audio, one.seconds, one.labels) for one in verse_list]
    return labelled_set(f"verses {verses}", recordings)
