"""``vocab.json`` of a checkpoint: flat (one head) or nested by level (one head per level)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..artifacts import LevelVocabulary
from ..recitation.levels import rank
from .errors import CheckpointError
from .files.stored import read_object
from .files.tokenizer import VocabularyMismatchError, read_level, read_settings

SINGLE_LEVEL = "text"
"""Name of the only level of a checkpoint with one head."""


def read_vocabularies(folder: Path, heads: dict[str, int], blank: int | None) -> dict[str, LevelVocabulary]:
    """The vocabulary of every head, checked against the head's size.

    ``heads``: number of logits by level; ``blank``: the configuration's ``pad_token_id``. Raises CheckpointError that
    names every level that does not match, UnsupportedModelError for a tokenizer whose text qasr does not write.
    """
    path = folder / "vocab.json"
    stored = read_object(path)
    settings = read_settings(folder)
    nested = bool(stored) and all(isinstance(value, dict) for value in stored.values())
    one_head = list(heads) == [SINGLE_LEVEL]
    if one_head:
        stored, language = _of_one_head(path, stored, settings.get("target_lang")) if nested else (stored, None)
        stored, languages = {SINGLE_LEVEL: stored}, {SINGLE_LEVEL: language}
    elif not nested:
        raise CheckpointError(f"{path}: is flat, but the model has the heads {', '.join(heads)}")
    else:
        languages = {level: level for level in heads}
    for ids in stored.values():
        if not ids or not all(type(index) is int for index in ids.values()):
            raise CheckpointError(f"{path}: must be a non-empty object of tokens and ids")
    problems: list[str] = []
    vocabularies: dict[str, LevelVocabulary] = {}
    for level in sorted(heads, key=rank):
        if level not in stored:
            problems.append(f"{level}: absent")
            continue
        try:
            vocabularies[level] = read_level(
                folder,
                settings,
                stored[level],
                heads[level],
                language=languages[level],
                blank=blank,
                one_head=one_head,
            )
        except VocabularyMismatchError as error:
            problems.append(f"{level}: {error}")
    surplus = [level for level in stored if level not in heads]
    if surplus:
        problems.append(f"without a head: {', '.join(surplus)}")
    if problems:
        raise CheckpointError(f"{path}: does not match the model's heads ({'; '.join(problems)})")
    return vocabularies


def _of_one_head(path: Path, stored: dict[str, Any], language: Any) -> tuple[dict[str, int], str]:
    """The part of a nested vocabulary that the tokenizer reads for a model with one head."""
    if language not in stored:
        raise CheckpointError(
            f"{path}: is nested by level, but the model has one head; name one of its parts ({', '.join(stored)}) "
            "as target_lang in tokenizer_config.json"
        )
    return stored[language], language
