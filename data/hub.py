"""Rows of a Hugging Face dataset: a folder that ``save_to_disk`` wrote, one of parquet files, or a Hub id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import DataError
from .labels import AUDIO

# Split to take where a dataset has several.
_SPLITS = ("test", "validation")
_SIFAT = "sifat"
# Columns of labels under the names that other projects give them: those of obadx/qdat_bench, and of speech corpora.
_NAMES = {"phonetic_transcript": "phonemes", "sentence": "text", "transcription": "text", "transcript": "text"}


def dataset_rows(source: str, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place of a row (for messages), and the row with its audio as a file's name in ``scratch``. Raises DataError.

    The audio column is the one of that type, whatever its name, else the one called ``audio``; encoded audio goes to
    files as it is, so nothing but this project decodes it. Of the other columns, texts are labels by name, and
    ``sifat``, a list of attributes for each phoneme group, is the sifat levels.
    """
    import datasets

    dataset = _open(source, scratch)
    names = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    names = names or [name for name in dataset.features if name == AUDIO]
    if len(names) != 1:
        raise DataError(f"{source}: {len(names)} audio columns among {', '.join(dataset.features)}; one is needed")
    (column,) = names
    for number, row in enumerate(_encoded(dataset, column, source)):
        place = f"{source}, row {number}"
        labels = {name: value for name, value in row.items() if name != column and isinstance(value, str)}
        renamed = {_NAMES[name]: text for name, text in labels.items() if name in _NAMES}
        known = renamed | _sifat(row.get(_SIFAT), place) | labels
        yield place, known | {AUDIO: _file(row[column], number, scratch, place)}


def _open(source: str, scratch: Path) -> Any:
    import datasets

    folder = Path(source)
    try:
        if (folder / "dataset_info.json").exists() or (folder / "dataset_dict.json").exists():
            found = datasets.load_from_disk(source)
        else:
            # What a folder holds is converted to a copy that is of no use afterwards; what the Hub sends is kept.
            found = datasets.load_dataset(source, cache_dir=str(scratch / "cache") if folder.is_dir() else None)
    except Exception as error:  # datasets raises what its storage raises
        raise DataError(f"{source}: datasets cannot open it ({_reason(error)})") from None
    if not isinstance(found, Mapping):
        return found
    split = next((split for split in _SPLITS if split in found), None)
    if split is None and len(found) > 1:
        raise DataError(f"{source}: has the splits {', '.join(found)}, none of them called {' or '.join(_SPLITS)}")
    return found[split or next(iter(found))]


def _encoded(dataset: Any, column: str, source: str) -> Iterator[dict[str, Any]]:
    """Its rows, with what the audio column holds as it is: bytes, or a path."""
    import datasets

    try:
        yield from dataset.cast_column(column, datasets.Audio(decode=False))
    except Exception as error:  # as above; a column that holds something else has any of several kinds
        raise DataError(f"{source}: datasets cannot read {column!r} as audio ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _sifat(groups: Any, place: str) -> dict[str, str]:
    """Sifat level to label, of groups with the names that quran-transcript has: ``{"ghonna": "maghnoon", ...}``."""
    from ..recitation.labels import Labels

    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        return {}
    # The phonemes that the attributes are of stand among them.
    levels = sorted({level for group in groups for level in group} - {"phonemes"})
    try:
        return Labels("", {level: tuple(group[level] for group in groups) for level in levels}).texts()
    except KeyError as error:
        raise DataError(f"{place}: {error} among the sifat is none that quran-transcript knows") from None


def _file(audio: Mapping[str, Any] | None, number: int, scratch: Path, place: str) -> str:
    """The audio as a file in ``scratch``: written out, or linked to where it lies."""
    if not audio or (audio["bytes"] is None and not audio["path"]):
        raise DataError(f"{place}: no audio")
    path = scratch / f"{number:06d}{Path(audio['path'] or 'audio.wav').suffix}"
    try:
        if audio["bytes"] is None:
            path.symlink_to(Path(audio["path"]).absolute())
        else:
            path.write_bytes(audio["bytes"])
    except (OSError, ValueError) as error:  # a full disk; names too long, or with null characters
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{place}: its audio cannot be put into {scratch} ({reason})") from None
    return path.name
