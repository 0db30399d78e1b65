"""Checkpoints from the Hugging Face Hub, with revision, offline mode and the token that huggingface_hub finds."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import first_line
from .errors import CheckpointNotFoundError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ["*.json", "*.safetensors"]


def looks_like_hub_id(name: str) -> bool:
    """Whether ``name`` has the format ``owner/model``."""
    return _HUB_ID.fullmatch(name) is not None


def download(model_id: str, *, revision: str | None, offline: bool) -> tuple[Path, str]:
    """Fetch a checkpoint, or find it in the cache, and return its folder and its commit.

    Only JSON and safetensors files are fetched. Raises CheckpointNotFoundError with the reason and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f" at revision {revision}" if revision else ""
    try:
        folder = snapshot_download(model_id, revision=revision, local_files_only=offline, allow_patterns=_FILES)
    except GatedRepoError:
        raise CheckpointNotFoundError(
            f"{model_id}: is gated; accept its terms on the Hub and set HF_TOKEN, or log in with 'hf auth login'"
        ) from None
    except RevisionNotFoundError:
        raise CheckpointNotFoundError(f"{model_id}: has no revision {revision} on the Hub") from None
    except RepositoryNotFoundError:
        raise CheckpointNotFoundError(
            f"{model_id}: no such model on the Hub, or it is private; check the name, or set HF_TOKEN"
        ) from None
    except LocalEntryNotFoundError:
        if offline:
            raise CheckpointNotFoundError(
                f"{model_id}: not in the local cache{at}, and --offline forbids a download; run once without --offline"
            ) from None
        raise CheckpointNotFoundError(
            f"{model_id}: the Hub cannot be reached and the model is not in the local cache{at}; "
            "check the network, or name a checkpoint folder"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        reason = first_line(error)
        raise CheckpointNotFoundError(f"{model_id}: cannot be fetched from the Hub{at} ({reason})") from None
    path = Path(folder)
    return path, path.name
