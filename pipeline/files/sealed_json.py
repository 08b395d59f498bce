"""JSON files of the program's own state that state their own checksum, so that a changed value is no value."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.digests import sha256_of

SEAL = "sealed"
"""Key of the checksum. What earlier versions wrote lacks it, and is taken as it is."""


def write_sealed(path: Path, value: Any, *, as_dict: Callable[[Any], dict[str, Any]] | None = None) -> None:
    """Write a value that is a JSON object, whole or absent, with its checksum.

    It stands in one line, as breaking lines takes Python's slow encoder.

    Parameters
    ----------
    path : Path
    value : dict, or a record
    as_dict : callable, optional
        Makes an object of a record, and of those inside.
    """
    text = json.dumps(value, default=as_dict, sort_keys=True, allow_nan=False)
    seal = sha256_of(text.encode())
    atomic_files.write_whole(path, f'{text.removesuffix("}")}, "{SEAL}": "{seal}"}}\n'.encode())


def unsealed(data: bytes) -> dict[str, Any]:
    """Return the object in a file without its seal.

    Raises
    ------
    ValueError
        If it is no JSON object, or does not match its seal.
    """
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__} and no object")  # noqa: TRY004 - as for what is no JSON
    seal = value.pop(SEAL, None)
    if seal is not None and seal != sha256_of(json.dumps(value, sort_keys=True).encode()):
        raise ValueError("it does not match its checksum")
    return value
