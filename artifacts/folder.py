"""Reading an artifact's folder: every file is checked against the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from .errors import ArtifactChangedError, ArtifactError, ArtifactNotFoundError
from .hashing import sha256_of_file
from .manifest import MANIFEST_NAME, FileEntry, Manifest, decode

# Files that an artifact may contain. Pickles are absent on purpose: reading one runs it. TorchScript (.pt), programs of
# torch.export (.pt2) and Python are code too: only their own targets may contain them, and engines decide what to run.
_PLAIN_SUFFIXES = frozenset({".json", ".txt", ".md", ".onnx", ".onnx_data", ".xml", ".bin", ".safetensors", ".engine"})
_CODE_SUFFIXES = {"torchscript": ".pt", "torch": ".pt2", "hf": ".py"}
# Files that people may add to an artifact: no library reads them.
_NOTES = ("README*.md", "*.txt", ".*")


@dataclass(frozen=True)
class Artifact:
    """An artifact that was read."""

    folder: Path
    manifest: Manifest
    verified: bool = False
    """Whether the hash of every file was checked."""

    def path(self, name: str) -> Path:
        """Path of one of the artifact's files. Raises ArtifactError if the manifest does not list it."""
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.folder}: its manifest lists no {name}; export the artifact again")
        return self.folder / name


def read(folder: Path | str, *, verify: bool = True) -> Artifact:
    """Read an artifact's manifest and check its files: their sizes and, with ``verify``, their hashes.

    A file that the manifest does not list is an error, since a library might read it: only hidden files, ``README*.md``
    and ``*.txt`` may be added. Raises ArtifactNotFoundError, ManifestError, ArtifactChangedError or ArtifactError.
    """
    folder = Path(folder)
    path = folder / MANIFEST_NAME
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = "no such folder" if not folder.exists() else f"no {MANIFEST_NAME} in it, so this is no qasr artifact"
        raise ArtifactNotFoundError(f"{folder}: {what}; make one with qexport") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from None
    manifest = decode(data, str(path))
    check_names(manifest, folder)
    for name, entry in manifest.files.items():
        _check_file(folder / name, entry, hashes=verify)
    _check_unlisted(folder, manifest)
    return Artifact(folder, manifest, verified=verify)


def check_names(manifest: Manifest, folder: Path) -> None:
    """Raise ArtifactError for files outside the folder, and for kinds of files that the target may not contain."""
    allowed = _PLAIN_SUFFIXES | {_CODE_SUFFIXES.get(manifest.target.partition("-")[0], ".json")}
    for name in manifest.files:
        if PurePosixPath(name).name != name or "\\" in name or name in {"", ".", ".."}:
            raise ArtifactError(
                f"{folder}: its manifest names {name!r}, which leaves the folder; do not use this artifact"
            )
        if PurePosixPath(name).suffix not in allowed:
            raise ArtifactError(
                f"{folder}: {name} is a kind of file that a {manifest.target} artifact may not contain; "
                "do not use this artifact"
            )


def _check_file(path: Path, entry: FileEntry, *, hashes: bool) -> None:
    if path.is_symlink():
        raise ArtifactError(f"{path}: is a link, but an artifact must contain its files; copy the file here")
    if not path.is_file():
        raise ArtifactNotFoundError(f"{path}: missing from the artifact; export it again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise ArtifactChangedError(
            f"{path}: has {size} bytes, but its manifest states {entry.bytes}; export the artifact again"
        )
    if hashes and sha256_of_file(path) != entry.sha256:
        raise ArtifactChangedError(
            f"{path}: changed since it was exported (SHA-256 differs); export the artifact again"
        )


def _check_unlisted(folder: Path, manifest: Manifest) -> None:
    unlisted = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in manifest.files
        and path.name != MANIFEST_NAME
        and not any(fnmatchcase(path.name, pattern) for pattern in _NOTES)
        and (path.is_symlink() or not path.is_dir())
    )
    if unlisted:
        raise ArtifactError(
            f"{folder}: holds {', '.join(unlisted)}, not listed in its manifest, and a library might read it; "
            "move it elsewhere"
        )
