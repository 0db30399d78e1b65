"""Checkpoints from the Hub: what huggingface_hub is called with, and the message when it fails."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from qasr import reference
from qasr.models import CheckpointNotFoundError, open_checkpoint
from qasr.models.hub import looks_like_hub_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("obadx/muaalem-model-v3_0", True),
        ("a/b", True),
        ("a", False),
        ("./a/b", False),
        ("a/b/c", False),
        ("a/", False),
    ],
)
def test_hub_ids(name, expected):
    assert looks_like_hub_id(name) is expected


def test_what_is_asked_of_the_hub(monkeypatch, tmp_path):
    """Revision and offline mode are passed on, only JSON and safetensors are fetched, the commit is recorded."""
    snapshot = tmp_path / "snapshots" / "0123abcd"
    snapshot.parent.mkdir()
    snapshot.symlink_to(reference.CHECKPOINT)
    download = {}

    def snapshot_download(model_id, **options):
        download.update(options, model_id=model_id)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with open_checkpoint("obadx/muaalem-model-v3_0", revision="main", offline=True) as checkpoint:
        assert (checkpoint.name, checkpoint.revision) == ("obadx/muaalem-model-v3_0", "0123abcd")
    assert download == {
        "model_id": "obadx/muaalem-model-v3_0",
        "revision": "main",
        "local_files_only": True,
        "allow_patterns": ["*.json", "*.safetensors"],
    }


def response() -> SimpleNamespace:
    """As much of an HTTP response as the library's exceptions read, whichever HTTP client it uses."""
    return SimpleNamespace(status_code=404, headers={}, request=None, text="")


@pytest.mark.parametrize(
    ("error", "offline", "message"),
    [
        (lambda: LocalEntryNotFoundError("no"), False, "the Hub cannot be reached and the model is not in the local"),
        (lambda: LocalEntryNotFoundError("no"), True, "not in the local cache, and --offline forbids a download"),
        (
            lambda: RepositoryNotFoundError("no", response=response()),
            False,
            "no such model on the Hub, or it is private",
        ),
        (lambda: RevisionNotFoundError("no", response=response()), False, "has no revision v9 on the Hub"),
        (
            lambda: GatedRepoError("no", response=response()),
            False,
            "is gated; accept its terms on the Hub and set HF_TOK",
        ),
        (lambda: OSError("disk on fire"), False, r"cannot be fetched from the Hub.* \(disk on fire\)"),
    ],
)
def test_failures(monkeypatch, error, offline, message):
    def fail(*_, **__):
        raise error()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    revision = "v9" if "revision v9" in message else None
    download = open_checkpoint("someone/model", revision=revision, offline=offline)
    with pytest.raises(CheckpointNotFoundError, match=message), download:
        pass


def test_offline_without_a_cache_needs_no_network(monkeypatch, tmp_path):
    """The real library, with an empty cache: nothing is downloaded and the line says what to do."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    download = open_checkpoint("someone/model", offline=True)
    with pytest.raises(CheckpointNotFoundError, match="run once without --offline"), download:
        pass
