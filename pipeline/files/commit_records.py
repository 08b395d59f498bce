"""Records of finished units of work: a unit counts only with its record, and while its files match it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.sealed_json import unsealed, write_sealed
from hsmix_gen.schemas.errors import HsmixError
from hsmix_gen.schemas.records import BlockRecord, ShardRecord, columns_of, record_of

R = TypeVar("R", BlockRecord, ShardRecord)


class CommitRecords(Generic[R]):
    """A folder of records, a JSON file each; the driver alone writes into it.

    Parameters
    ----------
    folder : Path
    root : Path
        Folder of the dataset or cache, in which the files lie.
    kind : type
        Of the records.
    error : type
        Raised where files do not match.
    """

    def __init__(self, folder: Path, root: Path, kind: type[R], error: type[HsmixError]) -> None:
        self._folder, self._root, self._error = folder, root, error
        self._kind: type[R] = kind

    def paths(self, inside: str = "") -> list[Path]:
        """Return the files of all records, or of those in one folder inside, sorted."""
        return atomic_files.finished_files(self._folder / inside, ".json")

    def stated(self, inside: str = "") -> Iterator[R]:
        """Yield the records that can be read, whatever their files hold; nothing is removed."""
        paths = self.paths(inside)
        for path, data in zip(paths, atomic_files.read_all(paths), strict=True):
            record = self.parsed(data)
            if record is not None and self._path(record) == path:
                yield record

    def sound(self, inside: str = "") -> Iterator[R]:
        """Yield the records whose files match them; others are removed."""
        paths = self.paths(inside)
        records = [self.parsed(data) for data in atomic_files.read_all(paths)]
        files = [file for record in records if record is not None for file in record.files]
        matched = {file for file, right in zip(files, atomic_files.all_match(files, self._root), strict=True) if right}
        for path, record in zip(paths, records, strict=True):
            # A record that was copied about speaks of files that are sound, but of another unit.
            if record is not None and self._path(record) == path and matched.issuperset(record.files):
                yield record
            else:
                path.unlink()

    def parsed(self, data: bytes) -> R | None:
        """Return the record in a file; None of a damaged one."""
        try:
            return record_of(self._kind, unsealed(data))
        except ValueError:
            return None

    def commit(self, record: R) -> None:
        """Write the record that makes a unit count, after checking its files.

        Raises
        ------
        HsmixError
            If a file does not match.
        """
        for file in record.files:
            if not atomic_files.matches(file, self._root):
                raise self._error(
                    f"{self._root / file.path} does not match what its worker wrote; is the disk shared and sound?"
                )
        write_sealed(self._path(record), record, as_dict=columns_of)

    def _path(self, record: R) -> Path:
        return self._folder / f"{record.name}.json"
