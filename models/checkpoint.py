"""A checkpoint: a Hub id, a folder, the bundled ``reference`` model, or ``random:full``."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import reference
from ..artifacts import LevelVocabulary, Source, sha256_of_file
from ..errors import MissingExtraError
from .errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError
from .hub import download, looks_like_hub_id
from .vocabulary import SINGLE_LEVEL, read_json, read_vocabularies
from .wav2vec2_bert.model import DeployableCTC, check_supported, deployable
from .weights import INDEX_FILE, load_weights, weight_files

REFERENCE = "reference"
RANDOM_FULL = "random:full"
TRAINED_FILE = "quantization.safetensors"
"""In checkpoints that were trained while quantized: the schemes of their layers, see ``quantizers.stored``."""
TRAINING_FILE = "training.json"
"""Beside it: of what, on what and how they were trained."""

_FRAME_RATE_HZ = 50.0
_HUGGING_FACE_FILES = ("config.json", "vocab.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found and checked, with its weights still on disk (or still to be drawn)."""

    name: str
    folder: Path
    revision: str | None
    config: Any
    levels: dict[str, LevelVocabulary]
    features: dict[str, Any]
    """Content of ``preprocessor_config.json``."""
    random_seed: int | None = None
    """Seed of a model without stored weights; None for a real checkpoint."""

    @property
    def is_random(self) -> bool:
        """Whether the weights are drawn, so that no accuracy can be claimed."""
        return self.random_seed is not None

    @property
    def is_bundled(self) -> bool:
        """Whether it comes with qasr, so that the bundled audio is its own."""
        return self.is_random or self.folder == reference.CHECKPOINT

    @property
    def trained(self) -> Path | None:
        """The file of trained schemes, which exports take as they are; None for other checkpoints."""
        path = self.folder / TRAINED_FILE
        return path if path.is_file() else None

    def stock(self) -> Any:
        """The transformers model with its weights, float32, in eval mode."""
        kind = _model_class(self.config)
        if self.random_seed is not None:
            torch.manual_seed(self.random_seed)
            return kind(self.config).eval()
        with torch.device("meta"):
            model = kind(self.config)
        load_weights(model, weight_files(self.folder))
        return model.eval()

    @property
    def metadata(self) -> list[Path]:
        """The configuration, vocabulary and feature settings, as far as there are files of them."""
        return [path for name in _HUGGING_FACE_FILES if (path := self.folder / name).is_file()]

    def deployable(self) -> DeployableCTC:
        """The deployable model; see ``deployable.deployable``."""
        return deployable(self.stock(), {level: len(vocabulary.tokens) for level, vocabulary in self.levels.items()})

    def source(self, model: DeployableCTC) -> Source:
        """What the manifest says of this checkpoint; ``model`` is its deployable form, for the parameter count."""
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
            architecture=_architecture(self.config),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            trained_from=None if self.trained is None else self._parent(),
        )

    def _parent(self) -> str:
        """The hash of the checkpoint from which this one was trained."""
        try:
            return str(read_json(self.folder / TRAINING_FILE)["parent"]["sha256"])
        except (KeyError, TypeError):
            raise CheckpointError(f"{self.folder / TRAINING_FILE}: does not name the parent; train again") from None

    def frame_rate_hz(self, model: DeployableCTC) -> float:
        """Logit frames per second of audio."""
        rate = _FRAME_RATE_HZ
        for _, stride, _ in model.subsampling:
            rate /= stride
        return rate

    def copy_metadata(self, folder: Path) -> None:
        """Write the checkpoint's configuration, vocabulary and feature settings into an artifact's folder."""
        for path in self.metadata:
            shutil.copyfile(path, folder / path.name)

    def copy_configuration(self, folder: Path) -> None:
        """Write all that stands in JSON beside the weights into the folder of another checkpoint."""
        for path in sorted(self.folder.glob("*.json")):
            if path.name not in (INDEX_FILE, TRAINING_FILE):
                shutil.copyfile(path, folder / path.name)


@contextmanager
def open_checkpoint(name: str, *, revision: str | None = None, offline: bool = False) -> Iterator[Checkpoint]:
    """Find and check the checkpoint that ``name`` means: its files, configuration, heads and vocabularies.

    Raises CheckpointNotFoundError, UnsupportedModelError or CheckpointError.
    """
    if name == RANDOM_FULL:
        from .wav2vec2_bert.full import write_full_config

        with tempfile.TemporaryDirectory(prefix="qasr-") as temporary:
            write_full_config(Path(temporary))
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
    config = _read_config(folder)
    check_supported(config)
    heads = dict(getattr(config, "level_to_vocab_size", None) or {SINGLE_LEVEL: config.vocab_size})
    blank = config.pad_token_id
    if blank is None:
        raise CheckpointError(f"{folder / 'config.json'}: has no pad_token_id, which is the CTC blank")
    levels = read_vocabularies(folder, heads, blank)
    if random_seed is None:
        weight_files(folder)
    return Checkpoint(name, folder, revision, config, levels, _read_features(folder, config), random_seed)


def _read_config(folder: Path) -> Any:
    try:
        from transformers import Wav2Vec2BertConfig
    except ImportError:
        raise MissingExtraError("transformers", "export") from None
    from ..recitation.multilevel import MultiLevelCTCConfig

    stored = read_json(folder / "config.json")
    architectures = (stored.get("architectures") or [None]) if isinstance(stored, dict) else [None]
    kinds = {"multi_level_ctc": MultiLevelCTCConfig, "wav2vec2-bert": Wav2Vec2BertConfig}
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if kind not in kinds or (kind == "wav2vec2-bert" and architectures[0] != "Wav2Vec2BertForCTC"):
        raise UnsupportedModelError(
            f"{folder / 'config.json'}: model_type {kind!r} with architecture {architectures[0]!r} is not supported; "
            "qasr deploys multi_level_ctc and Wav2Vec2BertForCTC"
        )
    if kind == "multi_level_ctc" and not stored.get("level_to_vocab_size"):
        raise CheckpointError(f"{folder / 'config.json'}: has no level_to_vocab_size")
    try:
        return kinds[kind].from_dict(stored)
    except Exception as error:  # transformers validates with many kinds of exception
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{folder / 'config.json'}: refused by transformers ({reason})") from None


def _read_features(folder: Path, config: Any) -> dict[str, Any]:
    """Feature settings, from either of the two files in which transformers has stored them."""
    if (folder / "preprocessor_config.json").is_file() or not (folder / "processor_config.json").is_file():
        settings = read_json(folder / "preprocessor_config.json")
    else:
        settings = read_json(folder / "processor_config.json").get("feature_extractor")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{folder}: its feature settings are not an object")
    width = int(settings.get("num_mel_bins", 80)) * int(settings.get("stride", 2))
    if width != config.feature_projection_input_dim:
        raise CheckpointError(
            f"{folder}: the feature settings give {width} values a frame, "
            f"the model takes {config.feature_projection_input_dim}"
        )
    return settings


def _architecture(config: Any) -> str:
    return "Wav2Vec2BertForMultilevelCTC" if config.model_type == "multi_level_ctc" else "Wav2Vec2BertForCTC"


def _model_class(config: Any) -> Any:
    if config.model_type == "multi_level_ctc":
        from ..recitation.multilevel import Wav2Vec2BertForMultilevelCTC

        return Wav2Vec2BertForMultilevelCTC
    from transformers import Wav2Vec2BertForCTC

    return Wav2Vec2BertForCTC
