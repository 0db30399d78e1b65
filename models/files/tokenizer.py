"""What the ids of a CTC head mean as text: a checkpoint's ``Wav2Vec2CTCTokenizer``, as transformers reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...artifacts import LevelVocabulary
from ...errors import MissingExtraError, first_line
from ..errors import CheckpointError, UnsupportedModelError
from .stored import read_object

_CONFIG_FILE, _SPECIALS_FILE, _ADDED_FILE = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
TOKENIZER_FILES = (_CONFIG_FILE, _SPECIALS_FILE, _ADDED_FILE)
"""Beside ``vocab.json``; a checkpoint may lack any of them."""

_CLASS = "Wav2Vec2CTCTokenizer"
# Transformers' own, where a checkpoint names none.
_PAD, _DELIMITER = "<pad>", "|"
# Special tokens of a checkpoint that has no settings of its tokenizer.
_USUAL = ("<unk>", "[UNK]", "<s>", "</s>", "[CLS]", "[SEP]")


class VocabularyMismatchError(CheckpointError):
    """A vocabulary that does not fit its head; the message says how, and the caller where."""


def read_settings(folder: Path) -> dict[str, Any]:
    """The tokenizer's settings, empty where the checkpoint has none.

    Raises CheckpointError, and UnsupportedModelError for a tokenizer whose text qasr does not write.
    """
    path = folder / _CONFIG_FILE
    settings = read_object(path) if path.is_file() else {}
    # With its list of added tokens the newer file is complete, and transformers ignores the older one.
    if "added_tokens_decoder" not in settings and (folder / _SPECIALS_FILE).is_file():
        settings |= read_object(folder / _SPECIALS_FILE)
    name = settings.get("tokenizer_class")
    if name not in (None, _CLASS):
        raise UnsupportedModelError(f"{path}: tokenizer_class {name!r} is not supported; qasr reads {_CLASS}")
    if settings.get("auto_map"):
        raise UnsupportedModelError(f"{path}: auto_map (a tokenizer with code of its own) is not supported")
    if not isinstance(settings.get("replace_word_delimiter_char", ""), str):
        raise UnsupportedModelError(f"{path}: replace_word_delimiter_char must be a text")
    return settings


def read_level(
    folder: Path,
    settings: Mapping[str, Any],
    ids: Mapping[str, int],
    size: int,
    *,
    language: str | None,
    blank: int | None,
    one_head: bool,
) -> LevelVocabulary:
    """The vocabulary of a head with ``size`` logits, whose tokens in ``vocab.json`` are ``ids``.

    ``language``: the key of ``ids`` in a nested ``vocab.json``. ``blank``: the configuration's ``pad_token_id``, which
    counts where the tokenizer names no token for padding, and in models of several heads, which share one tokenizer.
    Raises CheckpointError, UnsupportedModelError, VocabularyMismatchError.
    """
    if one_head and settings.get("pad_token", _PAD) is None:
        path = folder / _CONFIG_FILE
        raise UnsupportedModelError(f"{path}: pad_token is null, but it is the CTC blank; name the blank's token")
    changes: dict[str, Any] = {} if language is None else {"target_lang": language}
    added = read_object(folder / _ADDED_FILE) if (folder / _ADDED_FILE).is_file() else {}
    if not settings:
        usual = [token for token in _USUAL if token in ids or token in added]
        changes |= {"bos_token": None, "eos_token": None, "unk_token": None, "extra_special_tokens": usual}
    if not one_head or ("pad_token" not in settings and _PAD not in ids and _PAD not in added):
        changes["pad_token"] = _token_at(blank, {**added, **ids}, size)
    tokenizer = _open(folder, changes)
    tokens = _tokens(tokenizer, ids, size)
    # Read from the settings: transformers 5 forgets a stored delimiter other than its own.
    delimiter = _content(settings.get("word_delimiter_token", _DELIMITER))
    pad, space = str(tokenizer.pad_token), tokenizer.replace_word_delimiter_char
    if pad not in tokens:
        raise VocabularyMismatchError(
            f"the tokenizer's pad_token {pad!r}, the CTC blank, is not among its {size} tokens"
        )
    special = {pad, *(token for token in tokenizer.all_special_tokens if token != delimiter)}
    if delimiter is not None and not space:  # it is nothing in a text, and separates no words
        special.add(delimiter)
    return LevelVocabulary(
        tokens=tokens,
        blank=tokens.index(pad),
        specials=[index for index, token in enumerate(tokens) if token in special],
        word_delimiter=delimiter if delimiter in tokens and delimiter not in special else None,
        space=space or " ",
        lower_case=bool(tokenizer.do_lower_case),
        clean_up_spaces=bool(tokenizer.clean_up_tokenization_spaces),
    )


def _open(folder: Path, changes: Mapping[str, Any]) -> Any:
    try:
        from transformers import Wav2Vec2CTCTokenizer
    except ImportError:
        raise MissingExtraError("transformers", "export") from None
    try:
        return Wav2Vec2CTCTokenizer.from_pretrained(str(folder), **changes)
    except Exception as error:  # transformers refuses settings with many kinds of exception
        raise CheckpointError(f"{folder}: its tokenizer is refused by transformers ({first_line(error)})") from None


def _tokens(tokenizer: Any, ids: Mapping[str, int], size: int) -> list[str]:
    """The token of every logit. Some heads have those of ``vocab.json`` alone, others those added behind it too."""
    named = {*ids.values(), *(index for index in tokenizer.added_tokens_decoder if index < size)}
    if named != set(range(size)):
        raise VocabularyMismatchError(
            f"{len(named)} tokens for a head of {size} logits (ids must run from 0 to {size - 1})"
        )
    return [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(size)))]


def _token_at(blank: int | None, ids: Mapping[str, int], size: int) -> str:
    if blank is None:
        raise VocabularyMismatchError(
            "neither config.json (pad_token_id) nor the tokenizer (pad_token) names the blank"
        )
    token = next((token for token, index in ids.items() if index == blank), None)
    if token is None:
        raise VocabularyMismatchError(f"the blank (pad_token_id {blank}) is not among its {size} ids")
    return token


def _content(token: Any) -> str | None:
    """The text of a token, which is stored as such or in an object."""
    return token.get("content") if isinstance(token, dict) else token
