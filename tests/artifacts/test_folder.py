"""Artifacts are read only if they are unchanged and complete."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from qasr.artifacts import (
    ArtifactChangedError,
    ArtifactError,
    ArtifactNotFoundError,
    InputLimits,
    LevelVocabulary,
    ManifestError,
    Stride,
    create,
    read,
)


def build(output: Path, make_manifest, content: bytes = b"weights", force: bool = False):
    with create(output, force=force) as staging:
        (staging.folder / "model.onnx").write_bytes(content)
        return staging.publish(make_manifest())


def edit(artifact, **changes) -> None:
    """Change the manifest as an attacker would who also recomputes its digest."""
    manifest = msgspec.structs.replace(artifact.manifest, **changes).sealed()
    (artifact.folder / "manifest.json").write_bytes(manifest.encode())


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


def test_truncated_file_is_an_error_even_without_hashes(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / "model.onnx").write_bytes(b"weig")
    with pytest.raises(ArtifactChangedError, match="has 4 bytes, but its manifest states 7"):
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
    with pytest.raises(ArtifactError, match=f"{name} is a kind of file that a onnx-fp32 artifact may not contain"):
        read(artifact.folder)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, r"was written by an older qasr \(schema 2\); export it again"),
        (4, r"was written by a newer qasr \(schema 4, and this one reads 3\); install a newer qasr"),
    ],
)
def test_other_schema_versions(tmp_path, make_manifest, version, message):
    artifact = build(tmp_path / "a", make_manifest)
    path = artifact.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["schema_version"] = version
    content["something_new"] = True
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=rf"manifest\.json: {message}$"):
        read(artifact.folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": "one"}', b"\xff\xfe", b"null"])
def test_file_that_is_no_manifest(tmp_path, make_manifest, content):
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


LETTERS = LevelVocabulary(["[PAD]", "a"], 0, [0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"levels": {}}, "it has no levels"),
        ({"levels": {"x": LevelVocabulary(["[PAD]", "a"], 2)}}, r"level x has 2 tokens, but its blank .* name \[2\]"),
        ({"levels": {"x": LevelVocabulary(["[PAD]", "a"], 0, [0, -1])}}, r"specials name \[-1\]"),
        ({"levels": {"x": LevelVocabulary([], 0)}}, "level x has 0 tokens"),
        ({"levels": {"x": LevelVocabulary(["a"], 0, word_delimiter="|")}}, r"no token '\|', its word_delimiter"),
        ({"frame_rate_hz": 25.0}, "frame_rate_hz is 25, but front_end and strides give 50"),
        ({"strides": [Stride(3, 2, 1)]}, "frame_rate_hz is 50, but front_end and strides give 25"),
        ({"limits": InputLimits(0)}, "limits are 0 to None frames"),
        ({"limits": InputLimits(10, 9)}, "limits are 10 to 9 frames"),
        ({"limits": InputLimits(1, None, 0)}, "limits.max_batch is 0"),
        ({"levels": {}, "limits": InputLimits(0)}, "it has no levels; limits are 0"),
    ],
)
def test_manifest_that_contradicts_itself(tmp_path, make_manifest, changes, problem):
    artifact = build(tmp_path / "a", make_manifest)
    edit(artifact, **changes)
    with pytest.raises(ManifestError, match=rf"manifest\.json: contradicts itself \(.*{problem}"):
        read(artifact.folder)
    with pytest.raises(ManifestError, match="contradicts itself"), create(tmp_path / "b") as staging:
        staging.publish(make_manifest(**changes))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "adapter_config.json", "model.onnx_data", "x.pt"])
def test_files_that_the_manifest_does_not_list_are_refused(tmp_path, make_manifest, name):
    artifact = build(tmp_path / "a", make_manifest)
    (artifact.folder / name).write_bytes(b"x")
    with pytest.raises(ArtifactError, match=rf"holds {name}, not listed in its manifest, and a library might read it"):
        read(artifact.folder, verify=False)
    (artifact.folder / name).unlink()
    (artifact.folder / name).symlink_to(artifact.folder / "model.onnx")
    with pytest.raises(ArtifactError, match=f"holds {name}, not listed"):
        read(artifact.folder)


def test_notes_and_folders_may_be_added(tmp_path, make_manifest):
    artifact = build(tmp_path / "a", make_manifest)
    for name in ("README.md", "README.ar.md", "notes.txt", ".DS_Store"):
        (artifact.folder / name).write_text("x")
    (artifact.folder / "results").mkdir()
    assert read(artifact.folder).manifest == artifact.manifest
