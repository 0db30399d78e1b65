"""Ids as texts and back."""

from __future__ import annotations

import pytest

from qasr.artifacts import LevelVocabulary, text_of, token_ids, token_text, tokenize

TOKENS = ["[PAD]", "|", "A", "Σ", "SH", "S", "[UNK]"]


def vocabulary(**changes):
    return LevelVocabulary(TOKENS, 0, [0, 6], **({"word_delimiter": "|"} | changes))


def test_text():
    assert text_of([1, 2, 1, 1, 4, 3, 1], vocabulary()) == "A  SHΣ"
    assert text_of([2, 1, 3], vocabulary(space="-")) == "A-Σ"
    assert text_of([2, 1, 3], vocabulary(word_delimiter=None)) == "A|Σ"


def test_lower_case_depends_on_neighbours():
    """The last Σ of a word has a letter of its own; a token alone has not."""
    assert text_of([2, 3, 1, 3, 2], vocabulary(lower_case=True)) == "aς σa"
    assert token_text(3, vocabulary(lower_case=True)) == "σ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" a .", "a."), ("is n't", "isn't"), ("it 's", "it's"), ("a ' b", "a'b"), ("we 're , we 've", "we're, we've")],
)
def test_clean_up(text, expected):
    letters = LevelVocabulary([*dict.fromkeys(text), "[PAD]"], 0, [], clean_up_spaces=True)
    assert text_of([letters.tokens.index(letter) for letter in text], letters) == expected


def test_labels():
    ids, unknown = token_ids(" A  SHΣS ", vocabulary())
    assert ([TOKENS[index] for index in ids], unknown) == (["A", "|", "SH", "Σ", "S"], [])
    assert tokenize("A x", vocabulary(space="_")) == (["A", "_"], ["x"])
    assert tokenize("A S", vocabulary(word_delimiter=None)) == (["A", "S"], [])


def test_labels_in_lower_case():
    assert tokenize("aς sh", vocabulary(lower_case=True)) == (["a", "σ", " ", "sh"], [])


def test_specials_are_no_labels():
    assert tokenize("A[UNK]", vocabulary(word_delimiter=None)) == (["A"], ["[", "U", "N", "K", "]"])
