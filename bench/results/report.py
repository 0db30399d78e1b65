"""A whole report, and reading one from its file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..errors import ReportError
from .accuracy import Accuracy, Figure
from .conditions import Data, Environment, Settings
from .speed import ProcessRun, Speed

REPORT_VERSION = 2


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact. Of an artifact whose manifest cannot be read only ``name``, ``folder`` and ``failure`` are set."""

    name: str
    folder: str
    digest: str = ""
    target: str = ""
    method: str | None = None
    engine: str = ""
    source: str = ""
    parameters: int = 0
    size_bytes: int = 0
    weight_bytes: dict[str, int] = {}
    """Stored bytes of the weights by dtype."""
    failure: str | None = None
    """Why there are no figures; whatever was measured before the failure is dropped."""
    processes: list[ProcessRun] = []
    speeds: list[Speed] = []
    accuracy: Accuracy | None = None
    tajweed: dict[str, Figure] = {}
    """Measures of qdat_bench by the benchmark's name, if the data are its recordings."""
    noisy: Accuracy | None = None
    """The same with white noise on every recording, if the settings have ``noise_db``."""


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``report.json``."""

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
        """The row called ``name``. Raises ReportError if there is none."""
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
            remedy = "install a newer qasr" if version > REPORT_VERSION else "measure again with qbench"
            raise ReportError(
                f"{path}: report version {version}, and this qasr reads version {REPORT_VERSION}; {remedy}"
            )
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: not a report of qbench ({error})") from None
