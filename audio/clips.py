"""Whole clips as a model's input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .decode import read
from .errors import AudioError
from .frontends import Floats, FrontEnd
from .settings import SAMPLE_RATE


def clip_features(source: Path | str, front_end: FrontEnd, max_seconds: float | None = None) -> Floats:
    """The model's input (frames, …) for a file; of a longer one only for the first ``max_seconds``.

    Raises AudioError, which names the file, where it cannot be read or is too short.
    """
    samples = read(source)[: None if max_seconds is None else round(max_seconds * SAMPLE_RATE)]
    try:
        front_end.check_length(samples.size)
    except AudioError as error:  # of samples, which have no name
        raise AudioError(f"{source}: {error}") from None
    raw = np.concatenate(list(front_end.raw(iter((samples,)))))
    return front_end.stack(front_end.normalize(raw))
