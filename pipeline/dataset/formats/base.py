"""What an output format has to offer, and what the formats share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import FORMATS
from hsmix_gen.schemas.records import FileRecord

Members = dict[str, bytes]
"""Encoded members of a sample by name."""
Columns = Mapping[str, Callable[[], bytes]]
"""What tables hold of a sample in their own way, made on demand: ``soft``, and ``preview`` where it is wanted."""
_MAX_REASON = 160
_WAY_OUT = "copy the file again, or run the command again that made the dataset"
_LAST = 99


@dataclass(frozen=True)
class Written:
    """A finished shard: its files in all formats and the keys of its samples in order."""

    split: str
    files: tuple[FileRecord, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """A sample as it lies in a dataset."""

    key: str
    file: str
    """Path in the dataset of the file that holds its image."""
    index: int
    """Place in its shard; 0 in a format without shards."""
    members: Members

    @property
    def image(self) -> bytes:
        """The member that holds the image."""
        return next(data for name, data in self.members.items() if name.startswith("image."))


@dataclass(frozen=True)
class TableForm:
    """What tables hold of the samples of a dataset, as `schemas.tables.shard_schema` takes it."""

    image_is_png: bool
    names_methods: bool = False
    has_previews: bool = False


class ShardWriter(ABC):
    """Takes the samples of one shard in order; files appear under their final names at `finish` only."""

    @abstractmethod
    def add(self, key: str, members: Members, columns: Columns) -> None:
        """Add one sample: its encoded members, and what only tables hold of it."""

    @abstractmethod
    def finish(self) -> dict[Path, str | None]:
        """Close and publish the files; return their final paths, with their md5 where an index names it."""

    @abstractmethod
    def abandon(self) -> None:
        """Remove what was written so far."""


class FileShard(ShardWriter):
    """A shard that is one file, written under a temporary name first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = atomic_files.temporary_beside(path)

    @abstractmethod
    def close(self) -> None:
        """Write what is left, and close the file."""

    def md5(self) -> str | None:
        """Return the md5 of the closed file where an index names it."""
        return None

    def finish(self) -> dict[Path, str | None]:
        """Close and publish the file."""
        self.close()
        md5 = self.md5()
        atomic_files.publish(self._temporary, self._path)
        return {self._path: md5}

    def abandon(self) -> None:
        """Remove the temporary file."""
        self.close()
        self._temporary.unlink(missing_ok=True)


class SampleReader(ABC):
    """The samples of a split by shard and number, still encoded; made for loaders, safe to fork and to pickle.

    Parameters
    ----------
    root : Path
        Folder of the dataset, on a disk.
    files : sequence of Path
        Its shards.
    keys : sequence of sequence of str
        Keys of the samples of each shard, as the manifest has them.
    described : mapping
        ``dataset.json``.
    """

    def __init__(
        self, root: Path, files: Sequence[Path], keys: Sequence[Sequence[str]], described: Mapping[str, Any]
    ) -> None:
        self._root, self._files, self._keys, self._described = root, files, keys, described

    @abstractmethod
    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample."""

    def file(self, shard: int, index: int, part: str = "image") -> Path:  # noqa: ARG002 - a shard holds them all
        """Return where a part of a sample lies."""
        return self._files[shard]

    def keep(self, count: int) -> None:  # noqa: B027 - most read every sample alone
        """Expect that `count` neighbours are asked for in any order."""


class Format(ABC):
    """An output format."""

    reader: ClassVar[type[SampleReader]]
    """Gives samples by number."""
    holds_shards: ClassVar[bool] = True
    """Whether a file holds all samples of a shard, and not a part of one sample."""
    rank: ClassVar[int] = _LAST
    plain_rank: ClassVar[int] = _LAST
    hub_rank: ClassVar[int] = _LAST
    """Of several formats of a dataset the one of lowest rank is read: in order, by number, and by the HF hub."""
    hub_files: ClassVar[str]
    """Pattern of the files of a split for the hub."""
    snippet: ClassVar[str]
    stream: ClassVar[str]
    plain: ClassVar[str]
    """Templates for the card: how the format is read as its users do, and in a torch loader in order and by number."""
    is_for_monai: ClassVar[bool] = False
    """Whether `snippet` trains with MONAI already."""

    @abstractmethod
    def writer(self, root: Path, split: str, number: int, total: int, form: TableForm) -> ShardWriter:
        """Return what writes shard `number` of `total` of a split into a dataset."""

    @abstractmethod
    def in_order(self, root: Path, file: str, described: Mapping[str, Any]) -> Iterator[Stored]:
        """Yield the samples of a file of a dataset in order, whatever the manifest says; all members are there."""

    def files_beside(self, file: str, members: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - all in one
        """Return the files that `in_order` reads for a file; none where another file stands for its samples."""
        return (file,)

    def stored(self, members: Members, columns: Columns) -> Members:  # noqa: ARG002 - most store members
        """Return the members of a sample as this format stores them."""
        return members

    def n_files(self, n_shards: int, n_samples: int, members: Sequence[str]) -> int:  # noqa: ARG002 - one each
        """Return how many files some shards and samples take."""
        return n_shards

    def indexes(self, dataset: Mapping[str, Any], shards: Sequence[Written]) -> dict[str, Any]:  # noqa: ARG002
        """Return lists of samples or shards that readers of the format ask for: JSON values by path."""
        return {}

    def hub_columns(self, dataset: Mapping[str, Any]) -> list[dict[str, Any]] | None:  # noqa: ARG002 - files say it
        """Return how the hub decodes columns, where the files do not say so."""
        return None


def format_of(name: str) -> Format:
    """Return the output format of a name."""
    return cast(Format, FORMATS.module(name).FORMAT)


def best_format(names: Iterable[str], rank: str = "rank") -> str:
    """Return the format of a dataset with the lowest rank of a kind."""
    return min(names, key=lambda name: (getattr(format_of(name), rank), name))


@contextmanager
def naming_sample(file: Path | str, key: str, otherwise: str = "is damaged") -> Iterator[None]:
    """Turn whatever is raised for a sample into an ``OutputError`` of one line.

    Parameters
    ----------
    file : Path or str
        Where the sample lies.
    key : str
        Its key. An ``OutputError`` that is raised within goes on from it: ``is not in it``.
    otherwise : str
        How the line goes on where a library raised something.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise OutputError(f"{file}: sample {key} {_said(error, otherwise)}; {_WAY_OUT}") from None


def _said(error: Exception, otherwise: str) -> str:
    if isinstance(error, OutputError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    lines = str(error).strip().splitlines()
    reason = " ".join(lines[0][:_MAX_REASON].split()) if lines else ""
    return f"{otherwise} ({type(error).__name__}{reason and f': {reason}'})"
