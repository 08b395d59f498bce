"""Other codebases train and test on our exports with their own scripts; conftest.py has the table of commits."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from tests.trainers.conftest import Clone, assert_no_parents_cross
from tests.written import module_of

# Warnings of their code are shown and are no errors.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.filterwarnings("default")]

MakeClone = Callable[[str, Path], Clone]
Exported = Callable[..., Path]
# Console scripts of nnU-Net.
_ENTRY = "from nnunetv2.{} import {} as main\nif __name__ == '__main__':\n    main()\n"
PREDICT = _ENTRY.format("inference.predict_from_raw_data", "predict_entry_point")
EVALUATE = _ENTRY.format("evaluation.evaluate_predictions", "evaluate_folder_entry_point")
SYNAPSE_LOSS = r"iteration \d+ : loss : ([\d.]+)"


def keys_of(paths: set[Path]) -> set[str]:
    return {path.name.partition(".")[0] for path in paths}


def assert_soft_labels_turn(theirs: ModuleType, data: Path) -> None:
    """120 draws of a codebase's own turns and flips: the soft label stays on the class ids of the source."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - theirs
    for path in sorted((data / "train_npz").iterdir()):
        with np.load(path) as held:
            label, soft = held["label"], held["soft_label"]
        for _ in range(6):
            ids, turned = theirs.random_rot_flip(label, soft)
            assert np.array_equal(turned.argmax(-1), ids)


def test_transunet(clone: MakeClone, grey: Path, exported: Exported) -> None:
    """With the added lines it reads our files, and no others of that kind."""
    data = exported(grey, "synapse")
    theirs = clone("transunet", data)
    small = ("--img_size", 32, "--batch_size", 5, "--max_epochs", 2)

    run = theirs.follow("transunet.patch", *small)

    assert f"Namespace(root_path='{data / 'train_npz'}'" in run.text
    assert "The length of train set is: 20" in run.text
    assert {path for path in run.files if path.suffix == ".npz"} == set((data / "train_npz").resolve().iterdir())
    run.assert_learns(SYNAPSE_LOSS)
    tested = theirs.follow("test.py --volume_path", *small)
    assert {path for path in tested.files if path.suffix == ".h5"} == set((data / "test_vol_h5").resolve().iterdir())
    assert "Testing performance in best val model" in tested.text
    assert_no_parents_cross(data, keys_of(run.below(data / "train_npz")), keys_of(tested.below(data / "test_vol_h5")))
    assert_soft_labels_turn(module_of(theirs.root / "datasets/dataset_synapse.py"), data)


def test_transunet_with_soft_labels(clone: MakeClone, grey: Path, exported: Exported) -> None:
    data = exported(grey, "synapse")

    run = clone("transunet", data).follow(
        "transunet-soft.patch", "--img_size", 32, "--batch_size", 5, "--max_epochs", 5
    )

    assert (data / "code/hsmix_synapse.py").resolve() in run.files
    # The 20th iteration draws pictures of labels.
    assert len(run.losses(SYNAPSE_LOSS)) == 20
    run.assert_learns(SYNAPSE_LOSS)


SMALL_SWIN = ("--opts", "MODEL.SWIN.DEPTHS", "[1,1,1,1]", "MODEL.SWIN.EMBED_DIM", 24)


def test_swin_unet(clone: MakeClone, grey: Path, exported: Exported) -> None:
    """The added lines validate on val.txt, where its own loader reads the training images, and test on volumes."""
    data = exported(grey, "synapse")
    theirs = clone("swin_unet", data)

    run = theirs.follow("swin-unet.patch", "--max_epochs", 2, "--batch_size", 5, *SMALL_SWIN)

    assert f"root_path='{data / 'train_npz'}'" in run.text
    assert run.below(data / "train_npz") == set((data / "train_npz").resolve().iterdir())
    assert run.below(data / "val_npz") == set((data / "val_npz").resolve().iterdir())
    run.assert_learns(r"Train epoch: \d+ : loss : ([\d.]+)")
    assert_no_parents_cross(data, keys_of(run.below(data / "train_npz")), keys_of(run.below(data / "val_npz")))
    tested = theirs.follow("test.py --dataset hsmix", *SMALL_SWIN)
    assert tested.below(data / "test_vol_h5") == set((data / "test_vol_h5").resolve().iterdir())
    assert "Testing performance in best val model" in tested.text
    assert_soft_labels_turn(module_of(theirs.root / "datasets/dataset_synapse.py"), data)


