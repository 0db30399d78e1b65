"""The interface of quran-muaalem on an artifact: same call, same types, and errors of one line."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from qasr import load, reference
from qasr.muaalem import Muaalem, MuaalemError, MuaalemOutput, SingleUnit
from qasr.recitation.levels import PHONEMES, SIFAT

ROWS = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()[:2]]


@pytest.fixture(scope="module")
def muaalem(exported):
    with_artifact = Muaalem(exported("onnx-fp32").folder)
    yield with_artifact
    with_artifact.close()


@pytest.fixture(scope="module")
def waves():
    return [soundfile.read(reference.EVALUATION.parent / row["audio"], dtype="float32")[0] for row in ROWS]


@pytest.fixture(scope="module")
def scripts():
    """What quran-transcript's phonetizer gives, in its types."""
    from quran_transcript import MoshafAttributes, quran_phonetizer

    beats = dict.fromkeys(("madd_monfasel_len", "madd_mottasel_len", "madd_mottasel_waqf", "madd_aared_len"), 4)
    moshaf = MoshafAttributes(rewaya="hafs", **beats)
    return [quran_phonetizer(row["uthmani"], moshaf, remove_spaces=True) for row in ROWS]


def test_the_same_call(muaalem, waves, scripts, exported):
    """Lists and arrays, in a batch; every clip transcribed as it is alone."""
    outputs = muaalem([waves[0].tolist(), waves[1]], scripts, sampling_rate=16_000)
    with load(exported("onnx-fp32").folder) as model:
        transcripts = [model.transcribe(reference.EVALUATION.parent / row["audio"]) for row in ROWS]
    for output, transcript, script in zip(outputs, transcripts, scripts, strict=True):
        assert isinstance(output, MuaalemOutput)
        assert output.phonemes.text == transcript.text
        assert (output.phonemes.ids.dtype, output.phonemes.probs.dtype) == (np.int64, np.float32)
        assert output.phonemes.ids.tolist() == [token.id for token in transcript.levels[PHONEMES].tokens]
        assert len(output.phonemes.probs.tolist()) == len(output.phonemes.text)
        assert [one.phonemes_group for one in output.sifat] == [group.text for group in transcript.groups]
        # Two voices that the model knows well: nearly all sifat are those that were to be recited.
        units = [
            (getattr(own, level), getattr(right, level))
            for own, right in zip(output.sifat, script.sifat, strict=True)
            for level in SIFAT
        ]
        assert all(0 <= unit.prob <= 1 for unit, _ in units)
        assert sum(unit.text == right for unit, right in units) > 0.97 * len(units)
    assert asdict(outputs[0])["sifat"][0]["hams_or_jahr"]["text"] == outputs[0].sifat[0].hams_or_jahr.text


def test_a_wrong_reference_changes_no_phoneme(muaalem, waves, scripts):
    (right,) = muaalem(waves[:1], scripts[:1], 16_000)
    shorter = SimpleNamespace(phonemes=scripts[0].phonemes, sifat=scripts[0].sifat[:-3])
    (wrong,) = muaalem(waves[:1], [shorter], 16_000)
    assert wrong.phonemes.text == right.phonemes.text
    assert [one.phonemes_group for one in wrong.sifat] == [one.phonemes_group for one in right.sifat]


def test_missing_and_surplus_tokens(muaalem):
    """A level with fewer tokens than groups: a blank where the reference says that one is missing, None behind."""
    unit = SimpleNamespace(ids=np.array([2]), probs=np.array([0.5], np.float32))
    assert muaalem._single("ghonna", unit, [None, 0], 0) == SingleUnit("[PAD]", 0.0, 0)
    assert muaalem._single("ghonna", unit, [None, 0], 1) == SingleUnit("not_maghnoon", 0.5, 2)
    assert muaalem._single("ghonna", unit, [None, 0], 2) is None


def test_a_reference_of_another_verse_is_said(muaalem, waves, scripts):
    letters = [one for one in scripts[0].sifat if one.phonemes[0] == "ن"]
    other = SimpleNamespace(phonemes="ن" * 40, sifat=letters[:1] * 40)
    with pytest.warns(
        UserWarning, match=r"recording 0: \d of 40 phoneme groups agree with its reference; it may be of"
    ):
        muaalem(waves[:1], [other], 16_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda script: replace_script(script, phonemes="قx"), "reference 0: 'x': outside the model's alphabet$"),
        (
            lambda script: replace_script(script, phonemes="ق ل"),
            r"reference 0: ' ': outside .* \(use remove_spaces=True\)",
        ),
        (lambda script: replace_script(script, sifat=[]), "reference 0: is empty$"),
        (
            lambda script: replace_script(script, sifat=[dict.fromkeys(("phonemes", *SIFAT), "loud")]),
            "reference 0: hams_or_jahr is 'loud', which the model does not know$",
        ),
    ],
)
def test_references_that_it_cannot_align_with(muaalem, waves, scripts, change, message):
    with pytest.raises(MuaalemError, match=message):
        muaalem(waves[:1], [change(scripts[0])], 16_000)


def replace_script(script, **changes):
    return SimpleNamespace(**({"phonemes": script.phonemes, "sifat": script.sifat} | changes))


def test_wrong_calls(muaalem, waves, scripts, tmp_path, toy):
    with pytest.raises(ValueError, match="`sampling_rate` has to be 16000 got: `44100`"):
        muaalem(waves, scripts, sampling_rate=44_100)
    with pytest.raises(MuaalemError, match="2 recordings and 1 references; each needs its own"):
        muaalem(waves, scripts[:1], 16_000)
    with pytest.raises(
        MuaalemError, match=r"obadx/x: no artifact; export the checkpoint first: qexport obadx/x --to onnx"
    ):
        Muaalem("obadx/x")
    with pytest.raises(MuaalemError, match=f"no recitation model, it lacks the levels {PHONEMES}, hams_or_jahr"):
        Muaalem(toy.folder)


def test_dtype_is_accepted_and_said_to_do_nothing(exported):
    with pytest.warns(UserWarning, match="dtype has no effect"):
        Muaalem(exported("onnx-fp32").folder, "cpu", dtype="bfloat16").close()
