"""An address behaves as a path does where names are built; what could hold a secret is refused unseen."""

import pickle
from pathlib import Path

import pytest

from hsmix_gen.pipeline.files.store_paths import is_remote, location
from hsmix_gen.schemas.errors import ConfigError


@pytest.mark.parametrize("text", ["/a/b", "a/b", "C:/x", "s3:/b/x", ""])
def test_what_has_no_scheme_is_a_path(text: str) -> None:
    assert location(text) == Path(text)
    assert not is_remote(location(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3://bucket/a//b/", "s3://bucket/a/b"),
        ("s3://bucket", "s3://bucket"),
        ("s3a://bucket/a", "s3://bucket/a"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("S3://bucket/A b", "s3://bucket/A b"),
    ],
)
def test_an_address_is_reported_in_its_plain_form(text: str, expected: str) -> None:
    assert str(location(text)) == expected
    assert is_remote(location(text))


@pytest.mark.parametrize("text", ["s3://AKIA1:pa55word@bucket/a", "s3://pa55word@bucket", "s3://b/a?sig=pa55word"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError, match="credentials come from the environment") as refused:
        location(text)

    assert "pa55word" not in str(refused.value)


@pytest.mark.parametrize("text", ["s3://", "s3:///a", "s3://bucket/../other", "s3://bucket/a/./b", "s3://bucket/a/.."])
def test_an_address_needs_a_bucket_and_no_detours(text: str) -> None:
    with pytest.raises(ConfigError, match="s3://BUCKET/KEY"):
        location(text)


@pytest.mark.parametrize("text", ["http://host/a", "file:///a", "az://box/a", "memory://a"])
def test_an_address_of_another_kind_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="of s3://, gs://, got"):
        location(text)


def test_names_are_built_as_of_paths() -> None:
    root = location("s3://bucket/out")
    path = root / "webdataset" / "train-000000.tar"

    assert str(path) == "s3://bucket/out/webdataset/train-000000.tar"
    assert (path.name, path.stem, path.suffix) == ("train-000000.tar", "train-000000", ".tar")
    assert path.parent == root / "webdataset"
    assert str(path.with_name("x.json")) == "s3://bucket/out/webdataset/x.json"
    assert path.relative_to(root).as_posix() == "webdataset/train-000000.tar"
    assert str(root / "../features") == "s3://bucket/features"


def test_an_address_never_leaves_its_bucket() -> None:
    root = location("s3://bucket")

    assert root.parent == root
    with pytest.raises(ValueError, match="leads out of the bucket"):
        root / "../other/x"
    with pytest.raises(ValueError, match="leads out of the bucket"):
        root / "/other/x"


def test_addresses_lie_in_addresses_of_their_store_alone() -> None:
    path = location("s3://bucket/a/b")

    assert path.is_relative_to(location("s3://bucket/a"))
    assert not path.is_relative_to(location("s3://bucket/a/b/c"))
    assert not path.is_relative_to(location("gs://bucket/a"))
    assert not path.is_relative_to(Path("/bucket/a"))
    assert not Path("/bucket/a").is_relative_to(str(path))


def test_addresses_are_sorted_compared_and_travel_between_processes() -> None:
    a, b = location("s3://bucket/a"), location("s3://bucket/b")

    assert sorted([b, a]) == [a, b]
    assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301 - as Ray does
    assert {a: 1}[location("s3://bucket/a/")] == 1


def test_an_address_has_no_place_on_this_machine() -> None:
    assert location("s3://bucket/a").absolute() == location("s3://bucket/a")
    with pytest.raises(TypeError, match="lies in a store"):
        location("s3://bucket/a").resolve()