def test_swin_unet_with_soft_labels(clone: MakeClone, grey: Path, exported: Exported) -> None:
    data = exported(grey, "synapse")
    theirs = clone("swin_unet", data)

    # The 20th iteration draws pictures of labels.
    run = theirs.follow("swin-unet-soft.patch", "--max_epochs", 2, "--batch_size", 2, *SMALL_SWIN)

    assert (data / "code/hsmix_synapse.py").resolve() in run.files
    run.assert_learns(r"Train epoch: \d+ : loss : ([\d.]+)")
    assert run.below(data / "val_npz") == set((data / "val_npz").resolve().iterdir())


def test_hiformer(clone: MakeClone, grey: Path, exported: Exported) -> None:
    """It runs as it is; while it trains it evaluates on validation."""
    data = exported(grey, "synapse")
    theirs = clone("hiformer", data)
    small = ("--model_name", "hiformer-s", "--max_epochs", 1)

    # The soft command names the commit before a patch.
    run = theirs.follow("6726d28 && \\\n", *small, "--batch_size", 5)

    assert f"root_path='{data / 'train_npz'}', test_path='{data / 'val_vol_h5'}'" in run.text
    assert run.below(data / "train_npz") == set((data / "train_npz").resolve().iterdir())
    assert run.below(data / "val_vol_h5") == set((data / "val_vol_h5").resolve().iterdir())
    assert not run.below(data / "test_vol_h5")
    run.assert_learns(SYNAPSE_LOSS)
    assert_no_parents_cross(data, keys_of(run.below(data / "train_npz")), keys_of(run.below(data / "val_vol_h5")))
    tested = theirs.follow("test.py --test_path", *small, "--model_weight", "results/hiformer-s/hiformer-s_epoch_0.pth")
    assert tested.below(data / "test_vol_h5") == set((data / "test_vol_h5").resolve().iterdir())
    assert "Testing performance in best val model" in tested.text
    assert_soft_labels_turn(module_of(theirs.root / "datasets/dataset_synapse.py"), data)


def test_hiformer_with_soft_labels(clone: MakeClone, grey: Path, exported: Exported) -> None:
    data = exported(grey, "synapse")

    run = clone("hiformer", data).follow(
        "hiformer-soft.patch", "--model_name", "hiformer-s", "--max_epochs", 1, "--batch_size", 2
    )

    assert (data / "code/hsmix_synapse.py").resolve() in run.files
    assert len(run.losses(SYNAPSE_LOSS)) == 10
    run.assert_learns(SYNAPSE_LOSS)
    assert run.below(data / "val_vol_h5") == set((data / "val_vol_h5").resolve().iterdir())


def test_unext(clone: MakeClone, pictures: Path, exported: Exported) -> None:
    """With the added line it trains on train/ and validates on val/; without it, it finds no image and stops."""
    data = exported(pictures, "perclass")
    small = ("--input_w", 32, "--input_h", 32, "--epochs", 4, "--batch_size", 6)
    theirs = clone("unext", data)

    run = theirs.follow("train.py --dataset hsmix", *small)

    assert "hsmix-gen: 18 training and 3 validation images, as exported" in run.text
    for split in ("train", "val"):
        assert run.below(data / split / "images") == set((data / split / "images").resolve().iterdir())
    run.assert_learns(r"\nloss ([\d.]+)")
    assert_no_parents_cross(data, keys_of(run.below(data / "train")), keys_of(run.below(data / "val")))
    tested = theirs.follow("val.py --name hsmix")
    assert "Dice:" in tested.text
    assert not tested.below(data / "train" / "images")
    bare = theirs.shell("git checkout -q . && python train.py --dataset hsmix", succeeds=False)
    assert "n_samples=0" in bare.text


def test_unext_turns_masks_as_images(clone: MakeClone, pictures: Path, exported: Exported) -> None:
    """With masks in the place of images both are the same after its own augmentation, in 255ths as stored."""
    data = exported(pictures, "perclass")
    theirs = clone("unext", data)
    albumentations: Any = pytest.importorskip("albumentations")
    dataset = module_of(theirs.root / "dataset.py")
    masks = data / "train/masks"
    names = sorted(path.stem for path in (masks / "0").iterdir())
    turns = albumentations.Compose([albumentations.RandomRotate90(), albumentations.HorizontalFlip()])

    rows = dataset.Dataset(names, str(masks / "0"), str(masks), ".png", ".png", 1, transform=turns)

    for number in range(len(names)):
        image, mask, _ = rows[number]
        assert np.array_equal(image[0], mask[0])
        stored = cv2.imread(str(masks / "0" / f"{names[number]}.png"), cv2.IMREAD_GRAYSCALE)
        assert stored is not None
        assert sorted(mask.ravel() * 255) == pytest.approx(sorted(stored.ravel()))


