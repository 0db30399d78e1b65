"""A checkpoint of any family: a Hub id, a folder, the bundled ``reference`` model, or ``random:full``."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from .. import reference
from ..artifacts import LevelVocabulary, Source, sha256_of_file
from ..audio import FrontEnd
from . import families
from .architecture import Architecture
from .ctc import CTCModel
from .errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError
from .files.diagnosis import check_folder
from .files.stored import read_json, read_object
from .files.tokenizer import TOKENIZER_FILES
from .hub import download, looks_like_hub_id
from .vocabulary import read_vocabularies
from .weights import INDEX_FILE, weight_files

REFERENCE = "reference"
RANDOM_FULL = "random:full"
TRAINED_FILE = "quantization.safetensors"
"""In checkpoints that were trained while quantized: the schemes of their layers, see ``quantizers.layers.stored``."""
TRAINING_FILE = "training.json"
"""Beside it: the parent checkpoint, the data and the options of the training."""

_RANDOM = "random:"
_CONFIG_FILE = "config.json"
_HUGGING_FACE_FILES = (
    *(_CONFIG_FILE, "preprocessor_config.json", "processor_config.json"),
    *("vocab.json", *TOKENIZER_FILES),
)


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint, with its weights still on disk (or still to be drawn at random)."""

    name: str
    folder: Path
    revision: str | None
    config: Any
    levels: dict[str, LevelVocabulary]
    architecture: Architecture
    front_end: FrontEnd
    random_seed: int | None = None
    """Seed of a model without stored weights; None for a real checkpoint."""

    @property
    def is_random(self) -> bool:
        """Whether the weights are drawn, so that no accuracy can be claimed."""
        return self.random_seed is not None

    @property
    def is_bundled(self) -> bool:
        """Whether it comes with qasr, so that the bundled audio suits it."""
        return self.is_random or self.folder == reference.CHECKPOINT

    @property
    def trained(self) -> Path | None:
        """The file of trained schemes, which exports use unchanged; None for other checkpoints."""
        path = self.folder / TRAINED_FILE
        return path if path.is_file() else None

    def stock(self) -> nn.Module:
        """The transformers model with its weights, float32, in eval mode."""
        return self.architecture.stock(self)

    @property
    def metadata(self) -> list[Path]:
        """Paths of the configuration, vocabulary and feature settings, those that exist."""
        return [path for name in _HUGGING_FACE_FILES if (path := self.folder / name).is_file()]

    def deployable(self) -> CTCModel:
        """The deployable model, with frozen weights."""
        return self.architecture.deployable(self.stock(), self)

    def source(self, model: CTCModel) -> Source:
        """The manifest's record of this checkpoint; ``model`` is its deployable form, for the parameter count."""
        hashed = hashlib.sha256()
        files = self.metadata
        if self.random_seed is None:
            files += weight_files(self.folder)
        else:
            hashed.update(f"seed {self.random_seed}".encode())
        if self.trained is not None:
            files.append(self.trained)
        for file in files:
            hashed.update(f"{file.name} {sha256_of_file(file)}\n".encode())
        return Source(
            name=self.name,
            revision=self.revision,
            sha256=hashed.hexdigest(),
            architecture=self.architecture.class_name(self.config),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            trained_from=None if self.trained is None else self._parent(),
        )

    def _parent(self) -> str:
        """SHA-256 of the checkpoint from which this one was trained."""
        try:
            return str(read_json(self.folder / TRAINING_FILE)["parent"]["sha256"])
        except (KeyError, TypeError):
            raise CheckpointError(f"{self.folder / TRAINING_FILE}: does not name the parent; train again") from None

    def copy_metadata(self, folder: Path) -> None:
        """Write the checkpoint's configuration, vocabulary and feature settings into an artifact's folder."""
        for path in self.metadata:
            shutil.copyfile(path, folder / path.name)

    def copy_configuration(self, folder: Path) -> None:
        """Copy every JSON file beside the weights into the folder of another checkpoint."""
        for path in sorted(self.folder.glob("*.json")):
            if path.name not in (INDEX_FILE, TRAINING_FILE):
                shutil.copyfile(path, folder / path.name)


@contextmanager
def open_checkpoint(name: str, *, revision: str | None = None, offline: bool = False) -> Iterator[Checkpoint]:
    """Find and check the checkpoint that ``name`` means: its files, configuration, heads and vocabularies.

    Raises CheckpointNotFoundError, UnsupportedModelError or CheckpointError.
    """
    random = families.find_random(name.removeprefix(_RANDOM)) if name.startswith(_RANDOM) else None
    if random is not None:
        with tempfile.TemporaryDirectory(prefix="qasr-") as temporary:
            _, write = random
            write(Path(temporary))
            yield _read(name, Path(temporary), None, random_seed=0)
        return
    if name == REFERENCE:
        yield _read(name, reference.CHECKPOINT, None)
        return
    folder = Path(name)
    if folder.is_dir():
        yield _read(folder.resolve().name, folder, None)
    elif folder.exists():
        raise CheckpointError(f"{name}: is a file; name the checkpoint's folder")
    elif looks_like_hub_id(name) and not name.startswith("."):
        folder, commit = download(name, revision=revision, offline=offline)
        yield _read(name, folder, commit)
    else:
        raise CheckpointNotFoundError(
            f"{name}: no such folder, and not a Hub id (owner/model); built in are {REFERENCE} and {RANDOM_FULL}"
        )


def _read(name: str, folder: Path, revision: str | None, *, random_seed: int | None = None) -> Checkpoint:
    check_folder(folder)
    architecture, config = _read_config(folder / _CONFIG_FILE)
    levels = read_vocabularies(folder, architecture.heads(config), config.pad_token_id)
    if random_seed is None:
        weight_files(folder)
    front_end = architecture.front_end(folder, config)
    return Checkpoint(name, folder, revision, config, levels, architecture, front_end, random_seed)


def _read_config(path: Path) -> tuple[Architecture, Any]:
    stored = read_object(path)
    model_type = stored.get("model_type")
    architecture = families.find(model_type)
    if architecture is None:
        raise UnsupportedModelError(
            f"{path}: model_type {model_type!r} is not supported; qasr deploys {', '.join(families.supported())}"
        )
    return architecture, architecture.read_config(stored, path)
