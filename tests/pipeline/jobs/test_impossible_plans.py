"""What cannot be mixed is reported before any feature is made, and leaves the output free for other options."""

from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli
from tests.small_sources import make_source

IMPOSSIBLE = (
    (("--shards", "100"), "--shards must not outnumber the 12 groups of samples, got 100; lower --shards"),
    (
        ("--ranks", "13"),
        "--ranks x --workers-per-rank must not exceed the 12 groups of samples, got 13; "
        "lower --ranks or --workers-per-rank, or raise --copies",
    ),
    (
        ("--group-by", "case", "--split", "1/0/0", "--partners", "other-group"),
        "all 8 training images are of one group (patient); add others or allow it with --partners any",
    ),
    (
        ("--limit", "1", "--split", "1/0/0"),
        "the training split has 1 usable image(s), mixing needs 2; add images, or change --split",
    ),
)
"""Options, and what is said of them."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("impossible") / "source")


def test_an_impossible_plan_costs_a_scan_alone(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    for options, stated in IMPOSSIBLE:
        refused = run_cli("run", source, output, *TINY, "--copies", "2", *options, status=1)

        assert [line for line in refused.stderr.splitlines() if line.startswith("error: ")] == [f"error: {stated}"]
        assert not list(output.rglob("*.zarr"))
    run_cli("run", source, output, *TINY, "--copies", "2")


def test_an_impossible_plan_from_a_cache_binds_nothing(source: Path, tmp_path: Path) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    features = TINY[: TINY.index("--backend")]
    run_cli("prepare", source, "--cache", cache, *features, "--backend", "serial")
    options, stated = IMPOSSIBLE[0]

    refused = run_cli("generate", "--cache", cache, output, "--backend", "serial", "--copies", "2", *options, status=1)

    assert stated in refused.stderr
    run_cli("generate", "--cache", cache, output, "--backend", "serial", "--copies", "2")


def test_an_impossible_extension_leaves_the_dataset_finished(source: Path, tmp_path: Path) -> None:
    """One image more, in one copy, is too little for two readers; room is not measured, which would refuse it too."""
    grown, output = make_source(tmp_path / "grown", train=2, val=1, test=1), tmp_path / "out"
    options = (*TINY, "--copies", "1", "--ranks", "2", "-o", "run.check_space=false")
    run_cli("run", grown, output, *options)
    for kind in ("images", "masks"):
        (grown / kind / "case_90.png").write_bytes((source / kind / "case_05.png").read_bytes())
    with (grown / "splits" / "train.txt").open("a") as names:
        names.write("case_90\n")

    refused = run_cli("run", grown, output, *options, "--extend", status=1)

    assert "must not exceed the 1 groups of samples, got 2" in refused.stderr
    run_cli("verify", output)
    run_cli("run", grown, output, *options, "--extend", "--copies", "2")
