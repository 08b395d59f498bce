"""A file under its final name is whole; what does not match its record is found."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.schemas.records import FileRecord


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path: Path) -> None:
    atomic_files.write_whole(tmp_path / "a" / "b.bin", b"data")

    assert (tmp_path / "a" / "b.bin").read_bytes() == b"data"
    assert names(tmp_path / "a") == ["b.bin"]


def test_a_file_is_replaced_as_a_whole_and_its_reader_keeps_the_old_one(tmp_path: Path) -> None:
    atomic_files.write_whole(tmp_path / "f", b"a long first text")
    with (tmp_path / "f").open("rb") as reader:
        atomic_files.write_whole(tmp_path / "f", b"new")
        assert reader.read() == b"a long first text"
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()

    with pytest.raises(OSError, match="directory"):
        atomic_files.write_whole(tmp_path / "f", b"data")

    assert names(tmp_path) == ["f"]


def test_an_error_names_the_file_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows the temporary name, and it is gone when the message is read."""
    read_only = tmp_path / "report.html"

    def refused(path: Path, data: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refused)

    with pytest.raises(PermissionError) as raised:
        atomic_files.write_whole(read_only, b"data")
    assert raised.value.filename == str(read_only)


def test_until_it_is_published_a_file_has_another_name_in_the_same_folder(tmp_path: Path) -> None:
    """And another one for each writer."""
    path = tmp_path / "sub" / "shard.tar"
    temporary = atomic_files.temporary_beside(path)
    temporary.write_bytes(b"half")
    assert temporary.parent == path.parent
    assert not path.exists()
    assert temporary.name.startswith(atomic_files.TEMPORARY)
    assert atomic_files.temporary_beside(path) != temporary
    atomic_files.publish(temporary, path)
    assert names(path.parent) == ["shard.tar"]


def test_json_is_sorted_and_ends_with_a_line(tmp_path: Path) -> None:
    atomic_files.write_json(tmp_path / "f.json", {"b": [1], "a": None})

    assert (tmp_path / "f.json").read_text() == '{\n  "a": null,\n  "b": [\n    1\n  ]\n}\n'
    assert atomic_files.read_json(tmp_path / "f.json") == {"a": None, "b": [1]}


def test_a_number_that_json_lacks_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic_files.write_json(tmp_path / "f.json", float("nan"))

    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_a_checksum_covers_the_whole_file(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    (tmp_path / "f").write_bytes(data)

    assert atomic_files.sha256_of_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()


def test_a_record_states_path_size_and_checksum(tmp_path: Path) -> None:
    atomic_files.write_whole(tmp_path / "a" / "f", b"abc")

    assert atomic_files.file_record(tmp_path / "a" / "f", tmp_path) == FileRecord(
        "a/f", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize(
    ("now", "expected"), [(b"abc", True), (b"abd", False), (b"ab", False), (b"", False), (None, False)]
)
def test_a_file_matches_its_record_only_as_it_was(tmp_path: Path, now: bytes | None, expected: bool) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    record = atomic_files.file_record(path, tmp_path)

    path.unlink()
    if now is not None:
        path.write_bytes(now)

    assert atomic_files.matches(record, tmp_path) is expected


def test_what_dead_attempts_left_is_removed_everywhere(tmp_path: Path) -> None:
    atomic_files.write_whole(tmp_path / "a" / "keep", b"1")
    for path in (tmp_path / "x", tmp_path / "a" / "y"):
        atomic_files.temporary_beside(path).write_bytes(b"half")

    atomic_files.remove_temporaries(tmp_path)

    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["keep"]
    atomic_files.remove_temporaries(tmp_path / "none")
    assert names(tmp_path) == ["a"]


def test_the_folder_of_a_published_file_can_be_listed_by_all(tmp_path: Path) -> None:
    """A file made by ``mkstemp`` would be private to its owner; a dataset is for others too."""
    before = os.umask(0o022)
    try:
        atomic_files.write_whole(tmp_path / "f", b"1")
    finally:
        os.umask(before)

    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


def test_sizes_are_reported_by_paths_in_the_folder(tmp_path: Path) -> None:
    """Links are followed, as by whoever reads the files."""
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "b.bin").write_bytes(b"four")
    (tmp_path / "out" / "c").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d").write_bytes(b"12")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "broken").symlink_to(tmp_path / "nothing")

    assert atomic_files.sizes_below(tmp_path / "out") == {"a/b.bin": 4, "c": 0, "link/d": 2}
    assert atomic_files.sizes_below(tmp_path / "out", deep=False) == {"c": 0}
    assert atomic_files.sizes_below(tmp_path / "nowhere") == {}
    assert atomic_files.sizes_below(tmp_path / "out" / "c") == {}
