"""``vocab.json`` of a checkpoint: flat (one head) or nested by level (one head per level)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..artifacts import LevelVocabulary
from ..recitation.levels import rank
from .errors import CheckpointError

SINGLE_LEVEL = "text"
"""Name of the only level of a checkpoint with one head."""

_SPECIAL_TOKENS = frozenset({"[PAD]", "<pad>", "[UNK]", "<unk>", "<s>", "</s>", "[CLS]", "[SEP]"})


def read_json(path: Path) -> Any:
    """The content of a JSON file; CheckpointError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: no {path.name} in the checkpoint") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as checkpoints store it: indented, with sorted keys, the same bytes every time."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def read_vocabularies(folder: Path, heads: dict[str, int], blank: int) -> dict[str, LevelVocabulary]:
    """The vocabulary of every head, checked against the head's size.

    ``heads``: number of logits by level; ``blank``: the configuration's ``pad_token_id``. Raises CheckpointError that
    names every level that does not match.
    """
    stored = read_json(folder / "vocab.json")
    if not isinstance(stored, dict) or not stored:
        raise CheckpointError(f"{folder / 'vocab.json'}: must be a non-empty object of tokens and ids")
    nested = all(isinstance(value, dict) for value in stored.values())
    if list(heads) == [SINGLE_LEVEL]:
        if nested:
            raise CheckpointError(f"{folder / 'vocab.json'}: is nested by level, but the model has one head")
        # Some heads have the tokens of vocab.json alone, others also those that the tokenizer adds to it.
        added = {token: index for token, index in _added_tokens(folder).items() if index < heads[SINGLE_LEVEL]}
        stored = {SINGLE_LEVEL: {**stored, **added}}
    elif not nested:
        raise CheckpointError(f"{folder / 'vocab.json'}: is flat, but the model has the heads {', '.join(heads)}")
    delimiter = _word_delimiter(folder) if list(heads) == [SINGLE_LEVEL] else None
    problems: list[str] = []
    vocabularies: dict[str, LevelVocabulary] = {}
    for level in sorted(heads, key=rank):
        size = heads[level]
        if level not in stored:
            problems.append(f"{level}: absent")
            continue
        ids = stored[level]
        if sorted(ids.values()) != list(range(size)):
            problems.append(
                f"{level}: {len(ids)} tokens for a head of {size} logits (ids must run from 0 to {size - 1})"
            )
            continue
        tokens = sorted(ids, key=ids.__getitem__)
        specials = [index for index, token in enumerate(tokens) if token in _SPECIAL_TOKENS or index == blank]
        vocabularies[level] = LevelVocabulary(
            tokens=tokens, blank=blank, specials=specials, word_delimiter=delimiter if delimiter in ids else None
        )
        if not 0 <= blank < size:
            problems.append(f"{level}: the blank (pad_token_id {blank}) is not among its {size} ids")
    surplus = [level for level in stored if level not in heads]
    if surplus:
        problems.append(f"without a head: {', '.join(surplus)}")
    if problems:
        raise CheckpointError(f"{folder / 'vocab.json'}: does not match the model's heads ({'; '.join(problems)})")
    return vocabularies


def _added_tokens(folder: Path) -> dict[str, int]:
    """Tokens that the tokenizer adds behind ``vocab.json``, often sentence marks, from either file listing them."""
    added: dict[str, int] = {}
    if (folder / "added_tokens.json").is_file():
        added.update(read_json(folder / "added_tokens.json"))
    if (folder / "tokenizer_config.json").is_file():
        decoder = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
        added.update({entry["content"]: int(index) for index, entry in decoder.items()})
    return added


def _word_delimiter(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    stored = read_json(path).get("word_delimiter_token") if path.is_file() else None
    if isinstance(stored, dict):
        stored = stored.get("content")
    return stored if isinstance(stored, str) else "|"
