"""Digests that name configurations, inputs and layers of the cache."""

import hashlib
import json
from typing import Any

DIGEST_LENGTH = 12
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces, NaN refused."""
    return _CANONICAL.encode(value)


def digest_of(value: Any) -> str:
    """Return the first 12 hexadecimal digits of the sha256 of a JSON value; it names folders."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def sha256_of(data: bytes | memoryview) -> str:
    """Return the sha256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
