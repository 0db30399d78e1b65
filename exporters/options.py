"""What an export can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..quantizers import Options
from .asked import Mixing
from .build import BuildOptions


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Everything that an export can be told besides the checkpoint, the target and the place."""

    method: str | None = None
    calibration: Path | None = None
    """JSON lines or folder of audio; the bundled set for models that come with qasr."""
    calibration_clips: int = 64
    calibration_seconds: float = 20.0
    """Of longer clips only so much counts."""
    verification: Path | None = None
    """JSON lines or folder of audio for the parity check; the bundled evaluation set by default."""
    verification_clips: int = 8
    quantization: Options = field(default_factory=Options)
    mixing: Mixing = field(default_factory=Mixing)
    build: BuildOptions = field(default_factory=BuildOptions)
    revision: str | None = None
    offline: bool = False
    force: bool = False
