"""A toy benchmark: artifacts that transcribe tones, recordings of tones, and a worker with a faulty engine."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import soundfile

ODD_WORKER = (sys.executable, str(Path(__file__).parent / "measure" / "odd_worker.py"))

TEXTS = ("abc", "cab", "abcab", "bacbca", "bca")


@pytest.fixture
def tone_data(tmp_path, make_tones):
    """Five labelled recordings; the last label has one wrong letter."""
    from qasr.data import load_data

    folder = tmp_path / "tones"
    folder.mkdir()
    rows = []
    for number, text in enumerate(TEXTS):
        soundfile.write(folder / f"{number}.wav", make_tones(text), 16_000)
        rows.append({"audio": f"{number}.wav", "letters": "bcb" if text == "bca" else text})
    manifest = folder / "data.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_data(manifest, tmp_path)


@pytest.fixture
def named(toy, tmp_path):
    """Copies of the toy artifact under other names."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(toy.folder, tmp_path / "named" / name))

    return copy
