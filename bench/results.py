"""``report.json``: everything that a benchmark measured, as a typed and versioned schema.

Raw samples are kept beside the figures made of them, so that another person can compute other figures.
All times are seconds, all sizes bytes, all rates (error rates, agreements) shares from 0 to 1.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from .errors import ReportError

REPORT_VERSION = 1


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether zero lies within."""
        return self.low <= 0.0 <= self.high


class Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CUDA device, as NVML describes it."""

    name: str
    driver: str
    memory_bytes: int


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the measurements were made."""

    processor: str
    cores: int
    """Those that the process may use."""
    flags: list[str]
    """CPU features that decide which kernels a library takes."""
    governor: str | None
    """Frequency governor; None where the system does not tell."""
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]
    """Name to version, of those that are installed."""
    variables: dict[str, str]
    """Environment variables that the libraries heed."""
    gpus: list[Gpu]
    load_average: float
    """Of the last minute, before the run began."""
    idle_share: float
    """Share of all cores' time in which nothing else ran, sampled while no child was measured; 1 is a quiet machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was asked for."""

    scenarios: list[str]
    durations: list[float | None]
    """Clip lengths; None stands for the recordings as they are."""
    threads: list[int]
    batches: list[int]
    rounds: int
    min_seconds: float
    min_queries: int
    """A scenario goes on, in every round, until it has lasted ``min_seconds`` and answered ``min_queries``."""
    timeout_seconds: float
    device: str
    latency_bound_seconds: float
    """For the scenario server."""
    seed: int
    features: str = "cpu"
    """Where audio becomes features."""


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The labelled recordings."""

    name: str
    sha256: str
    """Over audio and labels."""
    recordings: list[str]
    seconds: list[float]
    """Duration of each recording."""
    levels: list[str]
    """Those that are labelled."""


class Visit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One life of a child process: started, loaded, measured, ended."""

    round: int
    """0 is the visit that loads cold and transcribes the evaluation set; no speed is measured in it."""
    threads: int
    cold: bool
    """No compiled model was cached, and the artifact's files were not in the page cache."""
    interpreter_seconds: float
    """From the start of the process to the first line of Python of ours."""
    import_seconds: float
    read_seconds: float
    """Manifest read, hashes of all files verified."""
    compile_seconds: float
    """The engine makes a session of the files."""
    first_seconds: float
    """The first recording from samples to transcript."""
    peak_rss_bytes: int
    """Largest resident set of the process in its life."""
    peak_device_bytes: int | None
    """Largest use of GPU memory that NVML saw; None without a GPU."""
    idle_share: float = 1.0
    """Share of all cores' time in this visit that no other process took."""

    @property
    def load_seconds(self) -> float:
        """From the start of the process to the first transcript."""
        return (
            self.interpreter_seconds
            + self.import_seconds
            + self.read_seconds
            + self.compile_seconds
            + self.first_seconds
        )


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query of a scenario: one or several clips, from samples in memory to transcripts."""

    round: int
    clips: int
    audio_seconds: float
    latency_seconds: float
    """From the moment at which it was issued (scenario server: at which it arrived) to its last transcript."""
    features_seconds: float
    inference_seconds: float
    decoding_seconds: float
    """These three are compute time, within the latency; queueing is not among them."""

    @property
    def compute_seconds(self) -> float:
        """Features, inference and decoding."""
        return self.features_seconds + self.inference_seconds + self.decoding_seconds


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arrival rate of the scenario server."""

    round: int
    rate_hz: float
    """Poisson arrivals a second."""
    queries: int
    latency_seconds: float
    """Its 99th percentile."""
    holds: bool
    """Within the bound, the queue not growing."""


class Speed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario at one clip length, thread count and batch."""

    scenario: str
    clip_seconds: float | None
    threads: int
    batch: int
    """Clips that go through the engine together."""
    queries: list[Query]
    wall_seconds: dict[int, float]
    """Round to duration of its measurement."""
    trials: list[Trial] = []
    peak_rss_bytes: int
    """Of the process, up to the end of this scenario; the largest of the rounds."""


class LevelErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Edit distances of one level (or of ``words`` and ``characters``), per recording, in the order of the data."""

    edits: list[int]
    lengths: list[int]
    """Tokens of the labels."""

    @property
    def rate(self) -> float:
        """Edits over tokens, of all recordings together."""
        return sum(self.edits) / max(sum(self.lengths), 1)


class Worst(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording that was transcribed badly; the three token lists are aligned, with "" for a gap."""

    recording: str
    level: str
    edits: int
    baseline_edits: int
    reference: list[str]
    baseline: list[str]
    candidate: list[str]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transcripts against labels, and against the baseline."""

    levels: dict[str, LevelErrors]
    words: LevelErrors | None = None
    """WER, where the checkpoint writes words."""
    characters: LevelErrors | None = None
    """CER, likewise."""
    first_delta: Interval | None = None
    """Error rate of the first level minus the baseline's; paired bootstrap. None for the baseline itself."""
    mean_delta: Interval | None = None
    """The same for the mean over the levels."""
    word_delta: Interval | None = None
    character_delta: Interval | None = None
    disagreement: float | None = None
    """Edits between its and the baseline's transcripts of the first level, over the length of the baseline's."""
    argmax_agreement: float | None = None
    """Share of frames and levels whose best token is the baseline's."""
    logits_error: float | None = None
    """Root of the summed squared differences from the baseline's logits, over that of the baseline's."""
    worst: list[Worst] = []

    @property
    def first(self) -> LevelErrors:
        """The level that comes first: phonemes, for the recitation model."""
        return next(iter(self.levels.values()))

    @property
    def mean(self) -> float:
        """Mean of the levels' error rates."""
        return sum(level.rate for level in self.levels.values()) / len(self.levels)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact."""

    name: str
    folder: str
    digest: str
    target: str
    method: str | None
    engine: str
    source: str
    parameters: int
    size_bytes: int
    weight_bytes: dict[str, int] = {}
    """Stored bytes of the weights by dtype."""
    failure: str | None = None
    """Why it has no figures; what was measured before the failure is dropped."""
    visits: list[Visit] = []
    speeds: list[Speed] = []
    accuracy: Accuracy | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of ``report.json``."""

    report_version: int = REPORT_VERSION
    qasr_version: str
    started: str
    """ISO 8601, UTC."""
    wall_seconds: float
    command: list[str]
    environment: Environment
    settings: Settings
    data: Data
    baseline: str
    """Name of the row that the others are compared with."""
    rows: list[Row]

    def row(self, name: str) -> Row:
        """The row called ``name``; ReportError where there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise ReportError(f"the report has no artifact {name!r}; it has {', '.join(row.name for row in self.rows)}")

    def encode(self) -> bytes:
        """The report as indented JSON, UTF-8."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


class _Versioned(msgspec.Struct):
    report_version: int


def read_report(path: Path) -> Report:
    """The report in ``path``. Raises ReportError for anything that is not a report of this version."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        version = msgspec.json.decode(data, type=_Versioned).report_version
        if version != REPORT_VERSION:
            raise ReportError(
                f"{path}: report version {version} is not known to this qasr, which reads version {REPORT_VERSION}"
            )
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: not a report of qbench ({error})") from None
