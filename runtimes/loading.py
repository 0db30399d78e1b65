"""``load``: from an artifact's folder to a model that transcribes."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from ..artifacts import read
from ..audio import WINDOW_SECONDS, FrontEnd, LogMel, Transform
from ..caches import cache_folder
from ..errors import MissingExtraError
from ..version import installed
from .engine import load_engine
from .errors import OptionError
from .model import Model
from .options import EngineOptions, check, check_flag, check_text, check_window_seconds

CACHE = cache_folder()
"""Where compiled models are kept by default."""

# Modules of this package with the ``transform`` of a front end: ``transform(device)``, in torch.
_TRANSFORMS: dict[type[FrontEnd], str] = {LogMel: "torch_fbank"}


def load(
    folder: Path | str,
    *,
    device: str = "cpu",
    features: str = "cpu",
    threads: int | None = None,
    streams: int | None = None,
    precision: str | None = None,
    cache: Path | str | None = CACHE,
    verify: bool = True,
    trust_code: bool = False,
    window_seconds: float = WINDOW_SECONDS,
) -> Model:
    """Open an artifact made by ``qexport``.

    ``verify`` checks the hash of every file first. Nothing in an artifact is executed as code without ``trust_code``,
    which TorchScript and programs of torch.export need. ``features`` is the device that computes features: cpu, or cuda
    (cuda:1), which needs torch. Compiled models are kept in ``cache``; None keeps none. Longer audio is transcribed in
    windows of ``window_seconds``. ``EngineOptions`` explains ``threads``, ``streams`` and ``precision``.

    Raises ArtifactError, RuntimeLoadError (including OptionError, DeviceError and CodeNotTrustedError) or
    MissingExtraError.
    """
    if not isinstance(folder, str | os.PathLike):
        raise OptionError(f"an artifact is named by the path of its folder, not by {folder!r}")
    if not isinstance(cache, str | os.PathLike | None):
        raise OptionError(f"cache must be a path or None, not {cache!r}")
    options = EngineOptions(
        device=device,
        threads=threads,
        streams=streams,
        precision=precision,
        cache=None if cache is None else Path(cache),
        trust_code=trust_code,
    )
    check(options)
    check_text("features", features)
    check_flag("verify", verify)
    check_window_seconds(window_seconds)
    artifact = read(folder, verify=verify)
    transform = find_transform(features, artifact.manifest.front_end)
    return Model(artifact, load_engine(artifact, options), window_seconds, streams=streams or 1, transform=transform)


def find_transform(device: str, front_end: FrontEnd) -> Transform | None:
    """What computes the features of ``front_end`` on ``device``; None on a CPU.

    Raises OptionError for a front end that computes no features, DeviceError, or MissingExtraError without torch.
    """
    if device == "cpu":
        return None
    module = _TRANSFORMS.get(type(front_end))
    if module is None:
        raise OptionError(
            f"features on {device!r}: this model's front end computes none on another device; leave --features out"
        )
    if not installed("torch"):
        raise MissingExtraError("torch", "torch")
    found: Transform = importlib.import_module(f".{module}", __package__).transform(device)
    return found
