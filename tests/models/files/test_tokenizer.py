"""Texts of logits against the tokenizer that the user has in memory, whose files the checkpoint holds."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import pytest
from transformers import Wav2Vec2CTCTokenizer

from qasr.artifacts import tokenize
from qasr.models import CheckpointError, UnsupportedModelError
from qasr.models.vocabulary import read_vocabularies
from qasr.runtimes.ctc.decoding import reduce_logits
from qasr.runtimes.ctc.transcript import transcribe_frames

from ...toys.checkpoints import WORDS, words_tokenizer

UPPER = {"|": 0, "A": 1, "Σ": 2, "Ο": 3, "İ": 4, "'": 5, "S": 6, "[UNK]": 7, "[PAD]": 8}
TOKENIZERS = {
    "usual": {},
    "sentence marks of another name": {"bos_token": "[CLS]", "eos_token": "[SEP]"},
    "no sentence marks": {"bos_token": None, "eos_token": None},
    "unknown token": {"unk_token": "e"},
    "blank of another name": {"pad_token": "b"},
    "lower case": {"vocabulary": UPPER, "do_lower_case": True},
    "delimiter": {"word_delimiter_token": "c"},
    "no delimiter": {"word_delimiter_token": None},
    "absent delimiter": {"word_delimiter_token": "_"},
    "space": {"replace_word_delimiter_char": "-"},
    "empty space": {"replace_word_delimiter_char": ""},
    "a space that is a token": {"replace_word_delimiter_char": "'"},
    "cleaned up": {
        "vocabulary": {"|": 0, "s": 1, "'": 2, "n": 3, "t": 4, ".": 5, "?": 6, "[PAD]": 7},
        "clean_up_tokenization_spaces": True,
        "unk_token": None,
    },
    "more specials": {"extra_special_tokens": ["a", "d"], "mask_token": "e"},
    "tokens of several letters": {"vocabulary": {"[PAD]": 0, "sh": 1, "s": 2, "h": 3, " ": 4, "|": 5}},
}


def write(folder, *, vocabulary=WORDS, **settings):
    tokenizer = words_tokenizer(folder, vocabulary, **settings)
    tokenizer.save_pretrained(folder)
    return tokenizer


def read(folder, size, blank=0):
    return read_vocabularies(folder, {"text": size}, blank)["text"]


def one_hot(ids, size):
    return np.eye(size, dtype=np.float32)[None, ids] * 9


def text_of_logits(logits, vocabulary):
    levels = {"text": vocabulary}
    frames = reduce_logits({"text": logits}, 0, logits.shape[1], levels)
    return transcribe_frames(frames, levels, audio="x", seconds=1.0, frame_rate_hz=50.0).text


def without_repeats(ids):
    return [index for index, _ in groupby(ids)]


@pytest.mark.parametrize("case", TOKENIZERS.values(), ids=TOKENIZERS)
def test_random_logits(tmp_path, case):
    tokenizer = write(tmp_path, **case)
    size = len(tokenizer)
    vocabulary = read(tmp_path, size)
    random = np.random.default_rng(0)
    for _ in range(20):
        logits = random.standard_normal((1, 120, size)).astype(np.float32)
        ids = without_repeats(logits[0].argmax(-1).tolist())
        expected = tokenizer.decode(ids, skip_special_tokens=True, group_tokens=False)
        assert text_of_logits(logits, vocabulary) == expected


@pytest.mark.parametrize("case", TOKENIZERS.values(), ids=TOKENIZERS)
def test_random_paths_decoded_by_transformers_alone(tmp_path, case):
    """No two equal tokens have only special tokens between them; see ``test_doubled_letters``."""
    tokenizer = write(tmp_path, **case)
    vocabulary = read(tmp_path, len(tokenizer))
    random = np.random.default_rng(1)
    for _ in range(20):
        ids, last = [], None
        for index in random.integers(0, len(tokenizer), 60).tolist():
            if index == last:
                continue
            last = last if index in vocabulary.specials else index
            ids += [index] * int(random.integers(1, 4))
        (expected,) = tokenizer.batch_decode([ids], skip_special_tokens=True)
        assert text_of_logits(one_hot(ids, len(tokenizer)), vocabulary) == expected


def test_doubled_letters(tmp_path):
    """Transformers skips special tokens before it merges repeats, and so loses every doubled letter; qasr does not."""
    tokenizer = write(tmp_path)
    a, b, pad = WORDS["a"], WORDS["b"], WORDS["[PAD]"]
    ids = [a, b, b, pad, b, a]
    assert text_of_logits(one_hot(ids, len(tokenizer)), read(tmp_path, len(tokenizer))) == "abba"
    assert tokenizer.decode(ids) == "abba"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "aba"


def test_the_blank_is_the_tokenizers(tmp_path):
    """The configuration's default names the word delimiter, and would lose every space."""
    size = len(write(tmp_path))
    vocabulary = read(tmp_path, size, blank=WORDS["|"])
    assert (vocabulary.blank, vocabulary.specials, vocabulary.word_delimiter) == (8, [7, 8, 9, 10], "|")
    assert text_of_logits(one_hot([1, 8, 0, 0, 2, 9, 8], size), vocabulary) == "a b"


