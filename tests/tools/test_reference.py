"""The programs that make the reference model and its data: split of verses, voices, error rates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from qasr import reference
from qasr.errors import QasrError
from tools.reference import verses, voices

ROOT = Path(__file__).parents[2]
SETS = {"evaluation": reference.EVALUATION, "calibration": reference.CALIBRATION}


def rows(manifest: Path) -> list[dict]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", SETS)
def test_every_verse_belongs_to_one_set(name):
    assert {verses.split_of(row["verse"]) for row in rows(SETS[name])} == {name}


def test_the_split_never_changes():
    drawn = ["1:1", "2:255", "36:1", "55:13", "112:1", "114:6"]
    assert [verses.split_of(verse) for verse in drawn] == [verses.split_of(verse) for verse in drawn]
    shares = Counter(verses.split_of(f"{sura}:{aya}") for sura in range(1, 115) for aya in range(1, 55))
    total = shares.total()
    assert shares["evaluation"] / total == pytest.approx(0.04, abs=0.01)
    assert shares["calibration"] / total == pytest.approx(0.03, abs=0.01)


def test_the_unseen_voice_is_unseen():
    assert voices.UNSEEN not in voices.TRAINING
    assert voices.SEEN in voices.TRAINING
    assert len(set(voices.TRAINING)) == len(voices.TRAINING)
    assert Counter(row["voice"] for row in rows(reference.EVALUATION)) == {voices.SEEN: 80, voices.UNSEEN: 80}
    assert {row["voice"] for row in rows(reference.CALIBRATION)} <= set(voices.TRAINING)


def test_error_rate_of_the_bundled_model():
    """On every seventh clip, which takes both voices in turn."""
    from tools.reference.evaluate import error_rates, load, read_corpus

    rates = error_rates(load(reference.CHECKPOINT), read_corpus(reference.EVALUATION, reference.CHECKPOINT, every=7))
    assert set(rates) == {voices.SEEN, voices.UNSEEN, "all"}
    assert rates[voices.SEEN]["phonemes"] <= 0.025
    assert rates[voices.UNSEEN]["phonemes"] <= 0.04
    assert max(rates["all"].values()) <= 0.03


def test_phonemes_are_kept_apart_for_espeak():
    assert voices.espeak_input("ده") == "[[d|h]]"
    assert voices.espeak_input("قَاالَ") == "[[q|a|a:|l|a]]"


def test_missing_espeak_is_a_one_line_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(QasrError, match=r"^espeak-ng is not installed; type: .*$"):
        voices.speak("بَ", voices.Delivery("m1", 140, 50))


def test_the_checkout_does_not_shadow_installed_packages():
    code = "import sys, tools.reference, importlib.util; sys.exit(importlib.util.find_spec('exporters') is not None)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False).returncode == 0


@pytest.mark.parametrize("stage", ["all", "synthesize", "train", "checkpoint", "audio", "speech", "evaluate"])
def test_every_stage_is_a_command_of_the_checkout(stage):
    done = subprocess.run(
        [sys.executable, "-m", "tools.reference", stage, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert stage in done.stdout
