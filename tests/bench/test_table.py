"""The table's error rates, and that bad data is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from qasr.bench.table import command, measure, tokenize
from qasr.errors import QasrError


def write_rows(folder, make_tones, rows):
    for index, (spoken, _) in enumerate(rows):
        soundfile.write(folder / f"{index}.wav", make_tones(spoken), 16_000)
    lines = [json.dumps({"audio": f"{index}.wav", **labels}) for index, (_, labels) in enumerate(rows)]
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "data.jsonl"


def test_tokenize_takes_the_longest():
    assert tokenize("[a][ab]b", ["[a]", "[ab]", "b", "[a"]) == ["[a]", "[ab]", "b"]
    with pytest.raises(QasrError, match="the label 'xyz' is not in the vocabulary"):
        tokenize("bxyz", ["b"])


def test_error_rates(tmp_path, toy, make_tones):
    """One substitution and one deletion in eight labels."""
    data = write_rows(tmp_path, make_tones, [("abca", {"letters": "abcb"}), ("abc", {"letters": "abca"})])
    (row,) = measure([toy.folder], data, rounds=2, threads=1)
    assert row.error_rates == {"letters": 2 / 8}
    assert row.name == "toy"
    assert row.megabytes == pytest.approx(sum(entry.bytes for entry in toy.manifest.files.values()) / 1e6)
    assert row.load_seconds > 0
    assert 20e6 < row.peak_rss_bytes < 2e9
    assert row.rtf > 0
    assert np.isfinite(row.rtf)


def test_command_prints_a_row_each(tmp_path, toy, make_tones):
    data = write_rows(tmp_path, make_tones, [("abca", {"letters": "abca"})])
    result = CliRunner().invoke(
        command, [str(toy.folder), "--data", str(data), "--rounds", "1"], catch_exceptions=False
    )
    assert result.exit_code == 0
    header, row = (line.split() for line in result.output.splitlines()[:2])
    assert header[:2] == ["artifact", "MB"]
    assert row[0] == "toy"
    assert row[4:6] == ["0.00", "+0.00"]
    assert float(row[2]) > 0
    assert 20 < float(row[3]) < 2_000


def test_unlabelled_data(tmp_path, toy, make_tones):
    data = write_rows(tmp_path, make_tones, [("ab", {"other": "ab"})])
    with pytest.raises(QasrError, match="the data labels none of the artifact's levels"):
        measure([toy.folder], data, rounds=1, threads=1)
