"""Folders that people take for checkpoints: what each of them is, and what to do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError

_CONFIG, _VOCABULARY = "config.json", "vocab.json"
_TRAINING_STATE = ("optimizer.*", "scheduler.*", "rng_state*", "scaler.*", "trainer_state.json", "global_step*")
_SHOWN = 3


def check_folder(folder: Path) -> None:
    """Raise CheckpointError for a folder that is something else than a whole checkpoint."""
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{folder}: is a LoRA adapter{_base(folder)}, not a model; merge it first: "
            "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(output)"
        )
    if not (folder / _CONFIG).is_file():
        inner = sorted((path.parent for path in folder.glob(f"*/{_CONFIG}")), key=_by_number)
        if inner:
            names = _few([str(one) for one in inner])
            raise CheckpointError(f"{folder}: no {_CONFIG} in the checkpoint; did you mean a folder inside: {names}")
        state = training_state(folder)
        if state:
            raise CheckpointError(
                f"{folder}: holds the state of a training ({_few(state)}) and no model; name the folder in which the "
                f"training saved {_CONFIG} and model.safetensors"
            )
    elif not (folder / _VOCABULARY).is_file() and (training_state(folder) or (folder / "training_args.bin").is_file()):
        parent = folder.resolve().parent
        source = parent if (parent / _VOCABULARY).is_file() else "the folder of the processor with which it was trained"
        raise CheckpointError(
            f"{folder}: no {_VOCABULARY}, because the Trainer saved no tokenizer; copy {_VOCABULARY}, "
            f"tokenizer_config.json and preprocessor_config.json from {source}"
        )


def training_state(folder: Path) -> list[str]:
    """Names of the files from which a training continues."""
    return sorted(path.name for pattern in _TRAINING_STATE for path in folder.glob(pattern))


def _base(folder: Path) -> str:
    """Of which model a LoRA folder says that it is, in words."""
    try:
        name = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f" of {name}" if isinstance(name, str) and name else ""


def _by_number(folder: Path) -> tuple[int, str]:
    """Sorts checkpoint-1000 before checkpoint-500: the latest first."""
    number = re.search(r"(\d+)$", folder.name)
    return (-int(number[1]) if number else 0, folder.name)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
