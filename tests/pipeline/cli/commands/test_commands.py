"""What commands say, what they write and what they leave alone; `verify` and resuming have modules of their own."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.command_line import TINY, error_of, run_cli, run_command
from tests.fixture_types import Options
from tests.pipeline.cli.commands.finished import COPIES, SAMPLES, TRAIN, Made
from tests.written import members_of, shard_digests, snapshot

PANELS = 7


# Inspect


def test_inspect_counts_pairs_sizes_and_pixels_of_each_class(made: Made) -> None:
    """The numbers are those of the files, counted here with numpy."""
    result = run_cli("inspect", made.source, "--size", 48, 64, "--json")

    found = json.loads(result.stdout)
    masks = [np.asarray(Pillow.open(path)) for path in sorted((made.source / "masks").iterdir())]
    assert (found["layout"], found["pairs"], found["usable"], found["groups"]) == ("folder", 8, 8, 8)
    assert found["splits"] == {"train": TRAIN, "val": 1, "test": 1}
    assert found["mask_values"] == {"0": 0, "128": 1, "255": 2}
    assert (found["channels"], found["dtype"], found["problems"]) == (3, "uint8", [])
    assert found["sizes"]["most_common"] == [[48, 64, 8]]
    for value, stated in zip((0, 128, 255), found["classes"], strict=True):
        assert stated["pixels"] == sum(int((mask == value).sum()) for mask in masks)
        assert stated["masks"] == sum(bool((mask == value).any()) for mask in masks)


def test_inspect_shows_people_the_same_and_does_no_work(made: Made) -> None:
    """The text names layout, sizes, classes and splits; the source is only read."""
    before = snapshot(made.source)

    result = run_cli("inspect", made.source, "--size", 48, 64, "--progress", "none")

    assert result.stderr == ""
    stated = (
        *("8 pairs, 8 images, 8 usable", "8 of 64 x 48", "0 = 0, 128 = 1, 255 = 2", "train 6, val 1, test 1"),
        "pixels (",
    )
    for text in stated:
        assert text in result.stdout
    assert snapshot(made.source) == before


# Dry run


def test_dry_run_writes_nothing_and_says_what_the_run_then_writes(made: Made, job: Options, tmp_path: Path) -> None:
    """Samples, shards and images come from the very plan of the run."""
    before = snapshot(made.source)

    result = run_cli("run", made.source, tmp_path / "output", *job, "--dry-run")

    dataset = json.loads((made.output / "dataset.json").read_text())
    shards = sum(split["shards"] for split in dataset["splits"].values())
    images = sum(split["images"] for split in dataset["splits"].values())
    assert f"would write {SAMPLES} samples in {shards} shards from {images} images (0 refused)" in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert snapshot(made.source) == before


def test_dry_run_leaves_a_finished_dataset_alone(copied: Made, job: Options) -> None:
    """Asking what --fresh would cost must not do it."""
    before = snapshot(copied.output)

    result = run_cli("run", copied.source, copied.output, *job, "--dry-run", "--fresh", "--copies", 3)

    assert f"would write {TRAIN * 3 + 2} samples" in result.stdout
    assert snapshot(copied.output) == before


# Halves


def test_prepare_and_generate_give_the_bytes_of_run(made: Made, tmp_path: Path) -> None:
    """The GPU half on one machine, the CPU half on another, the same dataset."""
    prepared = run_cli("prepare", made.source, "--cache", tmp_path / "cache", *TINY)
    halves = ("--copies", COPIES, "--shards", 3, "--format", "webdataset", "--format", "parquet")
    run_cli("generate", "--cache", tmp_path / "cache", tmp_path / "output", *halves, "--backend", "serial")

    assert "prepared 8 images" in prepared.stdout
    assert shard_digests(tmp_path / "output") == shard_digests(made.output)


def test_generate_needs_a_finished_cache(tmp_path: Path) -> None:
    """The way out is the other half."""
    line = error_of(run_cli("generate", "--cache", tmp_path / "cache", tmp_path / "output", status=1))

    assert "holds no finished features" in line
    assert "hsmix-gen prepare" in line


@pytest.mark.parametrize("override", ["superpixels.variants=5", "image.size=[32, 32]", "saliency.backend=uniform"])
def test_generate_refuses_options_of_the_features(made: Made, tmp_path: Path, override: str) -> None:
    """The cache was made with other values; run.json would describe a dataset that does not exist."""
    cache = made.output / ".hsmix" / "cache"

    result = run_cli("generate", "--cache", cache, tmp_path / "output", "--backend", "serial", "-o", override, status=1)

    assert override.partition("=")[0] in error_of(result)


# Preview, replay


def test_preview_is_a_sheet_of_seven_panels(made: Made, tmp_path: Path) -> None:
    """A, B, superpixels, saliency, mix, mask and soft mask stand side by side, a row for each sample."""
    sizes = []
    for rows in (1, 3):
        result = run_cli("preview", made.output, "--rows", rows, "--to", tmp_path / f"{rows}.png")
        assert str(tmp_path / f"{rows}.png") in result.stdout
        with Pillow.open(tmp_path / f"{rows}.png") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        sizes.append(pixels.shape)
        inked = (pixels[-120] != 255).any(axis=-1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inked, [False]]).astype(int)))
        panels = edges[1::2] - edges[::2]
        assert panels.tolist() == [200] * PANELS
    assert sizes[0][1] == sizes[1][1]
    assert sizes[1][0] - sizes[0][0] > 2 * 168


@pytest.mark.parametrize(("mode", "shown"), [("none", False), ("soft", True)])
def test_the_legend_names_lambda_where_it_is_shown(made: Made, tmp_path: Path, mode: str, *, shown: bool) -> None:
    run_cli("preview", made.output, "--mode", mode, "--rows", 1, "--to", tmp_path / "p.png")

    with Pillow.open(tmp_path / "p.png") as sheet:
        legend = np.asarray(sheet.convert("RGB"))[-24:]
    assert bool((legend == (0, 34, 78)).all(axis=-1).any()) == shown


def test_preview_goes_to_the_output_unless_stated_otherwise(copied: Made) -> None:
    """Drawn again with the default rows it is the picture of the run."""
    before = (copied.output / "preview.png").read_bytes()
    (copied.output / "preview.png").unlink()

    run_cli("preview", copied.output)

    assert (copied.output / "preview.png").read_bytes() == before


def test_the_card_calls_mixed_samples_alone_mixtures(made: Made) -> None:
    """A third of the training samples, and all others, show one image as it is."""
    card = " ".join((made.output / "README.md").read_text().split())

    assert "Hard and soft samples are synthetic: mixtures of two images" in card
    assert "All others show one image of the source." in card


def test_replay_makes_the_members_of_any_sample_again(made: Made, tmp_path: Path) -> None:
    """Provenance is enough: the bytes are those in the shard, for a sample of each mode and split."""
    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    chosen = {(row["split"], row["mode"]): row for row in rows}
    assert len(chosen) == 5
    stored = members_of(made.output)
    for row in chosen.values():
        result = run_cli("replay", made.output, row["key"], "--to", tmp_path)
        paths = [Path(line) for line in result.stdout.splitlines()]
        for name, data in stored[row["key"]].items():
            assert tmp_path / f"{row['key']}.{name}" in paths
            assert (tmp_path / f"{row['key']}.{name}").read_bytes() == data


def test_replay_of_an_unknown_key_shows_how_keys_look(made: Made, tmp_path: Path) -> None:
    """The way out is a key of this dataset."""
    line = error_of(run_cli("replay", made.output, "train-nobody-000", "--to", tmp_path, status=1))

    assert "train-nobody-000" in line
    assert "case_0" in line


@pytest.mark.parametrize(("column", "value"), [("mode", "medium"), ("source_a", "nobody")])
def test_replay_of_a_forged_row_says_what_is_unknown(copied: Made, tmp_path: Path, column: str, value: str) -> None:
    """A manifest can be edited by anybody."""
    path = copied.output / "manifest.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[-1][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    line = error_of(run_cli("replay", copied.output, rows[-1]["key"], "--to", tmp_path, status=1))

    assert f"manifest.parquet gives {rows[-1]['key']} the unknown" in line
    assert value in line


def test_moved_cache_is_named_and_taken_from_where_it_is(copied: Made, tmp_path: Path) -> None:
    """A dataset outlives the place of its cache."""
    cache = (copied.output / ".hsmix" / "cache").rename(tmp_path / "elsewhere")

    line = error_of(run_cli("verify", copied.output, "--replay", 2, status=1))
    run_cli("verify", copied.output, "--replay", 2, "--cache", cache)

    assert "--cache DIR" in line


def test_moved_dataset_finds_the_cache_inside_it(copied: Made, tmp_path: Path) -> None:
    """The default cache lies in the output and moves with it."""
    moved = copied.output.rename(tmp_path / "moved")

    run_cli("verify", moved, "--replay", 1)


# Presets, doctor


def test_presets_are_listed_and_shown_with_their_sources() -> None:
    """A number from a paper and one of ours are not the same authority."""
    listed = run_cli("presets")
    one = run_cli("presets", "isic2017")

    assert "isic2017" in listed.stdout
    for text in ("superpixels.regions", "30", "80", "published", "ours"):
        assert text in one.stdout


def test_unknown_preset_is_refused_with_the_nearest() -> None:
    """A typing error costs one look."""
    assert "isic2017" in error_of(run_cli("presets", "isic2071", status=1))


@pytest.mark.slow
def test_doctor_prints_a_line_for_each_part() -> None:
    """Every part is tried for real; the exit status is that of the worst line."""
    done = run_command("doctor")

    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    parts = ("versions", "extras", "processors", "kernels", "torch", "grad-cam", "ray", "zarr", "disk")
    assert tuple(lines) == parts
    assert done.returncode == int(any(line.startswith("BAD") for line in lines.values()))
    assert lines["ray"].startswith("ok"), lines["ray"]
    assert lines["zarr"].startswith("ok"), lines["zarr"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_demo_makes_a_sound_dataset_with_snippet_and_preview(tmp_path: Path) -> None:
    """The first thing that anybody calls."""
    done = run_command("demo", "demo-output", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "demo-output/preview.png" in done.stdout
    assert "demo-output/README.md" in done.stdout
    run_cli("verify", tmp_path / "demo-output", "--replay", 3)
