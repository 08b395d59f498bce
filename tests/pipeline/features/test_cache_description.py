"""A cache is bound to its sources, and takes parts of them in any order."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hsmix_gen.pipeline.features.cache_description import begin, feature_options, load
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import CacheError
from hsmix_gen.schemas.records import SourceRecord


def records(names: str, changed: str = "") -> list[SourceRecord]:
    """Return a source for each letter, of other pixels where it is among the `changed`."""
    return [SourceRecord(n, n, "train", None, "i", "m", n + "!" * (n in changed), n, 4, 5) for n in names]


def bind(root: Path, names: str, /, *, changed: str = "", **source: Any) -> None:
    layers: Any = SimpleNamespace(root=root, names={})
    begin([layers], records(names, changed), RunConfig.model_validate({"source": source}))


@pytest.mark.parametrize(
    "runs",
    [
        (("abv", {"subset": 2}), ("cdv", {"subset": 2, "subset_seed": 1}), ("abcdv", {})),
        (("abcdv", {}), ("abv", {"subset": 2}), ("bcv", {"subset": 2, "subset_seed": 1}), ("abcdv", {})),
        (("ad", {"limit": 2}), ("acv", {"limit": 3}), ("a", {"limit": 1})),
    ],
)
def test_parts_of_the_same_sources_share_a_cache(runs: tuple[tuple[str, dict[str, Any]], ...], tmp_path: Path) -> None:
    for names, source in runs:
        bind(tmp_path, names, **source)


@pytest.mark.parametrize(
    ("names", "changed", "source"),
    [
        ("abv", "a", {"subset": 2}),
        ("acv", "v", {"subset": 2, "subset_seed": 1}),
        ("xyz", "", {"subset": 2, "subset_seed": 1}),
        ("abcdv", "b", {}),
        ("acdv", "", {}),
    ],
)
def test_other_sources_than_a_part_came_of_are_refused(
    names: str, changed: str, source: dict[str, Any], tmp_path: Path
) -> None:
    bind(tmp_path, "abv", subset=2)

    with pytest.raises(CacheError, match="was made from other sources"):
        bind(tmp_path, names, changed=changed, **source)


def test_damaged_tables_of_sources_are_made_again_or_named(tmp_path: Path) -> None:
    """That of a set is written again with the set; the one that binds the cache is asked for."""
    config = RunConfig()
    digest = digest_of(feature_options(config))
    described, table = tmp_path / f"features-{digest}.json", tmp_path / f"sources-{digest}.parquet"
    bind(tmp_path, "ab")
    described.write_text('{"folds": [{"layers": {}}]}')
    table.write_bytes(b"PAR1")

    with pytest.raises(CacheError, match=rf"{table.name}, which belongs to {described.name}, is damaged; run prepare"):
        load(tmp_path)
    bind(tmp_path, "ab")
    assert not described.exists()
    (tmp_path / "sources.parquet").write_bytes(b"PAR1")
    with pytest.raises(CacheError, match=r"has a damaged sources\.parquet, .* or remove it"):
        bind(tmp_path, "ab")
