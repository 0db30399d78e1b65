"""Labelled recordings: JSON lines, a folder, or a Hugging Face dataset."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import reference
from ..artifacts import sha256_of_file
from ..audio import AudioError, duration
from ..errors import MissingExtraError
from .errors import DataError
from .json_lines import json_lines
from .labels import AUDIO, TEXT, labels_of_row, level_labels
from .paths import audio_files, is_file, is_folder, look_up, read_text
from .qdat_bench import audio_of, is_qdat_bench, read_annotations

# Owner and name, without the suffix of a file of labels.
_HUB_ID = re.compile(r"[\w-][\w.-]*/(?!.*\.(?:jsonl?|txt|csv)$)[\w.-]+")


@dataclass(frozen=True)
class Recording:
    """A recording and its labels."""

    name: str
    audio: Path
    seconds: float
    labels: dict[str, str]
    """Text by level."""
    text: str | None = None
    """The words, if the data have them."""
    measures: dict[str, int] | None = None
    """Annotated tajweed of recordings of qdat_bench; see ``recitation.tajweed``."""


@dataclass(frozen=True)
class LabelledSet:
    """Recordings with a name, and a hash over their audio and labels."""

    name: str
    sha256: str
    recordings: tuple[Recording, ...]

    @property
    def seconds(self) -> float:
        """Duration of all recordings."""
        return sum(recording.seconds for recording in self.recordings)

    def labels(self, level: str, levels: Sequence[str]) -> list[str] | None:
        """Every recording's label of ``level``, one of ``levels``; see ``level_labels``. Raises DataError."""
        return level_labels(self.name, [(one.name, one.labels) for one in self.recordings], level, levels)

    def limited(self, count: int) -> LabelledSet:
        """``count`` recordings, evenly spread over their durations; this set if it has no more."""
        if count >= len(self.recordings):
            return self
        ranked = sorted(self.recordings, key=lambda recording: (recording.seconds, recording.name))
        chosen = [ranked[number * len(ranked) // count] for number in range(count)]
        return labelled_set(f"{self.name}, {count} of {len(self.recordings)}", chosen)


def labelled_set(name: str, recordings: Sequence[Recording]) -> LabelledSet:
    """A set of recordings in the order of their names. Raises DataError for no recordings or repeated names."""
    if not recordings:
        raise DataError(f"{name}: holds no recordings")
    counts = Counter(recording.name for recording in recordings)
    repeated = sorted(entry for entry, count in counts.items() if count > 1)
    if repeated:
        raise DataError(f"{name}: {', '.join(repeated[:3])}: given more than once")
    ordered = sorted(recordings, key=lambda recording: recording.name)
    digest = hashlib.sha256()
    for recording in ordered:
        digest.update(bytes.fromhex(sha256_of_file(recording.audio)))
        digest.update(json.dumps([recording.labels, recording.text], sort_keys=True).encode())
    return LabelledSet(name, digest.hexdigest(), tuple(ordered))


def load_data(source: str | Path | None, scratch: Path) -> LabelledSet:
    """The set named by ``source``: JSON lines, a folder, a dataset's folder or Hub id; None for the bundled set.

    A folder with the annotations of qdat_bench is that benchmark.

    Audio inside a dataset is written to the empty folder ``scratch``. Raises DataError, or MissingExtraError if
    ``datasets`` is needed and not installed.
    """
    if source is None:
        return labelled_set("bundled", list(_json_lines(reference.EVALUATION)))
    path = Path(source)
    if is_file(path):
        return labelled_set(path.name, list(_json_lines(path)))
    folder = is_folder(path)
    if folder and not _is_dataset(path):
        recordings = _qdat_bench(path) if is_qdat_bench(path) else _folder(path)
        return labelled_set(path.name, list(recordings))
    if not folder and not _HUB_ID.fullmatch(str(source)):
        raise DataError(f"{source}: no such file or folder")
    if find_spec("datasets") is None:
        raise MissingExtraError(f"datasets, which opens {source},", "datasets")
    from .hub import dataset_rows

    return labelled_set(
        str(source), [_recording(description, row, scratch) for description, row in dataset_rows(str(source), scratch)]
    )


def _is_dataset(folder: Path) -> bool:
    """Whether ``datasets`` wrote the folder (``save_to_disk``), or it has parquet files, as datasets on the Hub."""
    stored = any(look_up(folder / name) is not None for name in ("dataset_info.json", "dataset_dict.json"))
    return stored or any(folder.rglob("*.parquet"))


def _json_lines(path: Path) -> Iterator[Recording]:
    return (_recording(description, row, path.parent) for description, row in json_lines(path))


def _folder(path: Path) -> Iterator[Recording]:
    """Audio files with a text of the same name beside them."""
    for audio in audio_files(path):
        label = audio.with_suffix(".txt")
        if not is_file(label):
            raise DataError(f"{audio}: no {label.name} beside it")
        text = " ".join(read_text(label).split())
        # A folder does not name the level of its texts: they label the first level, see ``level_labels``.
        yield _recording(str(label), {AUDIO: str(audio.relative_to(path)), TEXT: text}, path)


def _qdat_bench(folder: Path) -> Iterator[Recording]:
    annotations = read_annotations(folder)
    audio = audio_of(folder, annotations)
    for one in annotations:
        labels = {level: "".join(tokens) for level, tokens in one.tokens.items()}
        path, seconds = audio[one.id]
        yield Recording(one.id, path, seconds, labels, measures=one.measures)


def _recording(description: str, row: Mapping[str, Any], folder: Path) -> Recording:
    name = row[AUDIO]
    labels = labels_of_row(description, row)
    if not labels:
        raise DataError(f"{description}: no label ('phonemes', 'text', or 'levels')")
    audio = folder / name
    try:
        seconds = duration(audio)
    except AudioError as error:
        raise DataError(f"{description}: {error}") from None
    return Recording(name, audio, seconds, labels, labels.get(TEXT))
