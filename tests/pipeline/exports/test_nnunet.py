"""The export for nnU-Net, by the rules of its integrity check, its label manager and its splits."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.exports.base import Options
from hsmix_gen.schemas.errors import OutputError
from tests.pipeline.exports.handmade import draw, export, make_output


def read_png(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Pillow.open(path))


def read_nifti(path: Path) -> tuple[np.ndarray[Any, Any], tuple[float, ...]]:
    """Return the array as nnU-Net's readers see it, (z, y, x), and the spacing as the file has it, (x, y, z)."""
    image: Any = nibabel.loadsave.load(path)
    return np.asanyarray(image.dataobj).transpose(2, 1, 0), tuple(float(zoom) for zoom in image.header.get_zooms())


def described(dest: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((dest / "Dataset501_twin" / "dataset.json").read_text())
    return found


def test_pictures_and_labels_are_those_of_the_samples(tmp_path: Path) -> None:
    """RGB is one lossless file, the label another of the same ending; test cases have folders of their own."""
    samples = [draw(key) for key in ("train-a", "val-b", "test-c")]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "nnunet")

    root = tmp_path / "dest" / "Dataset501_twin"
    for put, part in zip(samples, ("Tr", "Tr", "Ts"), strict=True):
        assert (read_png(root / f"images{part}" / f"{put.key}_0000.png") == put.image).all()
        assert (read_png(root / f"labels{part}" / f"{put.key}.png") == put.mask).all()
    assert sorted(path.name for path in (root / "imagesTr").iterdir()) == ["train-a_0000.png", "val-b_0000.png"]


def test_dataset_json_states_channels_labels_and_cases(tmp_path: Path) -> None:
    """Validation cases count as training cases: splits distinguish them. A class cannot take a name of nnU-Net."""
    root = make_output(
        tmp_path / "out", [draw("train-a"), draw("val-b"), draw("test-c")], classes=["skin", "ignore", "lesion"]
    )
    export(root, tmp_path / "dest", "nnunet")

    assert described(tmp_path / "dest") == {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "ignore_class": 1, "lesion": 2},
        "numTraining": 2,
        "file_ending": ".png",
    }


def test_ignored_pixels_get_the_highest_label(tmp_path: Path) -> None:
    """255 would tear the labels apart; nnU-Net wants them consecutive and ignore last."""
    put = draw("train-a", ignore=True)
    export(make_output(tmp_path / "out", [put, draw("val-b")]), tmp_path / "dest", "nnunet")

    label = read_png(tmp_path / "dest" / "Dataset501_twin" / "labelsTr" / "train-a.png")
    assert label[0, :2].tolist() == [3, 3]
    assert (label == np.where(put.mask == 255, 3, put.mask)).all()
    assert described(tmp_path / "dest")["labels"]["ignore"] == 3


def test_floats_become_nifti_of_one_slice_for_each_channel(tmp_path: Path) -> None:
    """Readers turn (x, y, z) round to (z, y, x): 1 x 6 x 9, with the spacing of rows and columns."""
    put = draw("train-a", channels=2, dtype="float32", ignore=True, spacing_a=(0.5, 0.75), transform_a=6)
    export(
        make_output(tmp_path / "out", [put, draw("val-b", channels=2, dtype="float32")]), tmp_path / "dest", "nnunet"
    )

    folder = tmp_path / "dest" / "Dataset501_twin"
    for channel in range(2):
        read, zooms = read_nifti(folder / "imagesTr" / f"train-a_{channel:04d}.nii.gz")
        assert read.shape == (1, 6, 9)
        assert (read[0] == put.image[..., channel]).all()
        assert zooms == (0.75, 0.5, 999.0)
    label, _ = read_nifti(folder / "labelsTr" / "train-a.nii.gz")
    assert (label[0] == np.where(put.mask == 255, 3, put.mask)).all()
    assert described(tmp_path / "dest")["channel_names"] == {"0": "channel_0", "1": "channel_1"}
    # The time of a gzip file stands in bytes 4 to 7.
    assert (folder / "labelsTr" / "train-a.nii.gz").read_bytes()[4:8] == bytes(4)


def test_spacing_of_a_quarter_turn_is_turned(tmp_path: Path) -> None:
    """`spacing_a` is that of the parent before its turn."""
    samples = [
        draw("train-a", channels=2, dtype="float32", spacing_a=(0.5, 0.75), transform_a=3),
        draw("train-b", channels=2, dtype="float32"),
        draw("val-b", channels=2, dtype="float32"),
    ]
    export(make_output(tmp_path / "out", samples), tmp_path / "dest", "nnunet")

    folder = tmp_path / "dest" / "Dataset501_twin" / "imagesTr"
    zooms = {key: read_nifti(folder / f"{key}_0000.nii.gz")[1][:2] for key in ("train-a", "train-b")}
    assert zooms == {"train-a": (0.5, 0.75), "train-b": (1.0, 1.0)}


