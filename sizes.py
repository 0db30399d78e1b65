"""Sizes in bytes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([KMGT]?)(I?B)?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of ``text``, such as "1.5GB", "300 MiB", "4G" or "1000000".

    kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024. A prefix alone means the power of 1000, and a
    plain number bytes. Case does not matter. Raises ValueError for anything else, and for less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else f"{match[2]}{match[3] or ('B' if match[2] else '')}".upper()
    size = 0 if match is None or unit not in _UNITS else int(Decimal(match[1]) * _UNITS[unit])
    if size < 1:
        raise ValueError(f"{text!r} is not a size; write it as 1.5GB, 300MiB, 4G or a number of bytes")
    return size
