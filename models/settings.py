"""Settings of a checkpoint's feature extractor, as transformers stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import CheckpointError
from .files.stored import read_json, read_object


def read_extractor_settings(folder: Path) -> dict[str, Any]:
    """The settings, from either of the two files in which transformers has stored them. Raises CheckpointError."""
    if (folder / "preprocessor_config.json").is_file() or not (folder / "processor_config.json").is_file():
        settings = read_json(folder / "preprocessor_config.json")
    else:
        settings = read_object(folder / "processor_config.json").get("feature_extractor")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{folder}: its feature settings are not an object")
    return settings