def test_heads_without_the_added_tokens(tmp_path):
    write(tmp_path)
    assert read(tmp_path, len(WORDS)).tokens == list(WORDS)


def test_files_of_older_versions(tmp_path):
    """Added tokens and specials were files of their own once, and sentence marks were listed again and again."""
    (tmp_path / "vocab.json").write_text(json.dumps(WORDS))
    (tmp_path / "added_tokens.json").write_text('{"<s>": 9, "</s>": 10}')
    specials = {"bos_token": "<s>", "pad_token": {"content": "[PAD]", "lstrip": False}, "unk_token": "[UNK]"}
    mark = {"content": "<s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    specials["additional_special_tokens"] = [mark, mark]
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(specials))
    settings = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|", "do_lower_case": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    vocabulary = read(tmp_path, 11)
    assert (vocabulary.blank, vocabulary.specials) == (8, [7, 8, 9, 10])
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    ids = without_repeats(np.random.default_rng(3).integers(0, 11, 300).tolist())
    expected = tokenizer.decode(ids, skip_special_tokens=True, group_tokens=False)
    assert text_of_logits(one_hot(ids, 11), vocabulary) == expected


def test_a_vocabulary_alone(tmp_path):
    """The configuration names the blank, and other specials are known by their usual names."""
    (tmp_path / "vocab.json").write_text(json.dumps({**WORDS, "<s>": 9}))
    vocabulary = read(tmp_path, 10, blank=8)
    assert (vocabulary.blank, vocabulary.specials, vocabulary.word_delimiter) == (8, [7, 8, 9], "|")
    with pytest.raises(CheckpointError, match=r"neither config.json \(pad_token_id\) nor the tokenizer"):
        read(tmp_path, 10, blank=None)
    with pytest.raises(CheckpointError, match=r"the blank \(pad_token_id 99\) is not among its 10 ids"):
        read(tmp_path, 10, blank=99)


def test_a_part_of_a_nested_vocabulary(tmp_path):
    """Vocabularies of several languages: the tokenizer names the one of the model's only head."""
    other = {"[PAD]": 0, "x": 1}
    (tmp_path / "vocab.json").write_text(json.dumps({"ara": WORDS, "eng": other}))
    with pytest.raises(CheckpointError, match=r"name one of its parts \(ara, eng\) as target_lang"):
        read(tmp_path, 2)
    settings = {"pad_token": "[PAD]", "unk_token": "[UNK]", "target_lang": "ara"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read(tmp_path, len(WORDS)).tokens == list(WORDS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"},
            "tokenizer_class 'Wav2Vec2PhonemeCTCTokenizer' is not sup",
        ),
        ({"auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}}, "auto_map .* is not supported"),
        ({"pad_token": None}, "pad_token is null, but it is the CTC blank"),
        ({"replace_word_delimiter_char": None}, "replace_word_delimiter_char must be a text"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, settings, message):
    write(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(UnsupportedModelError, match=message):
        read(tmp_path, 11)


def test_a_blank_outside_the_head(tmp_path):
    write(tmp_path, pad_token="<pad>")
    with pytest.raises(CheckpointError, match=r"pad_token '<pad>', the CTC blank, is not among its 9 tokens"):
        read(tmp_path, 9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"vocab.json: must be a JSON object"),
        ("{}", r"vocab.json: must be a non-empty object of tokens and ids"),
        ('{"a": "0"}', r"vocab.json: must be a non-empty object of tokens and ids"),
        ('{"a": 0, "b": {"c": 1}}', r"vocab.json: must be a non-empty object of tokens and ids"),
        ('{"a": 0, "b": 2}', r"text: 2 tokens for a head of 2 logits \(ids must run from 0 to 1\)"),
    ],
)
def test_vocabularies_that_are_none(tmp_path, content, message):
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, 2)


def test_labels_are_in_the_case_of_transcripts(tmp_path):
    tokenizer = write(tmp_path, vocabulary=UPPER, do_lower_case=True, replace_word_delimiter_char="-")
    vocabulary = read(tmp_path, len(tokenizer))
    tokens, unknown = tokenize("aσ  Sx", vocabulary)
    assert (tokens, unknown) == (["a", "σ", "-", "s"], ["X"])
    assert [tokenizer.decoder[index] for index in tokenizer("aσ S").input_ids] == ["A", "Σ", "|", "S"]
