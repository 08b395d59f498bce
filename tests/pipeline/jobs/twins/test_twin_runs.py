"""A twin of every layout goes through the whole job; numbers, axes and classes are those that were written."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from tests.command_line import QUICK, inspected, run_cli
from tests.pipeline.jobs.twins import picture_twins, volume_twins
from tests.pipeline.jobs.twins.twin import Made, Numbers, Twin, innermost_of, run_twin, soft_of
from tests.pipeline.jobs.twins.volume_twins import SIZE, SPACING, VolumeTwin
from tests.pipeline.stored_samples import read_samples

WRITERS = {**picture_twins.WRITERS, **volume_twins.WRITERS}


@pytest.fixture(scope="module", params=list(WRITERS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The dataset of each twin, in both formats."""
    return run_twin(WRITERS[request.param], tmp_path_factory.mktemp("twin"), "--size", *SIZE, *QUICK)


def spacing_of(twin: Twin) -> tuple[float, ...]:
    """Return the millimetres between rows, columns and planes; nothing of pictures."""
    return SPACING if isinstance(twin, VolumeTwin) and twin.spacing else ()


def known_name(name: str, mask: Numbers, twin: Twin) -> str:
    """Return the id that the test has for an image; where ids are hashes (DICOM), by its plane and mask."""
    if name in twin.images:
        return name
    (known,) = [
        other
        for other, drawn in twin.masks.items()
        if other.rpartition("-")[2] == name.rpartition("-")[2] and np.array_equal(drawn, mask)
    ]
    return known


def assert_stored(image: Numbers, expected: Numbers, name: str) -> None:
    """Whole numbers to the last bit, floats as exact as float32 is."""
    assert (image.dtype, image.shape) == (expected.dtype, expected.shape), name
    if image.dtype == np.float32:
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=2e-6, err_msg=name)
    else:
        np.testing.assert_array_equal(image, expected, err_msg=name)


def test_inspect_states_layout_classes_groups_and_spacing_as_written(made: Made) -> None:
    twin = made.twin

    found = inspected(made.source, *twin.options)

    assert (found["layout"], found["problems"], found["usable"]) == (twin.layout, [], len(twin.images))
    assert (found["channels"], found["dtype"]) == (twin.image.shape[2], twin.image.dtype.name)
    assert found["sizes"]["most_common"] == [[*SIZE, len(twin.images)]]
    assert {key: found[key] for key in twin.stated} == twin.stated
    assert found["spacing"] == [[length, length] for length in spacing_of(twin)]
    soft = sum(soft_of(mask, len(twin.names)).astype(int).sum(axis=(1, 2)) for mask in twin.masks.values())
    classes = [(entry["name"], entry["pixels"]) for entry in found["classes"] if entry["name"] != "ignore"]
    assert classes == list(zip(twin.names, np.asarray(soft).tolist(), strict=True))


def test_planes_that_are_not_mixed_are_stored_as_written(made: Made) -> None:
    """All that is validated or tested on, and what of the training images was drawn to stay, not turned."""
    twin, checked = made.twin, set()

    for sample in read_samples(made.output).values():
        row = sample.provenance
        if row["mode"] == "none" and row["transform_a"] == 0:
            name = known_name(row["source_a"], sample.mask, twin)
            assert_stored(sample.image, twin.images[name], name)
            np.testing.assert_array_equal(sample.mask, innermost_of(twin.masks[name]), err_msg=name)
            np.testing.assert_array_equal(sample.soft, soft_of(twin.masks[name], len(twin.names)), err_msg=name)
            assert row["spacing_a"] == (list(spacing_of(twin)[:2]) or None)
            checked.add((row["split"], row["source_a"]))

    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    sources = {row["source_a"] for row in rows}
    assert len(sources) == len(twin.images)
    assert sources == twin.images.keys() or twin.layout == "dicom"
    assert {tuple(row["spacing_a"] or ()) for row in rows} == {spacing_of(twin)[:2]}
    assert checked >= {(row["split"], row["source_a"]) for row in rows if row["split"] != "train"} != set()


def test_the_dataset_is_sound_and_made_again(made: Made) -> None:
    assert "6 replays" in run_cli("verify", made.output, "--replay", 3).stdout  # three of each format
    assert (made.output / "refused.csv").read_text().count("\n") == 1


def test_partners_are_never_of_the_same_patient(made: Made) -> None:
    rows = pq.read_table(made.output / "manifest.parquet").to_pylist()
    mixed = [row for row in rows if row["source_b"] is not None]

    if isinstance(made.twin, VolumeTwin):
        assert mixed != []
        assert [row["key"] for row in mixed if row["group_a"] == row["group_b"]] == []
    assert {row["spacing_b"] == row["spacing_a"] for row in mixed} <= {True}


def test_images_lie_in_the_member_that_can_hold_them(made: Made) -> None:
    """PNG holds 1, 3 or 4 channels of 8 bit and 1 of 16 bit, npy the rest; the sheet shows each channel."""
    image = made.twin.image
    is_png = (str(image.dtype), image.shape[2]) in {("uint8", 1), ("uint8", 3), ("uint8", 4), ("uint16", 1)}

    members = {sample.members for sample in read_samples(made.output).values()}

    assert members == {frozenset({"image.png" if is_png else "image.npy", "json", "mask.png", "soft.npz"})}


def test_the_sheet_has_a_column_for_each_modality(made: Made) -> None:
    """A panel is 200 pixels wide and has 6 to its right: six and the channels of the mix, below five large ones."""
    n_channels = made.twin.image.shape[2]

    n_panels = 6 + (1 if n_channels == 3 else n_channels)
    with Pillow.open(made.output / "preview.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    # The legend, and the caption of the last row above it, take 60 rows.
    last_row = pixels[-60 - 100 : -60]
    inked = np.concatenate([[False], (last_row != 255).any(axis=(0, 2)), [False]])
    edges = np.flatnonzero(np.diff(inked.astype(int)))
    assert pixels.shape[1] == max(n_panels * 206, 5 * 294) + 6
    assert (edges[1::2] - edges[::2]).tolist() == [200] * n_panels
