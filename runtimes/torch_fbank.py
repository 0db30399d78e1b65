"""Log-mel energies on a GPU, with torch. One CPU core computes about 3,000 seconds of audio per second; a GPU more."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..audio import Floats
from ..audio.frontends.fbank import (
    FFT_SIZE,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    INT16_SCALE,
    MEL_FLOOR,
    PRE_EMPHASIS,
    mel_filters,
    povey_window,
)
from .errors import DeviceError

# Frames computed at a time: 40 s of audio take about 50 MB on the device.
_BLOCK_FRAMES = 4_000
_BLOCK_SAMPLES = (_BLOCK_FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES


class TorchFbank:
    """The ``Transform`` of the log-mel front end: ``fbank`` on a torch device, in float64, returned in host memory.

    On a GPU it uses its own stream with a higher priority than the engine's, so that features of the next batch do
    not wait for inference of the current one.
    """

    def __init__(self, device: str) -> None:
        self._device = _checked(device)
        self._window = torch.from_numpy(povey_window()).to(self._device)
        self._filters: dict[int, Tensor] = {}
        self._stream: Any = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device, priority=-1)  # type: ignore[no-untyped-call]

    def __call__(self, waveform: Floats, num_mel_bins: int) -> Floats:
        """Log-mel energies (frames, mel bins) of mono samples at 16 kHz; see ``audio.frontends.fbank``."""
        frames = max(0, 1 + (waveform.size - FRAME_SAMPLES) // HOP_SAMPLES)
        if frames == 0:
            return np.empty((0, num_mel_bins), dtype=np.float32)
        with torch.inference_mode(), self._own_stream():
            samples = torch.from_numpy(np.ascontiguousarray(waveform)).to(self._device)
            parts = [
                self._energies(samples[start * HOP_SAMPLES :][:_BLOCK_SAMPLES], num_mel_bins)
                for start in range(0, frames, _BLOCK_FRAMES)
            ]
            energies: Floats = torch.cat(parts).cpu().numpy()
        return energies

    def _energies(self, samples: Tensor, num_mel_bins: int) -> Tensor:
        framed = (samples.double() * INT16_SCALE).unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
        framed = framed - framed.mean(1, keepdim=True)
        emphasized = framed.clone()
        emphasized[:, 1:] -= PRE_EMPHASIS * framed[:, :-1]  # the window is zero at the first sample
        power = torch.fft.rfft(emphasized * self._window, n=FFT_SIZE).abs().square()
        mel: Tensor = power.float() @ self._mel_filters(num_mel_bins)
        return mel.clamp_min(MEL_FLOOR).log()

    def _mel_filters(self, bins: int) -> Tensor:
        if bins not in self._filters:
            self._filters[bins] = torch.from_numpy(mel_filters(bins)).to(self._device)
        return self._filters[bins]

    def _own_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def transform(device: str) -> TorchFbank:
    """The transform on ``device``: cpu, cuda or cuda:N. Raises DeviceError."""
    return TorchFbank(device)


def _checked(name: str) -> torch.device:
    kind, colon, index = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (colon and not index.isdecimal())):
        raise DeviceError(f"features are computed on cpu, cuda or cuda:N, not on {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"features on {name!r}: this torch ({torch.__version__}) sees {torch.cuda.device_count()} NVIDIA GPUs "
            "here; leave --features out"
        )
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device("cpu")
