"""What an output is bound to: options and sources of its first run, and of each run that extended it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.state_names import SHARD_RECORDS, STATE
from hsmix_gen.pipeline.files.tables import read_sources, write_sources
from hsmix_gen.pipeline.sources.source_records import SOURCES_FILE, describe_difference
from hsmix_gen.schemas.config import RunConfig, named_key
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.presets import CONTROLS, PRESETS, PROFILES, Preset
from hsmix_gen.schemas.records import SourceRecord
from hsmix_gen.stages.planning.pairing import Generation

COPIES = "mix.copies"
SPLITS_AND_GROUPS = "splits and groups"
LAYER = "layer of "
"""How names of layers begin in an identity."""
EXTENSION = "extension-"
"""How names of folders begin that hold what an extension added: in the state of an output, in a cache."""
FEATURES = "features"
"""Where in the cache the features of an extension lie; not compared, as the names of the layers are."""
NAMED: Mapping[str, Mapping[str, Preset]] = {"preset": PRESETS, "profile": PROFILES, "control": CONTROLS}
"""Keys that name sets of values; not compared, as the values are, but named where these differ for them."""
_SALIENCY = "saliency."
_OF_FEATURES = ("source.", "volume.", "image.", "superpixels.", _SALIENCY, "seed")
OTHERWISE_MADE = (
    "another version of hsmix-gen or a library, another device, or other weights or maps; run.json states the versions"
)
"""Why features of the same sources and options have another name."""
_FILE = "identity.json"
_BEGUN = "begun.json"
"""Options of a run that makes features and has not begun to mix."""
_LIMIT = "source.limit"
_SHOWN = 6
_WAYS_OUT = "choose another folder, or start anew with --fresh"


@dataclass(frozen=True)
class RunIdentity:
    """What one run bound an output to."""

    identity: dict[str, Any]
    """Flat: everything that decides the bytes besides the sources."""
    records: list[SourceRecord]
    """All sources, refused ones too."""

    @property
    def features(self) -> str:
        """Folder of the features in the cache; empty for the cache itself."""
        return str(self.identity.get(FEATURES, ""))

    @property
    def copies(self) -> int:
        """Copies of each training image."""
        return int(self.identity[COPIES])

    def generation(self, sources: Sequence[SourceRecord]) -> Generation:
        """Return what was mixed, as rows of `sources`."""
        used = {record.id for record in self.records if record.refusal is None}
        return Generation(np.array([source.id in used for source in sources]), self.copies)


class Bindings:
    """What the runs of an output bound it to, oldest first.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    anew : bool
        Whether what lies there counts as not there.
    """

    def __init__(self, root: Path, *, anew: bool = False) -> None:
        self._root, self._state, self._anew = root, root / STATE, anew
        self._read: list[RunIdentity] | None = [] if anew else None

    def read(self) -> list[RunIdentity]:
        """Return what the output is bound to, read from the disk once; nothing of a new one.

        Raises
        ------
        OutputError
            If a file is damaged or missing, with the ways out.
        """
        if self._read is not None:
            return self._read
        found: list[RunIdentity] = []
        while (_folder(self._state, len(found)) / _FILE).is_file():
            found.append(self._bound(_folder(self._state, len(found))))
        if not found and any(atomic_files.finished_files(self._state / SHARD_RECORDS, ".json")):
            raise OutputError(f"{self._state / _FILE} is missing, so that changed options are unknown; {_WAYS_OUT}")
        self._read = found
        return found

    def check(
        self,
        identity: dict[str, Any],
        records: Sequence[SourceRecord],
        *,
        extend: bool = False,
        is_complete: Callable[[], bool],
    ) -> None:
        """Refuse to go on with a dataset that was begun with something else.

        Parameters
        ----------
        identity : dict
            As in `RunIdentity`.
        records : sequence of SourceRecord
            All sources, as they are now.
        extend : bool
            Whether more copies and more sources are wanted.
        is_complete : callable
            Returns whether the dataset is finished as it is bound.

        Raises
        ------
        OutputError
            The message states the difference and the ways out.
        """
        bounds = self.read()
        if not bounds:
            differences = [text for _, text in _different(self._begun or _options(identity), _options(identity))]
            if differences:
                raise OutputError(f"{self._root} was begun differently: {_listed(differences)}; {_WAYS_OUT}")
            return
        differences = _differences(bounds[-1], identity, records)
        if not differences:
            return
        foreign = _foreign(bounds[-1], identity, records)
        if not extend:
            way = "" if foreign else "add to it with --extend, "
            raise OutputError(f"{self._root} was begun differently: {_listed(differences)}; {way}{_WAYS_OUT}")
        if foreign:
            raise OutputError(
                f"{self._root} can be extended by copies and sources, not by other changes: {_listed(foreign)}; "
                f"take them back, {_WAYS_OUT}"
            )
        if not is_complete():
            raise OutputError(
                f"{self._root} is not finished, so that it cannot be extended ({_listed(differences)}); "
                "finish it first with the command that it was last written with, or start anew with --fresh"
            )

    @property
    def options(self) -> Mapping[str, Any]:
        """What the output was last bound to, or is begun with; nothing of a new one."""
        bounds = self.read()
        return bounds[-1].identity if bounds else self._begun or {}

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the output was not begun with, before a source is read; `check` refuses all the rest.

        Raises
        ------
        OutputError
        """
        before = self.options or options
        chosen = {key: value for key, value in options.items() if key != COPIES and not _follows_from_sources(key)}
        same_keys = {key: before.get(key) for key in chosen if key in before or key not in NAMED}
        differences = [text for _, text in _different(same_keys, chosen)]
        if differences:
            raise OutputError(f"{self._root} was begun differently: {_listed(differences)}; {_WAYS_OUT}")

    def hold(self, identity: dict[str, Any], records: Sequence[SourceRecord]) -> bool:
        """Return whether the last run bound the output to this."""
        bounds = self.read()
        return bool(bounds) and not _differences(bounds[-1], identity, records)

    def begin(self, identity: dict[str, Any]) -> None:
        """Keep the options of a new output while its features are made, so that a stop is not followed by others."""
        if not self.read():
            atomic_files.write_json(self._state / _BEGUN, _options(identity))

    def withdraw(self) -> None:
        """Let other options follow: the run ended by itself, before anything was mixed."""
        (self._state / _BEGUN).unlink(missing_ok=True)

    def trial(self, options: Mapping[str, Any]) -> int | None:
        """Return the limit of a trial which these options go beyond, in nothing else than their limit; None otherwise.

        Parameters
        ----------
        options : mapping
            Those that decide the bytes, by ``section.key``.
        """
        before = self.options
        limit, now = before.get(_LIMIT), options.get(_LIMIT)
        same = all(before.get(key) == value for key, value in options.items() if key not in (_LIMIT, *NAMED))
        return limit if limit is not None and (now is None or now > limit) and same else None

    @property
    def _begun(self) -> dict[str, Any] | None:
        if self._anew:
            return None
        try:
            begun = _completed(atomic_files.read_json(self._state / _BEGUN))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return begun if isinstance(begun, dict) else None

    def bind(self, identity: dict[str, Any], records: Sequence[SourceRecord]) -> None:
        """Bind the output to what decides the bytes of its shards, before the first of them is written."""
        folder = _folder(self._state, len(self.read()))
        write_sources(folder / SOURCES_FILE, records)
        # Last, because it makes the binding count.
        atomic_files.write_json(folder / _FILE, identity)
        self.withdraw()
        self._read = None

    def pinned(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        """Return the records with the refusals that the output was bound with, on which its plan depends.

        Raises
        ------
        OutputError
            If a source that is mixed is refused now.
        """
        bounds = self.read()
        known = {record.id: record for record in bounds[-1].records} if bounds else {}
        result = []
        for record in records:
            before = known.get(record.id, record)
            if before.refusal is None and record.refusal is not None:
                raise OutputError(
                    f"{record.image} is used by {self._root} and is refused now ({record.refusal}); "
                    f"bring it back as it was, {_WAYS_OUT}"
                )
            result.append(dataclasses.replace(record, refusal=before.refusal))
        return result

    def _bound(self, folder: Path) -> RunIdentity:
        try:
            identity = _completed(atomic_files.read_json(folder / _FILE))
        except ValueError:
            identity = None
        if not isinstance(identity, dict) or not isinstance(identity.get(COPIES), int):
            raise OutputError(f"{folder / _FILE} is damaged, so that changed options are unknown; {_WAYS_OUT}")
        try:
            return RunIdentity(identity, read_sources(folder / SOURCES_FILE))
        except FileNotFoundError:
            raise OutputError(
                f"{folder / SOURCES_FILE} is missing, so that changed sources are unknown; {_WAYS_OUT}"
            ) from None


def _folder(state: Path, number: int) -> Path:
    """Return where the binding of an extension lies, or of the first run."""
    return state / f"{EXTENSION}{number:06d}" if number else state


def kept_sources(root: Path) -> list[SourceRecord]:
    """Return the sources that an output is made of by now; none where it was copied without its state.

    Raises
    ------
    OutputError
        If their table is damaged.
    """
    state, number = root / STATE, 0
    while (_folder(state, number + 1) / _FILE).is_file():
        number += 1
    try:
        return read_sources(_folder(state, number) / SOURCES_FILE)
    except FileNotFoundError:
        return []


def gained(bound: RunIdentity, records: Sequence[SourceRecord]) -> list[str]:
    """Return the ids of sources that are used now and were refused when an output was bound, or were not there."""
    used = {record.id for record in bound.records if record.refusal is None}
    return [record.id for record in records if record.refusal is None and record.id not in used]


def _differences(bound: RunIdentity, identity: dict[str, Any], records: Sequence[SourceRecord]) -> list[str]:
    """Return in words how options and sources differ from what was bound."""
    changed = describe_difference(bound.records, records)
    if not changed and (new := gained(bound, records)):
        changed = f"{len(new)} not refused any more ({', '.join(new[:_SHOWN])})"
    options = [
        text for key, text in _different(bound.identity, identity) if not (changed and _follows_from_sources(key))
    ]
    return [f"sources: {changed}", *options] if changed else options


def _foreign(bound: RunIdentity, identity: dict[str, Any], records: Sequence[SourceRecord]) -> list[str]:
    """Return in words what differs from what was bound beyond more copies and more sources."""
    refused = {record.id for record in bound.records if record.refusal is not None}
    now = {record.id: record for record in records}
    kept = [record for record in bound.records if record.id not in refused]
    changed = describe_difference(kept, [now[record.id] for record in kept if record.id in now])
    moved = [r.id for r in kept if r.id in now and _home(r) != _home(now[r.id])]
    differences = [f"sources: {changed}"] if changed else []
    differences += [f"split, fold or group of {len(moved)} sources, first {moved[0]}"] if moved else []
    are_other = bool(gained(bound, records)) or len(now) != len(bound.records)
    allowed = identity.get(COPIES, 0) >= bound.identity[COPIES]
    return differences + [
        text
        for key, text in _different(bound.identity, identity)
        if not (are_other and _follows_from_sources(key)) and not (key == COPIES and allowed)
    ]


def _follows_from_sources(key: str) -> bool:
    return key.startswith(LAYER) or key in (SPLITS_AND_GROUPS, "source.limit")


def _home(record: SourceRecord) -> tuple[str, int | None, str]:
    return record.split, record.fold, record.group


def _listed(differences: Sequence[str]) -> str:
    more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return "; ".join(differences[:_SHOWN]) + more


def _different(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the keys that differ, and how in words: first the names of sets of values, in place of these values."""
    keys = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in (FEATURES, *NAMED)
    ]
    if any(key.startswith(_OF_FEATURES) for key in keys):  # other features follow
        keys = [key for key in keys if not key.startswith(LAYER)]
    if _follows_from_mixing(before, now, keys):
        keys = [key for key in keys if not key.startswith(_SALIENCY)]
    found = []
    for name, known in NAMED.items():
        # Of an output that was begun before its names were kept none is known.
        if name in before and before[name] != now.get(name):
            ends: tuple[str | None, str | None] = (before[name], now.get(name))
            explained = {key for end in ends if end is not None and end in known for key in known[end].values}
            if not explained.isdisjoint(keys):
                found.append((name, f"{_change(name, *ends)} ({_way_back(name, *ends)})"))
                keys = [key for key in keys if key not in explained]
    return found + [(key, _change(key, before.get(key), now.get(key))) for key in keys]


def _follows_from_mixing(before: dict[str, Any], now: dict[str, Any], keys: Sequence[str]) -> bool:
    """Return whether only one of two has maps because of how they mix: none are made where no sample reads any."""
    has_none = "none" in (before.get(_SALIENCY + "backend"), now.get(_SALIENCY + "backend"))
    return has_none and any(key.startswith("mix.") and key != COPIES for key in keys)


def _change(key: str, before: Any, now: Any) -> str:
    why = f" ({OTHERWISE_MADE})" if key.startswith(LAYER) else ""
    return f"{named_key(key)} was {_text(before)}, is {_text(now)}{why}"


def _way_back(name: str, before: str | None, now: str | None) -> str:
    return f"leave out --{name} {now}" if before is None else f"give --{name} {before} again"


def _completed(identity: Any) -> Any:
    """Return what an output was bound to, options that were not known then with their defaults."""
    if not isinstance(identity, dict):
        return identity
    return {**{key: value for key, value in RunConfig().of_bytes().items() if "." in key}, **identity}


def _options(identity: dict[str, Any]) -> dict[str, Any]:
    """Return what a user chose, and versions; not what follows from the sources."""
    return {
        key: v for key, v in identity.items() if key not in (SPLITS_AND_GROUPS, FEATURES) and not key.startswith(LAYER)
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_text(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