def channels_of(*held: list[list[int]]) -> np.ndarray[Any, Any]:
    """Return a soft label of channels of 0 and 1."""
    return np.array(held, dtype=np.float16)


def regions_output(root: Path, soft: np.ndarray[Any, Any], **stated: Any) -> Path:
    """Write an output of tiny samples with one multi-label soft label."""
    last = np.arange(1, len(soft) + 1)[:, None, None] * (soft >= 0.5)
    samples = []
    for key in ("train-a", "val-b"):
        put = draw(key)
        image = put.image[: soft.shape[1], : soft.shape[2]]
        samples.append(type(put)(key, image, last.max(axis=0).astype(np.uint8), soft))
    return make_output(root, samples, label_mode="multilabel", **stated)


def test_nested_regions_are_the_labels_inside_them(tmp_path: Path) -> None:
    """WT holds TC holds ET: as nnU-Net's own example of BraTS has it. ET is a number: a list would be lost there."""
    soft = channels_of([[0, 1, 1, 1]], [[0, 0, 1, 1]], [[0, 0, 0, 1]])
    export(regions_output(tmp_path / "out", soft, classes=["WT", "TC", "ET"]), tmp_path / "dest", "nnunet")

    found = described(tmp_path / "dest")
    assert list(found["labels"].items()) == [("background", 0), ("WT", [1, 2, 3]), ("TC", [2, 3]), ("ET", 3)]
    assert found["regions_class_order"] == [1, 2, 3]
    label = read_png(tmp_path / "dest" / "Dataset501_twin" / "labelsTr" / "train-a.png")
    assert label.tolist() == [[0, 1, 2, 3]]


def test_regions_that_overlap_freely_lose_nothing(tmp_path: Path) -> None:
    """The last channel alone is another label than the last channel inside the first."""
    soft = channels_of([[0, 1, 0, 0, 1]], [[0, 0, 1, 1, 1]])
    export(regions_output(tmp_path / "out", soft, classes=["nerve", "vessel"]), tmp_path / "dest", "nnunet")

    found = described(tmp_path / "dest")
    label = read_png(tmp_path / "dest" / "Dataset501_twin" / "labelsTr" / "train-a.png")
    for channel, name in enumerate(("nerve", "vessel")):
        assert (np.isin(label, found["labels"][name]) == (soft[channel] == 1)).all()
    assert sorted(np.unique(label)) == [0, 1, 2, 3]
    # The vessel is mostly alone, so where it is predicted the label of the vessel alone is placed.
    assert found["regions_class_order"] == [label[0, 1], label[0, 2]]


def test_the_commonest_set_stands_for_a_region(tmp_path: Path) -> None:
    """One stray pixel of the inner region outside of the outer one must not tear predictions apart."""
    soft = channels_of([[0, 1, 1, 1, 0]], [[0, 0, 1, 1, 1]])
    export(regions_output(tmp_path / "out", soft), tmp_path / "dest", "nnunet")

    assert described(tmp_path / "dest")["labels"] == {"background": 0, "background_class": [1, 2], "class_1": [2, 3]}
    assert described(tmp_path / "dest")["regions_class_order"] == [1, 2]


def test_half_a_channel_holds_a_pixel(tmp_path: Path) -> None:
    """128 of 255 parts is in, 127 is out, as in mask.png."""
    soft = (np.array([[[127, 128]], [[0, 128]]]) / 255).astype(np.float16)
    export(regions_output(tmp_path / "out", soft), tmp_path / "dest", "nnunet")

    label = read_png(tmp_path / "dest" / "Dataset501_twin" / "labelsTr" / "val-b.png")
    assert label.tolist() == [[0, 2]]


def test_one_channel_is_a_plain_label(tmp_path: Path) -> None:
    export(regions_output(tmp_path / "out", channels_of([[0, 1]]), classes=["lesion"]), tmp_path / "dest", "nnunet")

    found = described(tmp_path / "dest")
    assert found["labels"] == {"background": 0, "lesion": 1}
    assert "regions_class_order" not in found


def splits(dest: Path) -> Any:
    return json.loads((dest / "Dataset501_twin" / "splits_final.json").read_text())


def test_validation_cases_are_the_only_split(tmp_path: Path) -> None:
    """Test cases are in none."""
    keys = ("train-b", "train-a", "val-c", "test-d")
    export(make_output(tmp_path / "out", [draw(key) for key in keys]), tmp_path / "dest", "nnunet")

    assert splits(tmp_path / "dest") == [{"train": ["train-a", "train-b"], "val": ["val-c"]}]


