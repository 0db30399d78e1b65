"""Audio that users name: JSON lines and folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qasr import reference
from qasr.data import DataError, read_audio_set


def test_json_lines_and_folders(tmp_path, write_audio, speechlike):
    for name in ("a.wav", "b.flac", "sub/c.ogg"):
        write_audio(name, speechlike(0.5))
    (tmp_path / "set.jsonl").write_text('{"audio": "a.wav", "phonemes": "x"}\n\n{"audio": "sub/c.ogg"}\n')
    listed = read_audio_set(tmp_path / "set.jsonl", 10)
    assert [file.name for file in listed.files] == ["a.wav", "c.ogg"]
    assert [file.name for file in read_audio_set(tmp_path, 10).files] == ["a.wav", "b.flac", "c.ogg"]


def test_limit_spreads_evenly(tmp_path, write_audio, speechlike):
    for number in range(10):
        write_audio(f"{number}.wav", speechlike(0.1))
    assert [file.stem for file in read_audio_set(tmp_path, 5).files] == ["0", "2", "4", "6", "8"]


def test_hash_is_that_of_the_content(tmp_path, write_audio, speechlike):
    write_audio("one/a.wav", speechlike(0.5))
    write_audio("two/b.wav", speechlike(0.5))
    write_audio("three/a.wav", speechlike(0.5, seed=1))
    one, two, three = (read_audio_set(tmp_path / name, 9).sha256() for name in ("one", "two", "three"))
    assert one == two != three


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "set.jsonl: is empty; it needs one JSON object in each line, with an 'audio' column"),
        ("\n \n", "set.jsonl: is empty"),
        ('{"audio": "a.wav"\n', r"set.jsonl, line 1: not JSON"),
        ('{"path": "a.wav", "text": "x"}\n', r"set.jsonl, line 1: no 'audio' column with a path \(it has path, text\)"),
        ('{"audio": 3}\n', r"line 1: no 'audio' column with a path"),
        ("[1]\n", r"line 1: no 'audio' column with a path \(it has no columns\)"),
        (
            '{"audio": "gone.wav"}\n{"audio": "too.wav"}\n',
            r"set.jsonl: lists .*gone.wav and 1 more, which does not exist",
        ),
        (
            '{"audio": "gone.wav"}\n' + json.dumps({"audio": "n" * 256}) + "\n",
            r"set.jsonl, line 2: .*/n{100,}.*: cannot be read \(File name too long\)$",
        ),
        (
            '{"audio": "a\\u0000b"}\n',
            r"set.jsonl, line 1: '.*/a\\x00b': cannot be read \(no path has such characters\)$",
        ),
        ('{"audio": "\\ud800"}\n', r"set.jsonl, line 1: '.*/\\ud800': cannot be read \(no path has such characters\)$"),
        ('{"audio": ' + 5000 * "1" + "}\n", r"set.jsonl, line 1: no JSON that can be read \(a number too long"),
        (100_000 * "[" + "\n", r"set.jsonl, line 1: no JSON that can be read \(.*nested too deep\)"),
    ],
)
def test_bad_manifests(tmp_path, content, message):
    (tmp_path / "set.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read_audio_set(tmp_path / "set.jsonl", 10)


def test_missing_and_empty_places(tmp_path):
    with pytest.raises(DataError, match=r"gone.jsonl: no such file or folder"):
        read_audio_set(tmp_path / "gone.jsonl", 10)
    with pytest.raises(DataError, match="holds no audio files"):
        read_audio_set(tmp_path, 10)
    with pytest.raises(DataError, match=r"^n{600}…: cannot be read \(File name too long\)$"):
        read_audio_set(Path("n" * 601), 10)


def test_folders_called_like_audio(tmp_path, write_audio, speechlike):
    write_audio("x.wav/b.wav", speechlike(0.1))
    write_audio("a.wav", speechlike(0.1))
    assert read_audio_set(tmp_path).files == (tmp_path / "a.wav", tmp_path / "x.wav/b.wav")


def test_folders_that_may_not_be_read(tmp_path, write_audio, speechlike):
    """A folder that may not be listed, and one that may not be searched. In a child, since root may do both."""
    write_audio("a.wav", speechlike(0.1))
    write_audio("closed/b.wav", speechlike(0.1))
    (tmp_path / "set.jsonl").write_text('{"audio": "a.wav", "text": "a"}\n{"audio": "closed/b.wav"}\n')
    tmp_path.chmod(0o755)

    def said(place: str) -> str:
        code = f"""if True:
            import os
            from pathlib import Path
            from qasr.data import DataError, load_data, read_audio_set
            if os.getuid() == 0:
                os.setuid(65534)
            for read in (read_audio_set, lambda place: load_data(place, Path())):
                try:
                    read(Path({place!r}))
                except DataError as error:
                    print(error)
        """
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout

    closed = tmp_path / "closed"
    closed.chmod(0o444)
    denied = "cannot be read (Permission denied)\n"
    assert said("set.jsonl") == f"set.jsonl, line 2: closed/b.wav: {denied}" * 2
    assert said("closed/b.wav") == f"closed/b.wav: {denied}" * 2
    assert said("closed") == f"closed/b.wav: {denied}closed/dataset_info.json: {denied}"
    closed.chmod(0o311)
    assert said(".") == f"./closed: {denied}" * 2
    closed.chmod(0o755)


def test_binary_manifest(tmp_path):
    (tmp_path / "set.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as JSON lines"):
        read_audio_set(tmp_path / "set.jsonl", 10)


def test_bundled_sets():
    calibration, evaluation = (read_audio_set(place, 1000) for place in (reference.CALIBRATION, reference.EVALUATION))
    assert len(calibration.files) == 64
    assert len(evaluation.files) >= 150


def test_rows_are_json():
    assert all(json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines())
