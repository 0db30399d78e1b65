"""Tokens as text, as transformers' ``Wav2Vec2CTCTokenizer`` writes them once repeats and blanks are gone."""

from __future__ import annotations

from collections.abc import Iterable

from .manifest import LevelVocabulary

# Of transformers' ``clean_up_tokenization_spaces``, in this order: each loses the spaces around it.
_CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def token_text(index: int, vocabulary: LevelVocabulary) -> str:
    """The text of one token: that of a word delimiter is the vocabulary's ``space``."""
    text = _written(index, vocabulary)
    return text.lower() if vocabulary.lower_case else text


def text_of(ids: Iterable[int], vocabulary: LevelVocabulary) -> str:
    """The text of tokens without blanks and specials."""
    text = "".join(_written(index, vocabulary) for index in ids).strip()
    if vocabulary.lower_case:
        text = text.lower()  # of the whole text: some letters depend on their neighbours
    if vocabulary.clean_up_spaces:
        for part in _CLEANED:
            text = text.replace(part, part.strip())
    return text


def _written(index: int, vocabulary: LevelVocabulary) -> str:
    token = vocabulary.tokens[index]
    return vocabulary.space if token == vocabulary.word_delimiter else token
