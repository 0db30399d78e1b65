"""Texts as tokens of a level."""

from __future__ import annotations

from .manifest import LevelVocabulary
from .text import token_text


def token_ids(text: str, vocabulary: LevelVocabulary) -> tuple[tuple[int, ...], list[str]]:
    """Ids of the tokens of ``text``, longest match first, and every occurrence of a character that matches no token.

    A space between words is the word delimiter. In a vocabulary without word delimiter, spaces (which phonetizers write
    between words) are ignored. Where texts are in lower case, the tokens are in upper case, as transformers has it.
    """
    ids: list[int] = []
    unknown: list[str] = []
    known = {
        token: index for index, token in enumerate(vocabulary.tokens) if token and index not in vocabulary.specials
    }
    if vocabulary.word_delimiter is not None:
        text = " ".join(text.split())
        known.pop(vocabulary.word_delimiter, None)
        known[" "] = vocabulary.tokens.index(vocabulary.word_delimiter)
    if vocabulary.lower_case:
        text = text.upper()
    longest_first = sorted(known, key=len, reverse=True)
    while text:
        token = next((token for token in longest_first if text.startswith(token)), None)
        if token is not None:
            ids.append(known[token])
        elif not text[0].isspace():
            unknown.append(text[0])
        text = text[len(token or text[0]) :]
    return tuple(ids), unknown


def tokenize(text: str, vocabulary: LevelVocabulary) -> tuple[list[str], list[str]]:
    """As ``token_ids``, but with the texts of the tokens as transcripts have them."""
    ids, unknown = token_ids(text, vocabulary)
    return [token_text(index, vocabulary) for index in ids], unknown
