"""Artifacts are written whole or not at all, and read only as they were written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qasr.artifacts import (
    ArtifactChangedError,
    ArtifactError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    ManifestError,
    create,
    read,
)
from qasr.errors import QasrError


def build(output: Path, make_manifest, content: bytes = b"weights", force: bool = False):
    with create(output, force=force) as staging:
        (staging.folder / "model.onnx").write_bytes(content)
        staging.seal(make_manifest())
        return staging.publish()


def edit(artifact, **changes) -> None:
    """Change the manifest as an attacker would who also recomputes its digest."""
    import msgspec

    manifest = msgspec.structs.replace(artifact.manifest, **changes).sealed()
    (artifact.folder / "manifest.json").write_bytes(manifest.encode())


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


def test_force_replaces_the_whole_artifact(tmp_path, make_manifest):
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


def test_killed_export_leaves_no_artifact_and_the_next_one_cleans_up(tmp_path, make_manifest):
    code = (
        "import sys, time; from qasr.artifacts import create\n"
        "with create(__import__('pathlib').Path(sys.argv[1])) as staging:\n"
        "    (staging.folder / 'model.onnx').write_bytes(b'half'); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == [f".a.partial-{child.pid}"]
    build(tmp_path / "a", make_manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_staging_of_a_living_process_is_left_alone(tmp_path, make_manifest):
    other = tmp_path / f".a.partial-{os.getppid()}"
    other.mkdir()
    build(tmp_path / "a", make_manifest)
    assert other.is_dir()


def test_missing_folder_and_folder_without_manifest(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match="no such folder; make one with qexport"):
        read(tmp_path / "nothing")
    with pytest.raises(ArtifactNotFoundError, match=r"no manifest.json in it, so this is no qasr artifact"):
        read(tmp_path)


def test_changed_byte(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").write_bytes(b"weighty")
    with pytest.raises(ArtifactChangedError, match=r"model.onnx: changed since it was exported \(SHA-256 differs\)"):
        read(artifact.folder)
    assert read(artifact.folder, verify=False).manifest == artifact.manifest


def test_truncated_file_is_found_even_without_hashes(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").write_bytes(b"weig")
    with pytest.raises(ArtifactChangedError, match="has 4 bytes where its manifest says 7"):
        read(artifact.folder, verify=False)


def test_missing_file(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").unlink()
    with pytest.raises(ArtifactNotFoundError, match=r"model.onnx: missing from the artifact"):
        read(artifact.folder)


def test_linked_file(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (artifact.folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ArtifactError, match=r"model.onnx: is a link"):
        read(artifact.folder)


@pytest.mark.parametrize("name", ["../secret.onnx", "/etc/passwd", "sub/model.onnx", "..\\secret.onnx"])
def test_path_that_leaves_the_folder(tmp_path, make_manifest, name):
    artifact = build(tmp_path / "a", make_manifest)
    edit(artifact, files={name: artifact.manifest.files["model.onnx"]})
    with pytest.raises(ArtifactError, match="which leaves the folder; do not use this artifact"):
        read(artifact.folder)


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.pth"])
def test_pickles_are_refused(tmp_path, make_manifest, name):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").rename(artifact.folder / name)
    edit(artifact, files={name: artifact.manifest.files["model.onnx"]})
    with pytest.raises(ArtifactError, match=f"{name} is a kind of file that a onnx-fp32 artifact may not carry"):
        read(artifact.folder)


@pytest.mark.parametrize(("version", "advice"), [(3, "install a newer qasr"), (0, "export the artifact again")])
def test_unknown_schema_version(tmp_path, make_manifest, version, advice):
    artifact = build(tmp_path / "a", make_manifest)
    path = artifact.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["schema_version"] = version
    content["something_new"] = True
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=f"schema version {version} is not known to this qasr.*{advice}"):
        read(artifact.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": "one"}', b"\xff\xfe", b"null"])
def test_manifest_that_is_none(tmp_path, make_manifest, content):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest.json: not a qasr manifest"):
        read(artifact.folder)


def test_manifest_edited_by_hand(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    path = artifact.folder / "manifest.json"
    path.write_text(path.read_text().replace('"frame_rate_hz": 50.0', '"frame_rate_hz": 25.0'))
    with pytest.raises(ManifestError, match="its digest does not match"):
        read(artifact.folder)
