"""The schema of ``report.json``: everything that a benchmark measured, typed and versioned.

Raw samples are stored, so that readers can compute figures of their own. All times are seconds, all sizes bytes, all
rates (error rates, agreements) fractions from 0 to 1.
"""

from __future__ import annotations

from .accuracy import Accuracy, Figure, Interval, LevelErrors, Worst
from .conditions import Data, Environment, Gpu, Settings
from .report import REPORT_VERSION, Report, Row, read_report
from .speed import Key, ProcessRun, Query, Speed, Trial

__all__ = [
    "REPORT_VERSION",
    "Accuracy",
    "Data",
    "Environment",
    "Figure",
    "Gpu",
    "Interval",
    "Key",
    "LevelErrors",
    "ProcessRun",
    "Query",
    "Report",
    "Row",
    "Settings",
    "Speed",
    "Trial",
    "Worst",
    "read_report",
]
