"""Texts as tokens of a level."""

from __future__ import annotations

from .manifest import LevelVocabulary


def token_ids(text: str, vocabulary: LevelVocabulary) -> tuple[tuple[int, ...], list[str]]:
    """Ids of the tokens of ``text``, and the characters that match no token; see ``tokenize``."""
    tokens, unknown = tokenize(text, vocabulary)
    written = {" ": vocabulary.word_delimiter} if vocabulary.word_delimiter is not None else {}
    return tuple(vocabulary.tokens.index(written.get(token) or token) for token in tokens), unknown


def tokenize(text: str, vocabulary: LevelVocabulary) -> tuple[list[str], list[str]]:
    """Tokens of ``text``, longest match first, and every occurrence of a character that matches no token.

    A space between words becomes the token " ", which means the word delimiter. In a vocabulary without word delimiter,
    spaces (which phonetizers write between words) are ignored.
    """
    tokens: list[str] = []
    unknown: list[str] = []
    special = {vocabulary.tokens[index] for index in vocabulary.specials}
    longest_first = sorted(set(vocabulary.tokens) - special - {""}, key=len, reverse=True)
    if vocabulary.word_delimiter is not None:
        longest_first = [" ", *(token for token in longest_first if token != vocabulary.word_delimiter)]
        text = " ".join(text.split())
    while text:
        token = next((token for token in longest_first if text.startswith(token)), None)
        if token is not None:
            tokens.append(token)
        elif not text[0].isspace():
            unknown.append(text[0])
        text = text[len(token or text[0]) :]
    return tokens, unknown
