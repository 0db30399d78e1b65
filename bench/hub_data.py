"""Rows of a Hugging Face dataset, from a folder that ``save_to_disk`` wrote or from the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import DataError

# Split to take where a dataset has several.
_SPLITS = ("test", "validation")


def dataset_rows(source: str, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place of a row (for messages), and the row with its audio as a file's path. Raises DataError.

    The audio column is the one of that type, whatever its name; encoded audio goes to files in ``scratch`` as it is, so
    nothing but this project decodes it. Of the other columns, texts are labels by name.
    """
    import datasets

    dataset = _open(source)
    names = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    if len(names) != 1:
        raise DataError(f"{source}: {len(names)} audio columns among {', '.join(dataset.features)}; one is needed")
    (column,) = names
    for number, row in enumerate(dataset.cast_column(column, datasets.Audio(decode=False))):
        place = f"{source}, row {number}"
        labels = {name: value for name, value in row.items() if name != column and isinstance(value, str)}
        yield place, labels | {"audio": str(_file(row[column], number, scratch, place))}


def _open(source: str) -> Any:
    import datasets

    try:
        found = datasets.load_from_disk(source) if Path(source).is_dir() else datasets.load_dataset(source)
    except Exception as error:  # datasets raises what its storage raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{source}: datasets cannot open it ({reason})") from None
    if not isinstance(found, Mapping):
        return found
    split = next((split for split in _SPLITS if split in found), None)
    if split is None and len(found) > 1:
        raise DataError(f"{source}: has the splits {', '.join(found)}, none of them called {' or '.join(_SPLITS)}")
    return found[split or next(iter(found))]


def _file(audio: Mapping[str, Any] | None, number: int, scratch: Path, place: str) -> Path:
    """The audio as a file: where it lies, or written out."""
    if not audio or (audio["bytes"] is None and not audio["path"]):
        raise DataError(f"{place}: no audio")
    if audio["bytes"] is None:
        return Path(audio["path"])
    path = scratch / f"{number:06d}{Path(audio['path'] or 'audio.wav').suffix}"
    path.write_bytes(audio["bytes"])
    return path
