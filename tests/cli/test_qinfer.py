"""``qinfer`` as a user types it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from qasr.artifacts import MANIFEST_NAME, create
from qasr.cli import qinfer
from qasr.version import __version__

QINFER = [sys.executable, "-c", "from qasr.cli.qinfer import run; run()"]


class Ran:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``qinfer`` in this process, through the same entry point."""
    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments, stdin: bytes = b""):
        monkeypatch.setattr(sys, "argv", ["qinfer", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            qinfer.run()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(end.value.code, out, err)

    yield call
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def clip(write_audio, make_tones):
    return write_audio("clip.wav", make_tones("abcab"))


def test_text_is_all_that_stdout_gets(toy, clip):
    done = subprocess.run([*QINFER, clip, "--artifact", toy.folder], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abcab\n", b"")


def test_files_folders_and_order(run, toy, write_audio, make_tones):
    write_audio("dir/2.flac", make_tones("cab"))
    write_audio("dir/1.wav", make_tones("abcabc"))
    write_audio("dir/deeper/0.mp3", make_tones("bca"), subtype="MPEG_LAYER_III")
    (folder := write_audio("dir/3.WAV", make_tones("acb")).parent).joinpath("notes.txt").write_text("no audio")
    first = write_audio("z.ogg", make_tones("cba"))
    (folder / "._1.wav").write_bytes(b"what a system keeps beside 1.wav")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.wav").write_bytes(b"no audio")
    done = run(first, folder, "--artifact", toy.folder)
    assert (done.code, done.err) == (0, f"qinfer: {folder}: 1 file skipped: notes.txt\n")
    assert done.out.splitlines() == ["cba", "abcabc", "cab", "acb", "bca"]
    assert run(folder, "--artifact", toy.folder, "-q").err == ""
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (folder / name).write_text("no audio")
    assert run(folder, "--artifact", toy.folder).err == f"qinfer: {folder}: 4 files skipped: a.pdf, b.pdf, c.pdf …\n"


@pytest.mark.parametrize("name", ["clip.wav", "clip.flac"])
def test_stdin(run, toy, write_audio, make_tones, name):
    data = write_audio(name, make_tones("abcab")).read_bytes()
    done = run("-", "--artifact", toy.folder, "--format", "jsonl", stdin=data)
    assert (done.code, done.err) == (0, "")
    assert {key: value for key, value in json.loads(done.out).items() if key in {"audio", "text", "seconds"}} == {
        "audio": "stdin", "text": "abcab", "seconds": 1.6,
    }  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), [(b"", "is empty (0 bytes)"), (b"hello" * 99, "is not audio")])
def test_bad_stdin(run, toy, data, reason):
    done = run("-", "--artifact", toy.folder, stdin=data)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("qinfer: error: stdin: ")
    assert reason in done.err
    assert len(done.err.splitlines()) == 1


def test_stdin_once(run, toy):
    done = run("-", "-", "--artifact", toy.folder)
    assert (done.code, done.err) == (2, "qinfer: error: stdin (-) can be given once\n")


@pytest.mark.parametrize("form", ["text", "jsonl", "json"])
def test_a_bad_file_among_many(run, toy, clip, write_audio, make_tones, tmp_path, form):
    other = write_audio("other.wav", make_tones("cba"))
    (bad := tmp_path / "bad.wav").write_bytes(b"RIFF")
    done = run(clip, bad, tmp_path / "none.wav", other, "--artifact", toy.folder, "--format", form, "-q")
    assert done.code == 1
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"qinfer: error: {bad}: ")
    assert lines[1] == f"qinfer: error: {tmp_path / 'none.wav'}: no such file"
    if form == "text":
        texts = done.out.splitlines()
    elif form == "jsonl":
        texts = [json.loads(line)["text"] for line in done.out.splitlines()]
    else:
        texts = [one["text"] for one in json.loads(done.out)]
    assert texts == ["abcab", "cba"]


