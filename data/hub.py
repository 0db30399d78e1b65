"""Rows of a Hugging Face dataset: a folder written by ``save_to_disk``, a folder of parquet files, or a Hub id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import first_line
from .errors import DataError
from .labels import AUDIO

# Splits to use of a dataset that has several, in order of preference.
_SPLITS = ("test", "validation")
_SIFAT = "sifat"
# Names of label columns in obadx/qdat_bench and in speech corpora.
_NAMES = {"phonetic_transcript": "phonemes", "sentence": "text", "transcription": "text", "transcript": "text"}


def dataset_rows(source: str, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Description of a row for messages, and the row with its audio as the name of a file in ``scratch``.

    The audio column is the one with that type, otherwise the one called ``audio``. Encoded audio is written to files
    unchanged, so only this project decodes it. Other columns of text are labels by name; ``sifat``, a list of
    attributes for each phoneme group, has the labels of the sifat levels. Raises DataError.
    """
    import datasets

    dataset = _open(source, scratch)
    names = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    names = names or [name for name in dataset.features if name == AUDIO]
    if len(names) != 1:
        raise DataError(f"{source}: {len(names)} audio columns among {', '.join(dataset.features)}; one is needed")
    (column,) = names
    for number, row in enumerate(_encoded(dataset, column, source)):
        description = f"{source}, row {number}"
        labels = {name: value for name, value in row.items() if name != column and isinstance(value, str)}
        renamed = {_NAMES[name]: text for name, text in labels.items() if name in _NAMES}
        known = renamed | _sifat(row.get(_SIFAT), description) | labels
        yield description, known | {AUDIO: _file(row[column], number, scratch, description)}


def _open(source: str, scratch: Path) -> Any:
    import datasets

    folder = Path(source)
    try:
        if (folder / "dataset_info.json").exists() or (folder / "dataset_dict.json").exists():
            dataset = datasets.load_from_disk(source)
        else:
            # A folder is converted to a temporary copy; downloads from the Hub stay in its cache.
            dataset = datasets.load_dataset(source, cache_dir=str(scratch / "cache") if folder.is_dir() else None)
    except Exception as error:  # datasets raises the errors of its storage
        raise DataError(f"{source}: datasets cannot open it ({first_line(error)})") from None
    if not isinstance(dataset, Mapping):
        return dataset
    split = next((split for split in _SPLITS if split in dataset), None)
    if split is None and len(dataset) > 1:
        raise DataError(f"{source}: has the splits {', '.join(dataset)}, none of them called {' or '.join(_SPLITS)}")
    return dataset[split or next(iter(dataset))]


def _encoded(dataset: Any, column: str, source: str) -> Iterator[dict[str, Any]]:
    """Rows of the dataset, whose audio column has encoded bytes or a path."""
    import datasets

    try:
        yield from dataset.cast_column(column, datasets.Audio(decode=False))
    except Exception as error:  # errors of the storage, and several kinds for a column that is no audio
        raise DataError(f"{source}: datasets cannot read {column!r} as audio ({first_line(error)})") from None


def _sifat(groups: Any, row: str) -> dict[str, str]:
    """Labels by sifat level, of groups with quran-transcript's names: ``{"ghonna": "maghnoon", ...}``."""
    from ..recitation.labels import Labels

    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        return {}
    # Each group also has its phonemes.
    levels = sorted({level for group in groups for level in group} - {"phonemes"})
    try:
        return Labels("", {level: tuple(group[level] for group in groups) for level in levels}).texts()
    except KeyError as error:
        raise DataError(f"{row}: quran-transcript has no sifa {error}") from None


def _file(audio: Mapping[str, Any] | None, number: int, scratch: Path, row: str) -> str:
    """The audio as a file in ``scratch``: its bytes, or a link to its file."""
    if not audio or (audio["bytes"] is None and not audio["path"]):
        raise DataError(f"{row}: no audio")
    path = scratch / f"{number:06d}{Path(audio['path'] or 'audio.wav').suffix}"
    try:
        if audio["bytes"] is None:
            path.symlink_to(Path(audio["path"]).absolute())
        else:
            path.write_bytes(audio["bytes"])
    except (OSError, ValueError) as error:  # a full disk; names too long, or with null characters
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{row}: its audio cannot be written to {scratch} ({reason})") from None
    return path.name