def test_udtransnet(clone: MakeClone, pictures: Path, exported: Exported) -> None:
    """The one fold is that of the export."""
    data = exported(pictures, "imglabel")
    theirs = clone("udtransnet", data)

    run = theirs.follow("udtransnet.patch")

    assert "Total Nums: 18" in run.text
    for folder in ("Train_Folder", "Val_Folder"):
        assert run.below(data / folder / "img") == set((data / folder / "img").resolve().iterdir())
    run.assert_learns(r"\[Train\] [^\n]*Loss:([\d.]+)")
    assert_no_parents_cross(data, keys_of(run.below(data / "Train_Folder")), keys_of(run.below(data / "Val_Folder")))
    # The mean over folds is that of the one fold.
    assert len({*run.losses(r"fold 1: ([\d.]+)"), *run.losses(r"mean dice: ([\d.]+)")}) == 1
    (session,) = (theirs.root / "GlaS_kfold/UNet").iterdir()
    tested = theirs.follow("python test_kfold.py", TEST_SESSION=session.name)
    assert tested.below(data / "Test_Folder/img") == set((data / "Test_Folder/img").resolve().iterdir())
    assert "1 models loaded" in tested.text
    # Sums are divided by what the bar counts to.
    assert "2/2" in tested.text


def test_medsam(clone: MakeClone, pictures: Path, exported: Exported) -> None:
    """Its first lines read the same images as the training does."""
    data = exported(pictures, "medsam")
    theirs = clone("medsam", data)

    run = theirs.follow("medsam.patch", "-num_epochs", 2, "-batch_size", 6, "--device", "cpu")

    read = {path for path in run.below(data) | run.below(theirs.root) if path.suffix == ".npy"}
    assert read == {*(data / "train/imgs").resolve().iterdir(), *(data / "train/gts").resolve().iterdir()}
    assert run.text.count("number of images: 18") == 2
    run.assert_learns(r"Loss: ([\d.]+)")


def test_nnunet(
    clone: MakeClone, pictures: Path, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own trainer, and ours, which reads shares of training cases and of no others; the splits lay there before."""
    prepared = tmp_path / "preprocessed"
    monkeypatch.setenv("nnUNet_preprocessed", str(prepared))
    data = exported(pictures, "nnunet")
    theirs = clone("nnunet", data)
    (dataset,) = data.glob("Dataset501_*")
    variables = {
        "nnUNet_results": str(tmp_path / "results"),
        "PYTHONPATH": str(theirs.root),
        # One process, nothing compiled.
        "nnUNet_n_proc_DA": "0",
        "nnUNet_def_n_proc": "1",
        "nnUNet_compile": "f",
    }
    plan = "nnunetv2/experiment_planning/plan_and_preprocess_entrypoints.py"
    train = ("nnunetv2/run/run_training.py", "-device", "cpu")
    scripts: dict[str, tuple[object, ...]] = {
        "nnUNetv2_plan_and_preprocess": (plan, "-np", 1, "-npfp", 1),
        "nnUNetv2_train": train,
    }

    for words in ("splits_final.json", "nnUNetTrainerHsmix"):
        run = theirs.follow(words, scripts=scripts, nnUNet_raw=str(data), **variables)

        is_soft = words == "nnUNetTrainerHsmix"
        proof = f"hsmix-gen: soft labels of {dataset / 'softTr'}, for 18 training cases"
        assert (proof in run.text) == bool(run.below(dataset / "softTr")) == is_soft
        assert {path.name.partition("-")[0] for path in run.below(dataset / "softTr")} <= {"train"}
        assert "This split has 18 training and 3 validation cases" in run.text
        run.assert_learns(r"train_loss (-?[\d.]+)")
    for name, entry in (("predict", PREDICT), ("evaluate", EVALUATE)):
        (tmp_path / f"{name}.py").write_text(entry)
    scripts["nnUNetv2_predict"] = (tmp_path / "predict.py", "-device", "cpu", "-npp", 1, "-nps", 1)
    scripts["nnUNetv2_evaluate_folder"] = (tmp_path / "evaluate.py", "-np", 1)
    theirs.follow("nnUNetv2_predict", scripts=scripts, nnUNet_raw=str(data), **variables)
    measured = json.loads((theirs.root / "predicted" / "summary.json").read_text())["metric_per_case"]
    assert {Path(case["reference_file"]) for case in measured} == set((dataset / "labelsTs").iterdir())
    (splits,) = json.loads((prepared / dataset.name / "splits_final.json").read_text())
    assert_no_parents_cross(data, set(splits["train"]), set(splits["val"]))