def test_json_is_an_object_for_one_file_and_an_array_otherwise(run, toy, clip, tmp_path):
    one = run(clip, "--artifact", toy.folder, "--format", "json", "--levels", "all")
    result = json.loads(one.out)
    assert (result["audio"], result["text"], list(result["levels"])) == (str(clip), "abcab", ["letters", "loud"])
    assert result["segments"][0]["text"] == "abcab"
    several = run(clip, tmp_path / "none.wav", "--artifact", toy.folder, "--format", "json", "--levels", "all")
    assert (several.code, json.loads(several.out)) == (1, [result])


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("letters", ["letters"]),
        ("loud", ["loud"]),
        ("loud, letters", ["letters", "loud"]),
        ("all", ["letters", "loud"]),
    ],
)
def test_levels(run, toy, clip, levels, expected):
    done = run(clip, "--artifact", toy.folder, "--format", "jsonl", "--levels", levels)
    assert list(json.loads(done.out)["levels"]) == expected


def test_text_of_several_levels_names_them(run, toy, clip):
    lines = run(clip, "--artifact", toy.folder, "--levels", "all").out.splitlines()
    assert lines[0] == "letters: abcab"
    assert lines[1].startswith("loud: [yes]")


def test_subtitles(run, toy, write_audio, make_tones):
    clip = write_audio("clip.wav", make_tones("ab.c"))
    assert run(clip, "--artifact", toy.folder, "--format", "srt").out.splitlines()[2::4] == ["ab", "c"]
    assert run(clip, "--artifact", toy.folder, "--format", "vtt").out.startswith("WEBVTT\n\n00:00:00.")


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_of_several_files_need_a_folder(run, toy, clip, form):
    done = run(clip, clip, "--artifact", toy.folder, "--format", form)
    assert (done.code, done.out) == (2, "")
    assert f"{form} describes one recording; for several, add --output-dir DIR" in done.err


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "srt", "vtt"])
def test_output_dir(run, toy, clip, write_audio, make_tones, tmp_path, form):
    folder = write_audio("dir/reciter/1.wav", make_tones("cba")).parent.parent
    write_audio("dir/other/1.wav", make_tones("bca"))
    done = run(clip, folder, "--artifact", toy.folder, "--format", form, "--output-dir", tmp_path / "new" / "out")
    assert (done.code, done.out, done.err) == (0, "", "")
    suffix = {"text": "txt"}.get(form, form)
    written = {
        str(path.relative_to(tmp_path / "new" / "out")): path.read_text()
        for path in (tmp_path / "new").rglob("*")
        if path.is_file()
    }
    assert set(written) == {f"clip.{suffix}", f"reciter/1.{suffix}", f"other/1.{suffix}"}
    assert "cba" in written[f"reciter/1.{suffix}"]


def test_two_recordings_never_write_one_file(run, toy, clip, write_audio, make_tones, tmp_path):
    same_stem = write_audio("clip.flac", make_tones("c"))
    done = run(clip, same_stem, "--artifact", toy.folder, "--output-dir", tmp_path / "out")
    assert done.code == 2
    assert f"{clip} and {same_stem} would be written to one file" in done.err
    assert not (tmp_path / "out").exists()


