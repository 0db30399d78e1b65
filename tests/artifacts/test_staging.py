"""Artifacts are written completely or not at all, by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qasr.artifacts import (
    Artifact,
    ArtifactError,
    ArtifactExistsError,
    OutputBusyError,
    create,
    put_in_place,
    read,
    sha256_of_file,
    staging_folder,
)
from qasr.errors import QasrError


def build(output: Path, make_manifest, content: bytes = b"weights", force: bool = False) -> Artifact:
    with create(output, force=force) as staging:
        (staging.folder / "model.onnx").write_bytes(content)
        return staging.publish(make_manifest())


def test_round_trip(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    again = read(tmp_path / "a")
    assert again.manifest == artifact.manifest
    assert again.path("model.onnx").read_bytes() == b"weights"
    assert again.manifest.files["model.onnx"].bytes == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_same_content_gives_the_same_digest(tmp_path, make_manifest):
    one, two = build(tmp_path / "a", make_manifest), build(tmp_path / "b", make_manifest)
    assert one.manifest.digest == two.manifest.digest
    assert build(tmp_path / "c", make_manifest, b"other").manifest.digest != one.manifest.digest


def test_existing_output_is_kept_without_force(tmp_path, make_manifest):
    build(tmp_path / "a", make_manifest)
    with pytest.raises(ArtifactExistsError, match=r"a: exists already; add --force to replace it"):
        build(tmp_path / "a", make_manifest, b"new")
    assert read(tmp_path / "a").path("model.onnx").read_bytes() == b"weights"


def test_force_replaces_the_artifact(tmp_path, make_manifest):
    build(tmp_path / "a", make_manifest)
    build(tmp_path / "a", make_manifest, b"new", force=True)
    assert read(tmp_path / "a").path("model.onnx").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_force_never_deletes_what_is_no_artifact(tmp_path, make_manifest):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactExistsError, match="holds files that are no artifact"):
        build(tmp_path / "home", make_manifest, force=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_output_that_is_a_file(tmp_path, make_manifest):
    (tmp_path / "a").write_text("x")
    with pytest.raises(ArtifactExistsError, match="is a file"):
        build(tmp_path / "a", make_manifest, force=True)


def test_failure_leaves_nothing_and_keeps_the_old_one(tmp_path, make_manifest):
    build(tmp_path / "a", make_manifest)
    with pytest.raises(KeyboardInterrupt), create(tmp_path / "a", force=True) as staging:
        (staging.folder / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert read(tmp_path / "a").path("model.onnx").read_bytes() == b"weights"


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    message = r"writing failed \(No space left on device\); nothing was left"
    with pytest.raises(ArtifactError, match=message), create(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_as_they_are(tmp_path):
    class GoneError(QasrError, FileNotFoundError):
        pass

    with pytest.raises(GoneError, match=r"^model: gone$"), create(tmp_path / "a"):
        raise GoneError("model: gone")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_parent(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write there"), create(tmp_path / "file" / "a"):
        pass


# Stages an artifact at argv[1] and waits for its input to close.
EXPORT = """
import sys
from pathlib import Path
from qasr.artifacts import create
with create(Path(sys.argv[1])) as staging:
    (staging.folder / "model.onnx").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""
