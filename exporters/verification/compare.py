"""Logits against logits: parity of an artifact with its torch model, and its fidelity to fp32."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...artifacts import Fidelity, Parity
from ..errors import ParityError
from .probe import Logits, Probe

_SQRT_TWO = 2**0.5


def compare(artifact: Logits, model: Logits, probe: Probe, allowed: float) -> Parity:
    """Parity of an artifact with its torch model.

    Raises ParityError for a relative error above ``allowed``, and for logits that are not finite.
    """
    pairs = _pairs(artifact, model)
    if not all(np.isfinite(a).all() for a, _ in pairs):
        raise ParityError("the artifact's logits are not finite; the model's activations overflow this precision")
    parity = Parity(
        audio=probe.name,
        clips=probe.clips,
        frames=probe.frames,
        relative_error=relative_error(artifact, model),
        tolerance=allowed,
        max_abs_error=_rounded(max(float(np.abs(a - b).max()) for a, b in pairs)),
        argmax_agreement=_agreement(artifact, model),
    )
    if parity.relative_error > allowed:
        raise ParityError(
            f"the artifact differs from its torch model: relative error {parity.relative_error:.2g} "
            f"over {parity.clips} clips, allowed {allowed:g}"
        )
    return parity


def tolerance(least: float, *noises: float) -> float:
    """Relative error allowed between an artifact and its torch model, whose own errors against fp32 are ``noises``.

    A last-bit difference can round an activation to the neighbouring integer; through the layers that grows towards the
    rounding noise that the quantized model itself carries, and no further: two roundings of one model, each with noise
    e against fp32, are √2 e apart when their noises have nothing in common. Independent noises (8-bit integers, bf16)
    add as squares. A wrong scale or layer is far beyond.
    """
    return max(least, _rounded(_SQRT_TWO * math.hypot(*noises)))


def fidelity(artifact: Logits, original: Logits, blanks: dict[str, int]) -> Fidelity:
    """The artifact against fp32; ``blanks``: each level's blank id."""
    return Fidelity(
        relative_error=relative_error(artifact, original),
        argmax_agreement=_agreement(artifact, original),
        disagreement={level: _disagreement(artifact, original, level, blank) for level, blank in blanks.items()},
    )


def relative_error(logits: Logits, reference: Logits) -> float:
    """Root of the summed squared differences of all logits over that of ``reference``."""
    pairs = _pairs(logits, reference)
    difference = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
    size = sum(float(np.square(b, dtype=np.float64).sum()) for _, b in pairs)
    return _rounded(math.sqrt(difference / size))


def greedy(logits: NDArray[np.float32], blank: int) -> list[int]:
    """Ids of the greedy CTC transcript of (frames, vocabulary) logits."""
    best = logits.argmax(-1)
    kept = best[np.concatenate(([True], best[1:] != best[:-1]))] if best.size else best
    return [int(index) for index in kept if index != blank]


def _pairs(logits: Logits, reference: Logits) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    pairs = []
    for left, right in zip(logits, reference, strict=True):
        for level in right:
            if left[level].shape != right[level].shape:
                raise ParityError(
                    f"the artifact returns {left[level].shape} logits for {level}, its model {right[level].shape}"
                )
            pairs.append((left[level], right[level]))
    return pairs


def _agreement(logits: Logits, reference: Logits) -> float:
    pairs = _pairs(logits, reference)
    equal = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in pairs)
    return round(equal / sum(len(b) for _, b in pairs), 6)


def _disagreement(logits: Logits, original: Logits, level: str, blank: int) -> float:
    from rapidfuzz.distance import Levenshtein

    distance = length = 0
    for left, right in zip(logits, original, strict=True):
        expected = greedy(right[level], blank)
        distance += Levenshtein.distance(greedy(left[level], blank), expected)
        length += len(expected)
    return round(distance / max(length, 1), 6)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
