"""``qserve`` as a user types it: what it refuses before it listens."""

from __future__ import annotations

import signal
import socket
import sys

import pytest

from qasr.cli import qserve
from qasr.version import __version__


@pytest.fixture
def run(monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["qserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            qserve.run()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return end.value.code, out, err

    yield call
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'ARTIFACTS...'; see qserve --help"),
        (["a b"], "a b: 'a b' is no name for a model; write NAME=a b"),
        (["=out"], "=out: '' is no name for a model; write NAME=out"),
        (["x=out", "x=other"], "two models are called x; write NAME=FOLDER"),
        (["out", "--port", "70000"], "Invalid value for '--port'"),
        (["out", "--max-upload", "much"], "'much' is not a size"),
        (["out", "--threads", "1", "--streams", "2"], "--streams 2 need as many --threads, not 1"),
        (["out", "--streams", "0"], "streams must be a whole number from 1"),
        (["out", "--deadline", "0"], "Invalid value for '--deadline'"),
        (["out", "--window-seconds", "1"], "window_seconds must be a number from 2 to 60"),
    ],
)
def test_wrong_usage_is_one_line(run, arguments, message, monkeypatch):
    monkeypatch.setattr("qasr.runtimes.options.available_cores", lambda: 2)
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("qserve: error: ")
    assert message in err


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = qserve.named_folders(["out/", "b=x/y", str(tmp_path / "c")])
    assert {name: str(folder) for name, folder in folders.items()} == {
        "out": "out", "b": "x/y", "c": str(tmp_path / "c"),
    }  # fmt: skip
    assert list(qserve.named_folders(["."])) == [tmp_path.name]


def test_errors_at_the_start_are_one_line(run, toy, tmp_path):
    code, _, err = run(tmp_path / "none", "--port", "0")
    assert (code, err.count("\n")) == (1, 1)
    assert str(tmp_path / "none") in err
    (toy.folder / "model.onnx").write_bytes((toy.folder / "model.onnx").read_bytes()[:-1] + b"x")
    code, _, err = run(toy.folder, "--port", "0")
    assert (code, err.count("\n")) == (1, 1)
    assert "model.onnx" in err
    code, _, err = run(toy.folder, "--port", "0", "--api-key-file", tmp_path / "keys")
    assert (code, err.count("\n")) == (1, 1)
    assert "the keys cannot be read" in err


def test_a_port_that_is_taken(run, toy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run(toy.folder, "--port", taken.getsockname()[1])
    assert (code, err.count("\n")) == (1, 1)
    assert "(Address already in use); choose another --host or --port" in err


def test_a_missing_library_names_its_extra(run, toy, monkeypatch):
    monkeypatch.setattr(qserve, "installed", lambda library: library != "fastapi")
    code, _, err = run(toy.folder)
    assert (code, err) == (1, "qserve: error: fastapi is not installed; type: pip install 'qasr[serve]'\n")


def test_version(run):
    assert run("--version")[:2] == (0, f"qserve, version {__version__}\n")
