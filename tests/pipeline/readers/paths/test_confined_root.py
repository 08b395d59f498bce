"""Paths leave their folder neither by dots nor through links."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.readers.paths.confined_root import Root


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a.png", True), ("b/../a.png", True), (".", True), ("../data/a.png", True), ("..", False),
     ("../other/a.png", False), ("../database/a.png", False), ("out/a.png", False), ("link.png", False),
     ("in.png", True)],
)  # fmt: skip
def test_a_path_is_followed_through_dots_and_links(tmp_path: Path, path: str, inside: bool) -> None:
    for name in ("data/b", "other", "database"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/out").symlink_to(tmp_path / "other")
    (tmp_path / "data/link.png").symlink_to(tmp_path / "other/a.png")
    (tmp_path / "data/in.png").symlink_to("a.png")

    assert Root(tmp_path / "data").holds(tmp_path / "data" / path) == inside


def test_a_relative_path_has_no_links_above_the_file(tmp_path: Path) -> None:
    (tmp_path / "real/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")

    assert Root(tmp_path / "link").relative(tmp_path / "link/b/a.png") == "b/a.png"