def test_an_output_dir_that_cannot_be_written(run, toy, clip, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(clip, "--artifact", toy.folder, "--output-dir", tmp_path / "file" / "out")
    assert done.code == 1
    assert "cannot be written" in done.err


def test_names_that_are_not_utf_8(run, toy, clip, tmp_path):
    (folder := tmp_path / "names").mkdir()
    name = os.fsdecode(b"b\xff.wav")
    (folder / name).write_bytes(clip.read_bytes())
    (folder / "c.wav").write_bytes(clip.read_bytes())
    for form in ("json", "jsonl"):
        done = run(folder, "--artifact", toy.folder, "--format", form)
        assert (done.code, done.err) == (0, "")
        results = json.loads(done.out) if form == "json" else [json.loads(line) for line in done.out.splitlines()]
        assert [result["audio"] for result in results] == [f"{folder}/b\\xff.wav", f"{folder}/c.wav"]
    done = run(folder, "--artifact", toy.folder, "--format", "json", "--output-dir", tmp_path / "out")
    assert done.code == 0
    assert sorted(os.fsencode(path.name) for path in (tmp_path / "out").iterdir()) == [b"b\xff.json", b"c.json"]


def test_output_names_that_are_too_long(run, toy, clip, tmp_path):
    (folder := tmp_path / "names").mkdir()
    for name in ("a" * 250 + ".wav", "b" * 251 + ".wav", "c.wav"):
        (folder / name).write_bytes(clip.read_bytes())
    done = run(folder, "--artifact", toy.folder, "--format", "json", "--output-dir", tmp_path / "out")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("qinfer: error: ")
    assert line.endswith("b.json: cannot be written (File name too long)")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a" * 250 + ".json", "c.json"]
    long = run("y" * 5_000, clip, "--artifact", toy.folder)
    assert (long.code, long.out) == (1, "abcab\n")
    assert "File name too long" in long.err


def test_an_output_folder_that_fills_up(run, toy, clip, tmp_path, monkeypatch):
    (folder := tmp_path / "names").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / name).write_bytes(clip.read_bytes())
    write = Path.write_text

    def full(path, content, **options):
        if "b.wav" in content:
            write(path, content[:5], **options)
            raise OSError(28, "No space left on device")
        return write(path, content, **options)

    monkeypatch.setattr(Path, "write_text", full)
    done = run(folder, "--artifact", toy.folder, "--format", "json", "--output-dir", tmp_path / "out")
    assert done.code == 1
    assert done.err == f"qinfer: error: {tmp_path / 'out' / 'b.json'}: cannot be written (No space left on device)\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "c.json"]


def test_dots_in_names_are_no_suffixes(run, toy, clip, tmp_path):
    for name in ("talk.1", "talk.2", "talk.3.wav"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    inputs = [tmp_path / name for name in ("talk.1", "talk.2", "talk.3.wav")]
    assert run(*inputs, "--artifact", toy.folder, "--output-dir", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["talk.1.txt", "talk.2.txt", "talk.3.txt"]


def test_notes_are_on_stderr_and_in_json(run, toy, write_audio, make_tones):
    samples = make_tones("abcab")
    path = write_audio("x.wav", np.stack([samples, -samples], axis=1))
    data = bytearray(path.read_bytes())
    position = data.index(b"data") + 4
    data[position : position + 4] = (64_000).to_bytes(4, "little")
    path.write_bytes(data)
    done = run(path, "--artifact", toy.folder, "--format", "json")
    result = json.loads(done.out)
    assert (done.code, result["text"], result["channel"], len(result["notes"])) == (0, "abcab", "1", 2)
    assert done.err.splitlines() == [f"qinfer: {path}: {note}" for note in result["notes"]]
    assert result["notes"][0] == "its header states 1.0 s, and it has 1.6 s: all were read"
    assert run(path, "--artifact", toy.folder, "-q").err == ""


def test_an_empty_folder(run, toy, clip, tmp_path):
    (empty := tmp_path / "empty").mkdir()
    done = run(empty, clip, "--artifact", toy.folder)
    assert (done.code, done.out) == (1, "abcab\n")
    assert f"qinfer: error: {empty}: holds no audio files" in done.err
    assert run(empty, "--artifact", toy.folder).code == 1


def test_long_audio_in_windows(run, toy, write_audio, make_tones):
    clip = write_audio("long.wav", make_tones("abc." * 15))
    assert run(clip, "--artifact", toy.folder, "--window-seconds", 5).out == "abc" * 15 + "\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing argument 'AUDIO...'"),
        (["x.wav"], "Missing option '--artifact'"),
        (["x.wav", "--artifact", "a", "--format", "pdf"], "'pdf' is not one of"),
        (["x.wav", "--artifact", "a", "--threads", "0"], "'--threads': threads must be a whole number from 1 to"),
        (["x.wav", "--artifact", "a", "--threads", "1.5"], "'--threads'"),
        (["x.wav", "--artifact", "a", "--batch-seconds", "0"], "batch_seconds must be a number above 0, not 0.0"),
        (["x.wav", "--artifact", "a", "--batch-seconds", "nan"], "batch_seconds must be a number above 0, not nan"),
        (["x.wav", "--artifact", "a", "--window-seconds", "1"], "must be a number from 2 to 60, not 1.0"),
        (["x.wav", "--artifact", "a", "--window-seconds", "nan"], "must be a number from 2 to 60, not nan"),
        (["x.wav", "--artifact", "a", "--precision", "fp8"], "no precision 'fp8'; available are fp32, bf16, fp16"),
        (["x.wav", "--artifact", "a", "--colour"], "No such option"),
    ],
)
def test_wrong_usage(run, arguments, reason):
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("qinfer: error: ")
    assert line.endswith("; see qinfer --help")
    assert reason in line


