"""Whether the machines of a cluster see the same folders and files, and run the same versions."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.ray_nodes import cannot_work
from hsmix_gen.pipeline.execution.units import Failure
from hsmix_gen.pipeline.files import atomic_files, lease
from hsmix_gen.pipeline.files.local_mirror import address_of
from hsmix_gen.pipeline.files.store_paths import is_address, is_remote
from hsmix_gen.pipeline.sources.inventory import ImageOrigin
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError, SourceError
from hsmix_gen.stages.saliency.backend import backend_of

PATIENCE_S = 3.0
"""Seconds in which what one machine wrote has to be seen on another: network disks keep listings for a while."""
_LOOK_S = 0.2
_DEPTH = 20
_WAY_OUT = "put it on a disk that all nodes mount under this path, or into a store (s3://...)"

Ask = Callable[..., list[tuple[str, Any]]]
"""Calls a function on each machine and returns name and result of each, as `ray_nodes.on_each_node`."""


@dataclass(frozen=True)
class Canary:
    """A file that the driver wrote into a folder, which machines read and answer beside it."""

    path: Path
    token: str


@dataclass(frozen=True)
class Answer:
    """What a machine answers."""

    written: tuple[str, ...]
    """Names of its answers, one beside each canary that it saw."""
    unseen: tuple[tuple[int, str], ...]
    """Index and reason of each canary that it could not read or answer."""
    sizes: dict[str, int | None]
    """Size of each file that was asked for, None if it is not there."""
    versions: dict[str, str]


def check_nodes(
    ask: Ask,
    folders: Sequence[Path],
    files: Sequence[str],
    config: RunConfig,
    note: Callable[[str], None],
    layout: str = "",
) -> int:
    """Refuse machines that do not share folders and files with the driver, or have other versions.

    Parameters
    ----------
    ask : callable
    folders : sequence of Path
        Into which machines write.
    files : sequence of str
        Some of those that machines read.
    config : RunConfig
        Decides which versions matter.
    note : callable
        Called with differences that do not matter.
    layout : str
        Of the source: it decides which decoders matter; empty where it is not known yet.

    Returns
    -------
    int
        Number of machines.

    Raises
    ------
    OutputError, SourceError
        Naming the machine, the path and the way out.
    """
    sizes, names = file_sizes(files), relevant_versions(config, layout)
    with _canaries(folders) as canaries:
        answers = ask(look_around, canaries, list(sizes), names)
        for node, answer in answers:
            if isinstance(answer, Failure):
                raise OutputError(f"node {node} {cannot_work(answer.reason)}")
            _check_folders(node, answer, canaries)
            _check_files(node, answer.sizes, sizes)
    _check_versions(answers, names, note)
    return len(answers)


@dataclass(frozen=True)
class JoiningCheck:
    """What a machine that joins later has to share with the driver; it travels there and is checked by that machine."""

    leases: tuple[Canary, ...]
    """Files of the driver in folders into which machines write."""
    sizes: tuple[tuple[str, int], ...]
    """Files that machines read."""
    versions: tuple[tuple[str, str], ...]
    """Those that decide bytes."""

    @classmethod
    def of(cls, folders: Sequence[Path], files: Sequence[str], names: tuple[str, ...]) -> "JoiningCheck":
        """Return the check for a run whose folders the driver holds, and whose bytes named distributions decide."""
        tokens = {folder: lease.token_in(folder) for folder in folders}
        leases = [Canary(folder / lease.LEASE_FILE, token) for folder, token in tokens.items() if token is not None]
        sizes = [(path, size) for path, size in file_sizes(files).items() if size is not None]
        return cls(tuple(leases), tuple(sizes), tuple(_deciding_versions(names).items()))

    def __call__(self) -> str | None:
        """Return what is wrong with this machine, or None."""
        here = versions_here(tuple(name for name, _ in self.versions))
        other = _other_versions(here, dict(self.versions))
        if other:
            return other
        for canary in self.leases:
            try:
                _try_folder(canary)
            except OSError as error:
                return _unshared(canary.path.parent, error.strerror or str(error))
        sizes = file_sizes([path for path, _ in self.sizes])
        for path, size in self.sizes:
            if sizes[path] != size:
                return f"sees {sizes[path] or 0} bytes of {path}, the driver {size}; {_WAY_OUT}"
        return None


def look_around(canaries: Sequence[Canary], files: Sequence[str], names: tuple[str, ...]) -> Answer:
    """Return what this machine sees, and answer each canary with a file beside it (runs on every machine)."""
    written, unseen = [], []
    for index, canary in enumerate(canaries):
        try:
            written.append(_answered(canary))
        except OSError as error:
            unseen.append((index, error.strerror or str(error)))
    return Answer(tuple(written), tuple(unseen), file_sizes(files), versions_here(names))


def file_sizes(paths: Sequence[str]) -> dict[str, int | None]:
    """Return the size of each file, None of what is not there; what is staged every machine fetches by itself."""
    sizes: dict[str, int | None] = {}
    for path in paths:
        if is_address(path) or address_of(path) is not None:
            continue
        try:
            sizes[path] = Path(path).stat().st_size
        except OSError:
            sizes[path] = None
    return sizes


def versions_here(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of this machine: those that runs record, and the named distributions."""
    return {**versions.versions_of(names), **versions.environment()}


def relevant_versions(config: RunConfig, layout: str = "") -> tuple[str, ...]:
    """Return the distributions that decide bytes of a run."""
    saliency = backend_of(config.saliency).libraries
    return tuple(dict.fromkeys((*versions.decoding(layout), *versions.SUPERPIXELS, *saliency, *versions.SHARDS)))


