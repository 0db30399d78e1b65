"""An hour of audio through ``qinfer``: a complete transcript, in memory that does not grow with the audio."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import soundfile


def run(command: list[str]) -> tuple[str, int]:
    """Output and peak RSS in MiB of a command that must succeed."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    output = child.stdout.read()
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0
    return output, usage.ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)


@pytest.mark.slow
def test_an_hour(tmp_path, toy, make_tones):
    phrase = make_tones("abcab.c", rate=8_000)
    repetitions = round(3600 / (phrase.size / 8_000))
    for name, count in (("hour", repetitions), ("phrase", 4)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 8_000, 1) as file:
            for _ in range(count):
                file.write(phrase)
    command = [sys.executable, "-c", "from qasr.cli.qinfer import run; run()", "--artifact", str(toy.folder)]
    output, peak = run([*command, str(tmp_path / "hour.wav"), "--format", "jsonl"])
    transcript = json.loads(output)
    assert transcript["seconds"] == pytest.approx(3600, abs=3)
    # Every phrase of the hour, none doubled or lost at any of the 150 joints.
    assert transcript["text"] == "abcabc" * repetitions
    assert peak - run([*command, str(tmp_path / "phrase.wav")])[1] < 100, "an hour is 220 MiB of samples at 16 kHz"
