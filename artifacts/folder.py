"""Writing an artifact's folder atomically, and reading one with every byte checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from ..errors import QasrError
from .errors import ArtifactChangedError, ArtifactError, ArtifactExistsError, ArtifactNotFoundError
from .hashing import sha256_of_file
from .manifest import MANIFEST_NAME, FileEntry, Manifest, decode

# What may stand in an artifact. Pickles are absent on purpose: reading one runs it. TorchScript (.pt) and programs of
# torch.export (.pt2) are code too: only their own targets may carry them, and they are loaded only when verified.
_PLAIN_SUFFIXES = frozenset({".json", ".txt", ".md", ".onnx", ".onnx_data", ".xml", ".bin", ".safetensors", ".engine"})
_CODE_SUFFIXES = {"torchscript": ".pt", "torch": ".pt2", "hf": ".py"}


@dataclass(frozen=True)
class Artifact:
    """An artifact that was read: its folder and its manifest; ``verified`` where the hash of every file was checked."""

    folder: Path
    manifest: Manifest
    verified: bool = False

    def path(self, name: str) -> Path:
        """The path of one of the artifact's files; ArtifactError where the manifest does not list it."""
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.folder}: its manifest lists no {name}; export the artifact again")
        return self.folder / name


class Staging:
    """A folder in the making, beside the place where the artifact will stand."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.folder = folder
        self._output = output

    def seal(self, manifest: Manifest) -> Artifact:
        """Hash every file, write the manifest, and return the artifact as it stands in the staging folder."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name != MANIFEST_NAME)
        files = {
            name: FileEntry((self.folder / name).stat().st_size, sha256_of_file(self.folder / name)) for name in names
        }
        sealed = msgspec.structs.replace(manifest, files=files).sealed()
        _check_names(sealed, self.folder)
        (self.folder / MANIFEST_NAME).write_bytes(sealed.encode())
        return Artifact(self.folder, sealed)

    def amend(self, manifest: Manifest) -> Artifact:
        """Rewrite the manifest of a sealed folder whose other files did not change."""
        sealed = manifest.sealed()
        (self.folder / MANIFEST_NAME).write_bytes(sealed.encode())
        return Artifact(self.folder, sealed)

    def publish(self) -> Artifact:
        """Move the sealed folder to its place: all of it appears at once, or nothing does."""
        put_in_place(self.folder, self._output)
        return read(self._output, verify=False)


def put_in_place(folder: Path, output: Path) -> None:
    """Move a finished folder to ``output``, in place of what stands there, which is deleted only afterwards."""
    for path in (*folder.iterdir(), folder):
        _fsync(path)
    retired = output.with_name(f".{output.name}.retired-{os.getpid()}")
    replaced = output.exists()
    if replaced:
        output.rename(retired)
    try:
        folder.rename(output)
    except OSError:
        if replaced:
            retired.rename(output)
        raise
    _fsync(output.parent)
    if replaced:
        shutil.rmtree(retired)


@contextmanager
def create(output: Path, *, force: bool = False) -> Iterator[Staging]:
    """A staging folder for an artifact at ``output``; whatever ends the block, nothing half-made stays behind.

    Raises ArtifactExistsError where ``output`` holds something and ``force`` is not given, or where it holds
    something that is no artifact, which is never deleted.
    """
    output = output.resolve()
    _check_output(output, force=force)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(output)
        folder = output.with_name(f".{output.name}.partial-{os.getpid()}")
        folder.mkdir()
    except OSError as error:
        raise ArtifactError(f"{output}: cannot write there ({error.strerror}); choose another output folder") from None
    try:
        yield Staging(folder, output)
    except OSError as error:
        # An error of ours that is an OSError too (a checkpoint or an audio file not found) is no failed writing.
        if isinstance(error, QasrError):
            raise
        raise ArtifactError(f"{output}: writing failed ({error.strerror or error}); nothing was left there") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read(folder: Path | str, *, verify: bool = True) -> Artifact:
    """Read an artifact's manifest and, unless ``verify`` is off, check the size and hash of every file.

    Raises ArtifactNotFoundError, ManifestError or ArtifactChangedError.
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
    _check_names(manifest, folder)
    for name, entry in manifest.files.items():
        _check_file(folder / name, entry, hashes=verify)
    return Artifact(folder, manifest, verified=verify)


def _check_names(manifest: Manifest, folder: Path) -> None:
    allowed = _PLAIN_SUFFIXES | {_CODE_SUFFIXES.get(manifest.target.partition("-")[0], ".json")}
    for name in manifest.files:
        if PurePosixPath(name).name != name or "\\" in name or name in {"", ".", ".."}:
            raise ArtifactError(
                f"{folder}: its manifest names {name!r}, which leaves the folder; do not use this artifact"
            )
        if PurePosixPath(name).suffix not in allowed:
            raise ArtifactError(
                f"{folder}: {name} is a kind of file that a {manifest.target} artifact may not carry; "
                "do not use this artifact"
            )


def _check_file(path: Path, entry: FileEntry, *, hashes: bool) -> None:
    if path.is_symlink():
        raise ArtifactError(f"{path}: is a link, and an artifact must hold its files itself; copy the file here")
    if not path.is_file():
        raise ArtifactNotFoundError(f"{path}: missing from the artifact; export it again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise ArtifactChangedError(
            f"{path}: has {size} bytes where its manifest says {entry.bytes}; export the artifact again"
        )
    if hashes and sha256_of_file(path) != entry.sha256:
        raise ArtifactChangedError(
            f"{path}: changed since it was exported (SHA-256 differs); export the artifact again"
        )


def _check_output(output: Path, *, force: bool) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise ArtifactExistsError(f"{output}: is a file; choose a folder that does not exist yet")
    if not any(output.iterdir()):
        return
    if not (output / MANIFEST_NAME).is_file():
        raise ArtifactExistsError(
            f"{output}: holds files that are no artifact, and is never replaced; choose another folder"
        )
    if not force:
        raise ArtifactExistsError(f"{output}: exists already; add --force to replace it, or choose another folder")


def _remove_stale(output: Path) -> None:
    """Remove staging folders of earlier exports to this place whose process was killed."""
    for path in output.parent.glob(f".{output.name}.partial-*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