# As in a container: the only process of its own pid namespace, with pid 1.
NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextmanager
def exporting(output: Path, *prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is writing to ``output``."""
    command = [*prefix, sys.executable, "-c", EXPORT, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        try:
            yield child
        finally:
            child.kill()
            child.stdout.read()  # until its own children have ended too


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_second_of_two_exports_fails_at_once_and_the_first_goes_on(tmp_path, make_manifest):
    with exporting(tmp_path / "a") as child:
        before = names(tmp_path)
        assert len(before) == 2
        message = r"a: another process is writing to it; wait until it has finished, or choose another output folder"
        with pytest.raises(OutputBusyError, match=message) as caught:
            build(tmp_path / "a", make_manifest)
        assert caught.value.output == tmp_path / "a"
        assert names(tmp_path) == before
        build(tmp_path / "b", make_manifest)  # another output is not affected
        child.stdin.close()
        assert child.wait() == 0
    assert names(tmp_path) == ["b"]
    build(tmp_path / "a", make_manifest)
    assert names(tmp_path) == ["a", "b"]


def test_after_a_killed_export_the_next_one_cleans_up(tmp_path, make_manifest):
    for _ in range(2):
        with exporting(tmp_path / "a") as child:
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert not (tmp_path / "a").exists()
        assert len(names(tmp_path)) == 2
    build(tmp_path / "a", make_manifest)
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(
    subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="this system does not let users create pid namespaces",
)
def test_exports_in_containers(tmp_path, make_manifest):
    """In a container the pid is 1 again and again, and pids of other containers are invisible."""
    with exporting(tmp_path / "a", *NAMESPACE):
        with pytest.raises(OutputBusyError):
            build(tmp_path / "a", make_manifest)
        with exporting(tmp_path / "b", *NAMESPACE):
            assert len(names(tmp_path)) == 4
    for _ in range(2):
        with exporting(tmp_path / "a", *NAMESPACE):
            assert len([name for name in names(tmp_path) if name.startswith(".a.partial-")]) == 1
    build(tmp_path / "a", make_manifest)
    assert "a" in names(tmp_path)
    assert not any(name.startswith(".a.") for name in names(tmp_path))


def test_many_threads_one_winner(tmp_path, make_manifest):
    results: list[object] = []
    start = threading.Barrier(8)

    def export() -> None:
        start.wait()
        try:
            results.append(build(tmp_path / "a", make_manifest, force=True))
        except OutputBusyError as error:
            results.append(error)

    threads = [threading.Thread(target=export) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(result, Artifact) for result in results)
    assert len(results) == 8
    assert names(tmp_path) == ["a"]
    assert read(tmp_path / "a").path("model.onnx").read_bytes() == b"weights"


def test_folders_of_other_outputs_are_left_alone(tmp_path, make_manifest):
    """Their names start with this output's name, or match it as a pattern."""
    others = [".a.partial-b", ".a.partial-b.partial-0123456789abcdef", ".b.partial-0123456789abcdef", "a.partial-1"]
    for name in others:
        (tmp_path / name).mkdir()
    build(tmp_path / "a", make_manifest)
    build(tmp_path / "[ab]", make_manifest)
    assert names(tmp_path) == sorted([*others, "a", "[ab]"])


def test_an_output_that_was_killed_while_it_was_replaced_comes_back(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (tmp_path / "a").rename(tmp_path / ".a.previous-0123456789abcdef")
    with pytest.raises(ArtifactExistsError):
        build(tmp_path / "a", make_manifest)
    assert read(tmp_path / "a").manifest == artifact.manifest
    (tmp_path / ".a.previous-0123456789abcdef").mkdir()
    build(tmp_path / "a", make_manifest, force=True)
    assert names(tmp_path) == ["a"]


def test_any_folder_can_be_staged(tmp_path):
    with staging_folder(tmp_path / "new" / "a") as folder:
        (folder / "x").write_text("x")
        with pytest.raises(OutputBusyError), staging_folder(tmp_path / "new" / "a"):
            pass
        put_in_place(folder, tmp_path / "new" / "a")
    assert names(tmp_path / "new") == ["a"]
    with pytest.raises(KeyError), staging_folder(tmp_path / "new" / "b"):
        raise KeyError
    assert names(tmp_path / "new") == ["a"]


def test_a_draft_writes_nothing_and_hashes_only_what_changed(tmp_path, make_manifest, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "qasr.artifacts.staging.sha256_of_file", lambda path: hashed.append(path.name) or sha256_of_file(path)
    )
    with create(tmp_path / "a") as staging:
        (staging.folder / "model.onnx").write_bytes(b"weights")
        (staging.folder / "config.json").write_bytes(b"{}")
        for path in staging.folder.iterdir():
            os.utime(path, (1e9, 1e9))
        draft = staging.draft(make_manifest())
        assert draft.verified
        assert draft.folder == staging.folder
        assert names(staging.folder) == sorted(draft.manifest.files) == ["config.json", "model.onnx"]
        assert staging.draft(make_manifest()).manifest == draft.manifest
        assert hashed == ["config.json", "model.onnx"]
        (staging.folder / "model.onnx").write_bytes(b"weights!")
        os.utime(staging.folder / "model.onnx", (2e9, 1.1e9))
        assert staging.draft(make_manifest()).manifest.digest != draft.manifest.digest
        artifact = staging.publish(make_manifest(method="gptq"))
    assert hashed == ["config.json", "model.onnx", "model.onnx"]
    assert read(tmp_path / "a").manifest == artifact.manifest
    assert artifact.manifest.method == "gptq"


def test_a_file_that_is_written_twice_at_once_is_hashed_twice(tmp_path, make_manifest):
    """Modification times have steps of some milliseconds."""
    with create(tmp_path / "a") as staging:
        digests = set()
        for number in range(50):
            (staging.folder / "model.onnx").write_text(f"weights {number:02d}")
            digests.add(staging.draft(make_manifest()).manifest.digest)
    assert len(digests) == 50


def test_only_regular_files_are_staged(tmp_path, make_manifest):
    with pytest.raises(ArtifactError, match="cache: is no regular file"), create(tmp_path / "a") as staging:
        (staging.folder / "cache").mkdir()
        staging.draft(make_manifest())
    message = r"x\.pkl is a kind of file that a onnx-fp32 artifact may not contain"
    with pytest.raises(ArtifactError, match=message), create(tmp_path / "a") as staging:
        (staging.folder / "x.pkl").touch()
        staging.publish(make_manifest())
    assert names(tmp_path) == []