def test_an_unknown_level_names_the_nearest(run, toy, clip):
    done = run(clip, "--artifact", toy.folder, "--levels", "leters")
    assert done.code == 2
    assert "no level 'leters'; did you mean letters?" in done.err
    assert "available are letters, loud" in run(clip, "--artifact", toy.folder, "--levels", "qqq").err


def test_a_broken_artifact_is_one_line(run, toy, clip, tmp_path):
    done = run(clip, "--artifact", tmp_path / "none")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"qinfer: error: {tmp_path / 'none'}: no such folder; make one with qexport\n"
    model = toy.folder / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    changed = run(clip, "--artifact", toy.folder)
    assert changed.code == 1
    assert "model.onnx: changed since it was exported" in changed.err
    assert len(changed.err.splitlines()) == 1
    assert run(clip, "--artifact", toy.folder, "--no-verify").code == 0


def test_code_needs_trust(run, clip, tmp_path, make_manifest):
    with create(tmp_path / "code") as staging:
        (staging.folder / "model.pt").write_bytes(b"code")
        manifest = make_manifest("torchscript-fbgemm", engine="torchscript", execution={"quantized_engine": "fbgemm"})
        artifact = staging.publish(manifest)
    done = run(clip, "--artifact", artifact.folder)
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert "is code, which could do anything that you can do" in done.err
    assert "add --trust-code" in done.err
    assert "model.pt: torch cannot load it" in run(clip, "--artifact", artifact.folder, "--trust-code").err


def test_a_missing_device_is_one_line(run, toy, clip):
    done = run(clip, "--artifact", toy.folder, "--device", "tpu")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert "no device 'tpu'" in done.err


def test_a_bug_is_one_line_that_names_its_kind(run, toy, clip, monkeypatch):
    monkeypatch.delenv("QASR_VERBOSE", raising=False)
    monkeypatch.setattr(qinfer, "load", lambda *_, **__: 1 / 0)
    done = run(clip, "--artifact", toy.folder)
    assert done.code == 1
    assert "unexpected ZeroDivisionError" in done.err
    assert len(done.err.splitlines()) == 1


def test_help_and_version(run):
    done = run("--help")
    assert (done.code, done.err) == (0, "")
    assert "qinfer audio.wav --artifact out/" in done.out
    assert run("--version").out == f"qinfer, version {__version__}\n"


def test_a_reader_that_goes_away(toy, clip):
    command = [*QINFER, *[clip] * 50, "--artifact", toy.folder, "--format", "json", "--levels", "all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() != 0


def restore_ctrl_c() -> None:
    """Restore SIGINT, which processes that a shell starts in the background, and their children, ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_behind(toy, write_audio, tmp_path, number, code):
    (scratch := tmp_path / "scratch").mkdir()
    random = np.random.default_rng(0)
    data = write_audio("long.wav", (0.1 * random.standard_normal(16_000 * 900)).astype(np.float32)).read_bytes()
    command = [*QINFER, "-", "--artifact", toy.folder, "--output-dir", tmp_path / "out"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(scratch)}, preexec_fn=restore_ctrl_c,
    ) as process:  # fmt: skip
        process.stdin.write(data[: len(data) // 2])
        process.stdin.flush()
        for _ in range(200):
            if any(scratch.iterdir()):
                break
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, b""), err
    assert b"Traceback" not in err
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_the_artifact_is_only_read(run, toy, clip):
    before = {path.name: path.stat().st_mtime_ns for path in toy.folder.iterdir()}
    run(clip, "--artifact", toy.folder)
    assert {path.name: path.stat().st_mtime_ns for path in toy.folder.iterdir()} == before
    assert MANIFEST_NAME in before
