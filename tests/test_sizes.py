"""Sizes in bytes as people write them."""

from __future__ import annotations

import pytest

from qasr.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1000000", 1_000_000),
        ("12 B", 12),
        ("1kB", 1_000),
        ("1.5GB", 1_500_000_000),
        (".5 MB", 500_000),
        ("300 MiB", 300 * 2**20),
        ("1.5GiB", 3 * 2**29),
        ("2KiB", 2_048),
        ("4G", 4_000_000_000),
        ("4g", 4_000_000_000),
        ("4gb", 4_000_000_000),
        ("1TiB", 2**40),
        ("0.1GB", 100_000_000),
        (" 7M ", 7_000_000),
    ],
)
def test_sizes(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "0", "-1GB", "1.GB", "1,5GB", "1e9", "nan", "1 XB", "4iB", "4Gi", "1GBps", "0.1B", "١GB"]
)
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match=r"^'.*' is not a size; write it as 1\.5GB, 300MiB, 4G or a number of bytes$"):
        parse_size(text)
