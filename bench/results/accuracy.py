"""Error rates, and differences from the baseline."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval contains zero."""
        return self.low <= 0.0 <= self.high


class LevelErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Edit distances of one level (or of ``words`` and ``characters``) by recording, in the order of the data."""

    edits: list[int]
    lengths: list[int]
    """Tokens of the labels."""

    @property
    def rate(self) -> float:
        """Edits over tokens, of all recordings together."""
        return sum(self.edits) / max(sum(self.lengths), 1)


class Worst(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording with errors. The three token lists are aligned, with "" for a gap."""

    recording: str
    level: str
    edits: int
    baseline_edits: int
    reference: list[str]
    baseline: list[str]
    candidate: list[str]


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure, and its difference from the baseline's."""

    value: float
    delta: Interval | None = None
    """By paired bootstrap over the recordings; None for the baseline itself."""


class Accuracy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transcripts compared with the labels and with the baseline's transcripts."""

    levels: dict[str, LevelErrors]
    words: LevelErrors | None = None
    """WER, for checkpoints that write words."""
    characters: LevelErrors | None = None
    """CER, for checkpoints that write words."""
    first_delta: Interval | None = None
    """Error rate of the first level minus the baseline's, by paired bootstrap. None for the baseline itself."""
    mean_delta: Interval | None = None
    """Mean error rate over the levels minus the baseline's."""
    word_delta: Interval | None = None
    character_delta: Interval | None = None
    disagreement: float | None = None
    """Edit distance of the first level to the baseline's transcripts, over the length of those."""
    unchanged: float | None = None
    """Fraction of recordings whose first level is transcribed exactly as by the baseline."""
    argmax_agreement: float | None = None
    """Fraction of frames and levels with the same best token as the baseline."""
    logits_error: float | None = None
    """Root of the summed squared differences from the baseline's logits, over that of the baseline's logits."""
    worst: list[Worst] = []

    @property
    def first(self) -> LevelErrors:
        """The first level: phonemes, for the recitation model."""
        return next(iter(self.levels.values()))

    @property
    def mean(self) -> float:
        """Mean of the levels' error rates."""
        return sum(level.rate for level in self.levels.values()) / len(self.levels)
