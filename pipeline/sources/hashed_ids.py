"""Ids that identify nobody: hashes in place of names, and the map that undoes them, which is kept apart."""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import Refusal, SourceItem, without_names

_DIGITS = 12
# What a key may hold at most, as BLAKE2 takes it.
_KEY_BYTES = 64


def read_key(config: SourceConfig) -> bytes:
    """Return the secret that keys the hashes, empty without a file.

    Raises
    ------
    ConfigError
        If the file cannot be read or is empty.
    """
    if config.id_key is None:
        return b""
    try:
        key = Path(config.id_key).read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"--id-key {config.id_key} cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    if not key:
        raise ConfigError(f"--id-key {config.id_key} is empty; put a secret of your own into it")
    return hashlib.blake2b(key, digest_size=_KEY_BYTES).digest()


def hash_of(name: str, kind: str, key: bytes) -> str:
    """Return the hash of a name as an id: a letter for its kind and 12 hexadecimal digits."""
    digest = hashlib.blake2b(f"{kind}:{name}".encode("utf-8", "surrogateescape"), digest_size=_DIGITS // 2, key=key)
    return kind[0] + digest.hexdigest()


def hidden_items(items: Iterable[SourceItem], key: bytes) -> list[SourceItem]:
    """Return the items under hashed ids and groups; messages about them name the hash (`SourceItem.without_hidden`)."""
    return [
        dataclasses.replace(
            item,
            id=hash_of(item.id, "source", key),
            group=None if item.group is None else hash_of(item.group, "group", key),
            hidden=(item.id, *(() if item.group is None else (item.group,))),
        )
        for item in items
    ]


def hidden_refusals(refusals: Iterable[Refusal], key: bytes) -> list[Refusal]:
    """Return refusals under hashed ids, without paths; reasons keep the rule, which stands after the last name."""
    hidden = []
    for refusal in refusals:
        hashed, path = hash_of(refusal.id, "source", key), Path(refusal.path)
        reason = without_names(refusal.reason, {refusal.path, path.name, path.stem, refusal.id}, hashed)
        hidden.append(Refusal(hashed, hashed, refusal.stage, reason))
    return hidden


def write_map(path: Path, items: Sequence[SourceItem], refusals: Sequence[Refusal], key: bytes) -> None:
    """Write the map, whole or absent, readable by its owner only.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    rows = [(hash_of(item.id, "source", key), item.id, item.group or "", item.image.uri) for item in items]
    rows += [(hash_of(refusal.id, "source", key), refusal.id, "", refusal.path) for refusal in refusals]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("hash", "id", "group", "path"), *sorted(rows)])
    try:
        atomic_files.write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"--id-map {path} cannot be written ({error.strerror}); choose another file") from None
