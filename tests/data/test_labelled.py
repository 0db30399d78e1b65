"""Evaluation sets of every kind, and what is said of bad ones."""

from __future__ import annotations

import json

import pytest
import soundfile

from qasr.data import DataError, load_data


@pytest.fixture
def folder(tmp_path, make_tones):
    place = tmp_path / "set"
    place.mkdir()
    for number, text in enumerate(("abc", "cab", "abcabc")):
        soundfile.write(place / f"{number}.wav", make_tones(text), 16_000)
    return place


def jsonl(folder, *rows):
    path = folder / "data.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def test_the_bundled_set(tmp_path):
    data = load_data(None, tmp_path)
    assert len(data.recordings) == 160
    assert {"phonemes", "ghonna"} <= set(data.recordings[0].labels)
    assert data.seconds == pytest.approx(492, abs=5)


def test_json_lines(folder, tmp_path):
    path = jsonl(
        folder,
        {"audio": "1.wav", "phonemes": "cab", "levels": {"ghonna": "x"}, "other": 3},
        "",
        {"audio": "0.wav", "text": "a b", "phonemes": "abc"},
    )
    data = load_data(path, tmp_path)
    assert data.name == "data.jsonl"
    assert [recording.name for recording in data.recordings] == ["0.wav", "1.wav"]
    assert data.recordings[1].labels == {"phonemes": "cab", "ghonna": "x"}
    assert data.recordings[0].text == "a b"
    assert data.recordings[0].seconds == pytest.approx(1.0)
    assert data.recordings[0].audio == folder / "0.wav"


def test_a_text_with_a_line_separator_is_one_line(folder, tmp_path):
    path = folder / "data.jsonl"
    path.write_text('{"audio": "0.wav", "text": "a\u2028b"}\r\n{"audio": "1.wav", "text": "c"}\n', newline="")
    assert [recording.text for recording in load_data(path, tmp_path).recordings] == ["a\u2028b", "c"]


def test_the_hash_is_of_audio_and_labels_alone(folder, tmp_path, make_tones):
    rows = [{"audio": "0.wav", "text": "abc"}, {"audio": "1.wav", "text": "cab"}]
    first = load_data(jsonl(folder, *rows), tmp_path).sha256
    assert load_data(jsonl(folder, *rows[::-1]), tmp_path).sha256 == first
    moved = folder.rename(folder.with_name("moved"))
    assert load_data(moved / "data.jsonl", tmp_path).sha256 == first
    assert load_data(jsonl(moved, rows[0], rows[1] | {"text": "cba"}), tmp_path).sha256 != first
    soundfile.write(moved / "1.wav", make_tones("cba"), 16_000)
    assert load_data(jsonl(moved, *rows), tmp_path).sha256 != first


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], r"data.jsonl, line 1: not JSON"),
        (["[1]"], r"line 1: no 'audio' column with a path \(it has no columns\)"),
        ([{"text": "abc"}], r"line 1: no 'audio' column with a path \(it has text\)"),
        ([{"audio": "0.wav", "text": "abc"}, {"audio": "9.wav", "text": "a"}], r"line 2: .*9.wav: no such file"),
        ([{"audio": "data.jsonl", "text": "abc"}], "line 1: .*data.jsonl"),
        ([{"audio": "0.wav"}], r"line 1: no label \('phonemes', 'text', or 'levels'\)"),
        ([{"audio": "0.wav", "levels": "x"}], "line 1: 'levels' is no object"),
        ([{"audio": "0.wav", "levels": {"ghonna": 3}}], "line 1: the label 'ghonna' is no text"),
        ([{"audio": "0.wav", "text": "a"}] * 2, "0.wav: given more than once"),
        ([""], "data.jsonl: is empty; it needs one JSON object in each line, with an 'audio' column"),
        ([{"audio": "0.wav", "text": "a"}, "", {"audio": 3}], "line 3: no 'audio' column with a path"),
        (
            [{"audio": "0.wav", "text": "a"}, {"audio": "a\0b", "text": "a"}],
            r"data.jsonl, line 2: '.*/a\\x00b': cannot be read \(no path has such characters\)$",
        ),
        (
            [{"audio": "a" * 5000, "text": "a"}],
            r"data.jsonl, line 1: /.{599}…: cannot be read \(File name too long\)$",
        ),
    ],
)
def test_bad_json_lines(folder, tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        load_data(jsonl(folder, *rows), tmp_path)


def test_a_folder_with_texts(folder, tmp_path):
    for number, text in enumerate(("abc", " cab\n", "abcabc")):
        (folder / f"{number}.txt").write_text(text)
    data = load_data(folder, tmp_path)
    assert [recording.labels for recording in data.recordings] == [{"text": "abc"}, {"text": "cab"}, {"text": "abcabc"}]
    (folder / "1.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"1.txt: cannot be read \('utf-8' codec"):
        load_data(folder, tmp_path)
    (folder / "1.txt").unlink()
    with pytest.raises(DataError, match=r"1.wav: no 1.txt beside it"):
        load_data(folder, tmp_path)


def test_a_folder_called_like_audio(folder, tmp_path):
    (folder / "x.wav").mkdir()
    (folder / "0.wav").rename(folder / "x.wav" / "0.wav")
    for name in ("1", "2", "x.wav/0"):
        (folder / f"{name}.txt").write_text("a")
    assert [recording.name for recording in load_data(folder, tmp_path).recordings] == ["1.wav", "2.wav", "x.wav/0.wav"]


def test_a_label_whose_name_is_too_long(folder, tmp_path):
    for name in ("1.wav", "2.wav"):
        (folder / name).unlink()
    (folder / "0.wav").rename(folder / f"{'n' * 252}.au")
    with pytest.raises(DataError, match=r"/n{252}\.txt: cannot be read \(File name too long\)$"):
        load_data(folder, tmp_path)


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(DataError, match=r"^n{290}\.jsonl: cannot be read \(File name too long\)$"):
        load_data("n" * 290 + ".jsonl", tmp_path)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "some/nowhere.jsonl", "nowhere", "./a/b", "a/b/c", "some/list.txt"])
def test_nothing_there(tmp_path, monkeypatch, name):
    """None of these is taken for a dataset's id on the Hub."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"{name}: no such file or folder"):
        load_data(name, tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load_data(tmp_path / name, tmp_path)


def test_limited(folder, tmp_path):
    rows = [{"audio": f"{number}.wav", "text": "a"} for number in range(3)]
    data = load_data(jsonl(folder, *rows), tmp_path)
    two = data.limited(2)
    assert [recording.name for recording in two.recordings] == ["0.wav", "1.wav"]
    assert two.name == "data.jsonl, 2 of 3"
    assert two.sha256 != data.sha256
    assert data.limited(3) is data
