"""A source that cannot be used is refused in one line.

Which sources, and in which words, is tested beside discovery, splits and scans; here each step goes through once.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import TINY, error_of, run_cli
from tests.small_sources import make_source


def nothing(source: Path) -> None:
    """Leave the source as it is: the options tear its group."""


def lists_of_unknown_ids(source: Path) -> None:
    for split in ("train", "val", "test"):
        (source / "splits" / f"{split}.txt").write_text(f"stranger_{split}\n")


def only_bad_masks(source: Path) -> None:
    for path in (source / "masks").iterdir():
        path.write_bytes(b"")


UNUSABLE: tuple[tuple[Callable[[Path], None], tuple[str, ...], tuple[str, ...]], ...] = (
    (lists_of_unknown_ids, (), ("names none of the 8 ids, which look like case_00",)),
    (only_bad_masks, (), ("pairs of image and mask can be used",)),
    # Two images of one patient, one trained on and one tested on, make results look better than they are.
    (nothing, ("--group-by", "case_"), ("leakage", "--group-by")),
)


@pytest.mark.parametrize(("spoil", "options", "stated"), UNUSABLE, ids=[spoil.__name__ for spoil, *_ in UNUSABLE])
def test_unusable_source_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], options: tuple[str, ...], stated: tuple[str, ...]
) -> None:
    """The line names the folder, the rule and the way out; nothing that looks finished is left."""
    source, output = make_source(tmp_path / "source"), tmp_path / "output"
    spoil(source)

    result = run_cli("run", source, output, *TINY, *options, status=1)

    assert [text for text in stated if text not in error_of(result)] == []
    assert (result.stdout, error_of(result)) == ("", result.stderr.splitlines()[-1])
    assert {path.name for path in output.iterdir()} <= {".hsmix"} if output.is_dir() else True
