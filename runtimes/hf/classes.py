"""The class of a Hugging Face checkpoint: one of transformers or of qasr, never one that the artifact contains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...artifacts import Artifact
from ...errors import first_line
from ..errors import RuntimeLoadError

CONFIG_FILE = "config.json"
_MULTILEVEL = "multi_level_ctc"


def model_class(artifact: Artifact) -> Any:
    """The class for the ``model_type`` of the artifact's ``config.json``.

    Artifacts of several levels contain a Python file with their class, for people who use transformers alone; it is not
    executed here. Raises RuntimeLoadError for a type that neither transformers nor qasr has a CTC class for, and for a
    configuration that makes transformers load code from elsewhere.
    """
    path = artifact.path(CONFIG_FILE)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RuntimeLoadError(f"{path}: is not JSON ({error}); export the artifact again") from None
    if not isinstance(config, dict):
        raise RuntimeLoadError(f"{path}: is not a JSON object; export the artifact again")
    for name, value in _entries(config):
        # transformers downloads an attention kernel that is named by a repository, and runs it.
        if name.endswith("attn_implementation") and "/" in str(value):
            raise RuntimeLoadError(f"{path}: {name} {value!r} is code from elsewhere; do not use this artifact")
    if config.get("model_type") == _MULTILEVEL:
        from ...recitation.multilevel import Wav2Vec2BertForMultilevelCTC

        return Wav2Vec2BertForMultilevelCTC
    from transformers import MODEL_FOR_CTC_MAPPING, AutoConfig

    try:
        kind = type(AutoConfig.from_pretrained(artifact.folder, trust_remote_code=False))
    except Exception as error:  # transformers validates with many kinds of error
        raise RuntimeLoadError(f"{path}: transformers refuses it ({first_line(error)})") from None
    if kind not in MODEL_FOR_CTC_MAPPING:
        raise RuntimeLoadError(f"{path}: transformers has no CTC model of the type {config.get('model_type')!r}")
    return MODEL_FOR_CTC_MAPPING[kind]


def _entries(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """All names and values, of nested objects too."""
    nested = [entry for value in config.values() if isinstance(value, dict) for entry in _entries(value)]
    return [*config.items(), *nested]
