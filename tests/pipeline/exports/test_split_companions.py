"""Modules that keep the splits of an export in UNeXt and UDTransNet, with names in the place of their code."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hsmix_gen.pipeline.exports.patches import write_companion
from tests.written import module_of

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a module of an export: ``load("hsmix_unext", dataset={"Dataset": ...})``, over modules with such names."""

    def make(name: str, **theirs: dict[str, Any]) -> ModuleType:
        for module, held in theirs.items():
            monkeypatch.setitem(sys.modules, module, ModuleType(module))
            vars(sys.modules[module]).update(held)
        write_companion(tmp_path, name)
        return module_of(tmp_path / "code" / f"{name}.py")

    return make


class Rows(SimpleNamespace):
    """A dataset that keeps what it was made with."""


def test_unext_trains_and_validates_on_the_given_splits(load: Load, tmp_path: Path) -> None:
    """Called as its train.py calls what it draws a split with; test images are in none."""
    ours = load("hsmix_unext", dataset={"Dataset": Rows})
    for key in ("train-a", "train-b", "val-c", "test-d"):
        path = tmp_path / key.partition("-")[0] / "images" / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    names = [Path(path).stem for path in ours.glob(str(tmp_path / "images" / "*.png"))]
    parts = ours.train_test_split(names, test_size=0.2, random_state=41)

    assert parts == (["train-a", "train-b"], ["val-c"])
    for ids, split in zip(parts, ("train", "val"), strict=True):
        rows = ours.Dataset(img_ids=ids, img_dir=str(tmp_path / "images"), mask_dir=str(tmp_path / "masks"))
        assert (rows.img_dir, rows.mask_dir) == (f"{tmp_path}/{split}/images", f"{tmp_path}/{split}/masks")


def test_udtransnet_has_one_fold_that_validates_on_val_folder(load: Load, tmp_path: Path) -> None:
    class ValGenerator:
        pass

    class Kept(Rows):
        def __init__(self, path: str, transform: object, **more: Any) -> None:
            super().__init__(path=path, transform=transform, **more)

    ours = load(
        "hsmix_udtransnet", Config={}, Load_Dataset={"ImageToImage2D_kfold": Kept, "ValGenerator": ValGenerator}
    )
    for folder, name in (("Train_Folder", "train-a.png"), ("Val_Folder", "val-b.png")):
        (tmp_path / folder / "img").mkdir(parents=True)
        (tmp_path / folder / "img" / name).touch()
    train_folder = f"{tmp_path}/Train_Folder/"

    ((train, val),) = ours.KFold(n_splits=5, shuffle=True).split(["train-a.png"])

    assert (train.tolist(), val.tolist()) == ([0], [])
    rows = ours.ImageToImage2D_kfold(train_folder, None, filelists=["train-a.png"], split="train")
    assert (rows.path, rows.filelists) == (train_folder, ["train-a.png"])
    rows = ours.ImageToImage2D_kfold(train_folder, ValGenerator(), filelists=[], split="val")
    assert (rows.path, rows.filelists) == (f"{tmp_path}/Val_Folder/", ["val-b.png"])
    tested = ours.ImageToImage2D_kfold("Test_Folder/", ValGenerator(), filelists=["c.png"], split="test")
    assert (tested.path, tested.filelists) == ("Test_Folder/", ["c.png"])