def test_folds_become_splits_of_one_dataset(tmp_path: Path) -> None:
    """Keys state the fold, as the same image has one in each; test cases are there once."""
    for fold in (0, 1):
        make_output(tmp_path / "out" / f"fold-{fold}", [draw(key) for key in ("train-a", f"val-{fold}", "test-c")])
    found = export(tmp_path / "out", tmp_path / "dest", "nnunet")

    assert splits(tmp_path / "dest") == [
        {"train": ["fold0-train-a"], "val": ["fold0-val-0"]},
        {"train": ["fold1-train-a"], "val": ["fold1-val-1"]},
    ]
    assert found.samples == {"train": 2, "val": 2, "test": 1}
    assert described(tmp_path / "dest")["numTraining"] == 4
    root = tmp_path / "dest" / "Dataset501_twin"
    assert [path.name for path in (root / "imagesTs").iterdir()] == ["test-c_0000.png"]
    assert {path.name for path in (tmp_path / "dest").glob("manifest*")} == {
        "manifest-fold-0.parquet", "manifest-fold-1.parquet"
    }  # fmt: skip


@pytest.mark.parametrize("parent", [{"source_b": "val-b-a"}, {"group_b": "val-b-p"}])
def test_a_mixed_sample_with_a_parent_in_validation_is_refused(tmp_path: Path, parent: dict[str, Any]) -> None:
    """Such an output is not one of ours; the export must not pass it on."""
    root = make_output(tmp_path / "out", [draw("train-a", **parent), draw("val-b")])

    with pytest.raises(OutputError, match=r"(image val-b-a|group val-b-p) is in training and validation of split 0"):
        export(root, tmp_path / "dest", "nnunet")


def test_missing_validation_cases_are_reported(tmp_path: Path) -> None:
    """A random split of nnU-Net would leak; the fold `all` draws none."""
    found = export(make_output(tmp_path / "out", [draw("train-a"), draw("train-b")]), tmp_path / "dest", "nnunet")

    assert "train nnU-Net with the fold `all`" in found.text()
    assert not (tmp_path / "dest" / "Dataset501_twin" / "splits_final.json").exists()
    guide = (tmp_path / "dest" / "README.txt").read_text()
    assert "nnUNetv2_train 501 2d all\n" in guide
    assert "nnUNetv2_train 501 2d all -tr nnUNetTrainerHsmix" in guide
    assert "nnUNetv2_predict" not in guide


@pytest.mark.parametrize(("keys", "fold"), [(("train-a", "val-b", "test-c"), "0"), (("train-a", "test-c"), "all")])
def test_the_guide_measures_test_cases(tmp_path: Path, keys: tuple[str, ...], fold: str) -> None:
    """With the network of the fold that was trained, against their labels."""
    export(make_output(tmp_path / "out", [draw(key) for key in keys]), tmp_path / "dest", "nnunet")

    guide = (tmp_path / "dest" / "README.txt").read_text()
    assert f"nnUNetv2_predict -d 501 -c 2d -f {fold} -i $nnUNet_raw/Dataset501_twin/imagesTs -o predicted" in guide
    assert "nnUNetv2_evaluate_folder $nnUNet_raw/Dataset501_twin/labelsTs predicted" in guide


def test_splits_lie_where_nnunet_looks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others that lie there are left alone, which is said; without its variable nothing is written but the export."""
    root = make_output(tmp_path / "out", [draw("train-a"), draw("val-b")])
    there = tmp_path / "preprocessed" / "Dataset501_twin" / "splits_final.json"
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    export(root, tmp_path / "bare", "nnunet")
    assert not there.exists()

    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    for dest in ("first", "again"):
        found = export(root, tmp_path / dest, "nnunet")
        assert json.loads(there.read_text()) == splits(tmp_path / dest)
        assert f"the splits lie in {there} too, where nnU-Net looks for them" in found.text()

    there.write_text("[]")
    assert f"{there} holds other splits and was left alone" in export(root, tmp_path / "other", "nnunet").text()
    assert there.read_text() == "[]"


def test_number_and_name_can_be_chosen(tmp_path: Path) -> None:
    """nnU-Net takes three digits and letters, digits and underscores."""
    root = make_output(tmp_path / "out", [draw("train-a"), draw("val-b")])
    export(root, tmp_path / "dest", "nnunet", Options("skin lesions/2017", dataset_id=7))

    assert (tmp_path / "dest" / "Dataset007_skin_lesions_2017" / "dataset.json").is_file()
    with pytest.raises(OutputError, match="must be 1 to 999, got 1000"):
        export(root, tmp_path / "other", "nnunet", Options(dataset_id=1000))