def ends_of(source: Path) -> list[str]:
    """Return the first and the last file of a folder, each found by going down; of a file itself."""
    if is_remote(source):
        return []
    if source.is_file():
        return [str(source)]
    ends = [next(_files(source, last=last), None) for last in (False, True)]
    return list(dict.fromkeys(filter(None, ends)))


def files_of(places: Sequence[ImageOrigin]) -> list[str]:
    """Return the files of the first and the last item."""
    items = [place.item for place in (*places[:1], *places[-1:])]
    contents = [content for item in items for content in (item.image, item.mask)]
    return list(dict.fromkeys(path for content in contents for path in (*content.paths, content.body) if path))


def given_files(config: RunConfig) -> list[str]:
    """Return files that options name, which machines read too."""
    folders = [folder for folder in (config.saliency.folder, config.superpixels.folder) if folder]
    maps = [file for folder in folders if not is_address(folder) for file in ends_of(Path(folder))]
    return [*maps, *([config.saliency.weights] if config.saliency.weights else [])]


@contextmanager
def _canaries(folders: Sequence[Path]) -> Iterator[list[Canary]]:
    """Write a file of random content into each folder; it and the answers are gone afterwards."""
    name = f"{atomic_files.TEMPORARY}canary-{secrets.token_hex(8)}"
    canaries = [Canary(folder / name, secrets.token_hex(16)) for folder in dict.fromkeys(folders)]
    try:
        for canary in canaries:
            atomic_files.write_whole(canary.path, canary.token.encode())
        yield canaries
    finally:
        for canary in canaries:
            with suppress(OSError):
                for path in [path for path in canary.path.parent.glob(f"{name}*") if path.name.startswith(name)]:
                    path.unlink(missing_ok=True)


def _answered(canary: Canary) -> str:
    """Write the answer to a canary and return its name."""
    if _seen(canary.path) != canary.token.encode():
        raise OSError(0, "another file has its name there")
    path = canary.path.with_name(f"{canary.path.name}-{secrets.token_hex(8)}")
    atomic_files.write_whole(path, path.name.encode())
    return path.name


def _try_folder(canary: Canary) -> None:
    """Read a file of the driver, and write one beside it that is removed again."""
    deadline = time.monotonic() + PATIENCE_S
    # It is replaced again and again, and network disks show the one before for a while.
    while canary.token.encode() not in _seen(canary.path):
        if time.monotonic() > deadline:
            raise OSError(0, "another driver has written there")
        time.sleep(_LOOK_S)
    probe = canary.path.with_name(f"{atomic_files.TEMPORARY}probe-{secrets.token_hex(6)}")
    try:
        probe.write_bytes(b"")
    finally:
        probe.unlink(missing_ok=True)


def _seen(path: Path) -> bytes:
    """Return a file that another machine has just written."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)


def _check_folders(node: str, answer: Answer, canaries: Sequence[Canary]) -> None:
    for index, reason in answer.unseen:
        raise OutputError(f"node {node} {_unshared(canaries[index].path.parent, reason)}")
    for canary, name in zip(canaries, answer.written, strict=True):
        try:
            same = _seen(canary.path.with_name(name)) == name.encode()
        except OSError:
            same = False
        if not same:
            raise OutputError(
                f"node {node} writes to {canary.path.parent}, but the driver does not see it there; {_WAY_OUT}"
            )


def _check_files(node: str, there: Mapping[str, int | None], here: Mapping[str, int | None]) -> None:
    for path, size in here.items():
        if there[path] != size and size is not None:
            held = "does not see it" if there[path] is None else f"sees {there[path]} bytes"
            raise SourceError(f"{path} has {size} bytes for the driver, but node {node} {held}; {_WAY_OUT}")


def _check_versions(answers: Sequence[tuple[str, Answer]], names: tuple[str, ...], note: Callable[[str], None]) -> None:
    deciding, here = _deciding_versions(names), versions_here(names)
    differing = []
    for node, answer in answers:
        other = _other_versions(answer.versions, deciding)
        if other:
            raise OutputError(f"node {node} {other}")
        differences = [name for name, value in here.items() if answer.versions.get(name) != value]
        differing += [f"node {node} has {name} {answer.versions.get(name)}, here {here[name]}" for name in differences]
    if differing:
        note(f"versions differ, which no byte depends on: {'; '.join(differing)}")


def _deciding_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of this machine that decide bytes."""
    here = versions_here(names)
    # Sums of floats end differently on another kind of processor.
    return {name: here[name] for name in ("machine", *names)}


def _other_versions(there: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """Return what is wrong with a machine that has other versions."""
    listed = [
        f"{name} {there.get(name)} (here {version})" for name, version in here.items() if there.get(name) != version
    ]
    if not listed:
        return None
    return (
        f"would give other bytes, as it has {', '.join(listed)}; install the same versions on all nodes, "
        "or take it out of the cluster"
    )


def _unshared(folder: Path, reason: str) -> str:
    """Return what is wrong with a machine that does not see a folder of the driver."""
    return (
        f"does not share {folder} with the driver: what was written there cannot be read or answered ({reason}); "
        f"{_WAY_OUT}"
    )


def _files(folder: Path, *, last: bool, depth: int = 0) -> Iterator[str]:
    """Yield the files below a folder in the order of names, or the last first; hidden ones are left out."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name, reverse=last)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry.path
        elif entry.is_dir() and depth < _DEPTH:
            yield from _files(Path(entry.path), last=last, depth=depth + 1)
