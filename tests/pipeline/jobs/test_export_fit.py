"""What exports cannot hold is said before the work."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from hsmix_gen.pipeline.jobs.export_fit import check_exports, unfit
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import EXPORTS
from hsmix_gen.schemas.records import DatasetFacts, Intensity
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source

RGB = DatasetFacts((16, 16), 3, "uint8", ("background", "lesion"), ((0, 0), (255, 1)))
CT = DatasetFacts((16, 16), 1, "uint16", ("background", "liver"), ((0, 0), (1, 1)), intensity=Intensity("window"))

MANY = dataclasses.replace(RGB, classes=tuple(map(str, range(300))))


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        (RGB, {"synapse"}),
        (CT, {"perclass", "imglabel", "fiftyone"}),
        (dataclasses.replace(RGB, channels=4), {"synapse", "perclass", "imglabel", "medsam", "fiftyone"}),
        (
            dataclasses.replace(CT, dtype="float32", intensity=Intensity()),
            {"synapse", "perclass", "imglabel", "medsam", "fiftyone"},
        ),
        (MANY, {"synapse", "nnunet"}),
    ],
    ids=["RGB", "CT", "four channels", "numbers", "classes"],
)
def test_each_export_refuses_what_it_cannot_hold(facts: DatasetFacts, kinds: set[str]) -> None:
    assert unfit(facts, "src", EXPORTS.names).keys() == kinds


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        (RGB, r"has 3; make it with --channels 1$"),
        (dataclasses.replace(CT, channels=4), r"has 4; volumes and arrays keep theirs: give 1 \(a list, CSV"),
        (dataclasses.replace(RGB, dtype="float32"), r"has 3; volumes and arrays keep theirs"),
    ],
    ids=["pictures", "modalities", "numbers"],
)
def test_a_refusal_names_a_way_that_is_open(facts: DatasetFacts, way: str) -> None:
    """--channels is for pictures; volumes are refused with it."""
    assert re.search(way, unfit(facts, "src", ["synapse"])["synapse"])


def test_numbers_become_pictures_by_percentiles() -> None:
    """Of --dtype alone numbers from -4 to 4 would be cut, and a window needs its ends."""
    reasons = unfit(dataclasses.replace(CT, dtype="float32", intensity=Intensity()), "src", ["perclass", "medsam"])

    assert reasons["perclass"].endswith("1 channel of float32; make it with --dtype uint8 --intensity percentile")
    assert "--intensity percentile, or --intensity window --window LOW HIGH" in reasons["medsam"]
    assert unfit(CT, "src", ["perclass"])["perclass"].endswith("1 channel of uint16; make it with --dtype uint8")


def test_a_run_names_all_reasons() -> None:
    with pytest.raises(OutputError, match=r"synapse holds images of 1 channel, src has 3.*; nnU-Net labels are 8-bit"):
        check_exports(
            dataclasses.replace(RGB, classes=tuple(map(str, range(300)))), "src", ["synapse", "nnunet", "zarr"]
        )


def test_a_run_for_an_export_ends_before_its_work(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")

    result = run_cli("run", source, tmp_path / "out", *TINY, "--for", "nnunet,synapse", status=1)

    assert result.stderr.splitlines()[-1] == (
        f"error: synapse holds images of 1 channel, {source} has 3; make it with --channels 1"
    )
    assert not list((tmp_path / "out").glob("webdataset"))
    shown = run_cli("inspect", source, "--json", "--progress", "none")
    assert json.loads(shown.stdout)["unfit_exports"].keys() == {"synapse"}
    asked = run_cli("inspect", source, "--for", "synapse,zarr", "--progress", "none").stdout
    assert [line for line in asked.splitlines() if line.startswith("  export")] == [
        f"  export   synapse holds images of 1 channel, {source} has 3; make it with --channels 1",
        "  export   zarr fits",
    ]


def test_an_export_that_was_asked_for_and_fits_is_said_to(tmp_path: Path) -> None:
    """No line at all left open whether the export was looked at."""
    shown = run_cli("inspect", make_source(tmp_path / "source"), "--for", "nnunet", "--progress", "none").stdout

    assert [line for line in shown.splitlines() if line.startswith("  export")] == ["  export   nnunet fits"]


def test_limits_of_exports_that_nobody_asked_for_are_not_shown(tmp_path: Path) -> None:
    """Every source of pictures had a line on a layout for grey slices."""
    shown = run_cli("inspect", make_source(tmp_path / "source"), "--progress", "none").stdout

    assert "  export " not in shown


def test_for_takes_names_of_exports(tmp_path: Path) -> None:
    result = run_cli("run", make_source(tmp_path / "source"), tmp_path / "out", *TINY, "--for", "unet", status=1)

    assert "unet" in result.stderr
