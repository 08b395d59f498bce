"""Small sources of every layout, value convention and noise, drawn with the class of each pixel known."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow
from scipy import ndimage

Array = npt.NDArray[Any]
Save = Callable[[Array, Path], None]

SIZE = 48
COUNT = 6
ODD = 3
"""The one mask that noise is in."""
ANY = -1
"""In the truth: whatever is read here is right."""
EMPTY, LACKING = 1, 2
"""Masks without foreground, and without their last class, where there are such."""


@dataclass
class Drawn:
    """Masks by name as they are written, and the class of each of their pixels."""

    masks: dict[str, Array]
    truth: dict[str, Array]
    n_classes: int
    tolerance: float = 0.0
    """Share of pixels of a mask that may be read otherwise, as a lossy format has moved them."""


@dataclass(frozen=True)
class Corpus:
    """A source to be drawn.

    Attributes
    ----------
    name : str
    draw : callable
        Returns its masks.
    write : callable
        Writes images and masks into a folder and returns the source.
    """

    name: str
    draw: Callable[[], Drawn]
    write: Callable[[Path, Drawn], Path]


def classes_of(number: int, n_classes: int) -> Array:
    """Return (H, W) class ids: discs inside each other, at a place of their own."""
    y, x = np.mgrid[:SIZE, :SIZE]
    apart = np.hypot(y - 21 - number % 4, x - 25 + number % 3)
    ids = np.zeros((SIZE, SIZE), np.int64)
    for class_id in range(1, n_classes):
        ids[apart < 17 - 13 * (class_id - 1) / n_classes] = class_id
    return ids


def image_of(number: int) -> Array:
    """Return an image that is unlike the others, (H, W, 3) uint8."""
    return np.random.default_rng([5, number]).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


CONVENTIONS: dict[str, tuple[int, ...]] = {
    "ids2": (0, 1),
    "ids3": (0, 1, 2),
    "ids4": (0, 1, 2, 3),
    "ids5": (0, 1, 2, 3, 4),
    "bw": (0, 255),
    "greys3": (0, 128, 255),
    "greys4": (0, 85, 170, 255),
}
NOISES = ("none", "pixel", "edge", "edges", "empty", "lacking", "other")


def draw(convention: str, noise: str) -> Drawn:
    """Return masks of a convention with noise of a kind: in one of them, or in all (``edges``)."""
    values = np.array(CONVENTIONS[convention])
    is_ids = convention.startswith("ids")
    drawn = Drawn({}, {}, len(values))
    for number in range(COUNT):
        ids = classes_of(number, len(values))
        if noise == "empty" and number == EMPTY:
            ids[:] = 0
        if noise == "lacking" and number == LACKING:
            ids[ids == len(values) - 1] = 0
        mask, truth = values[ids], ids.copy()
        if number == ODD or noise == "edges":
            mask, truth = _NOISE.get(noise, _unchanged)(mask, truth, is_ids)
        drawn.masks[f"case_{number:02d}"] = mask
        drawn.truth[f"case_{number:02d}"] = truth
    return drawn


def _unchanged(mask: Array, truth: Array, is_ids: bool) -> tuple[Array, Array]:
    return mask, truth


def _with_pixel(mask: Array, truth: Array, is_ids: bool) -> tuple[Array, Array]:
    mask, truth = mask.copy(), truth.copy()
    mask[1, 1], truth[1, 1] = (255 if is_ids else 77), ANY
    return mask, truth


def _with_edges(mask: Array, truth: Array, is_ids: bool) -> tuple[Array, Array]:
    """Return an outline of 255 around objects of ids, and greys between others as bilinear resampling makes them."""
    if is_ids:
        inside = mask > 0
        edge = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)
        mask = np.where(edge, 255, mask)
    else:
        soft = np.rint(ndimage.uniform_filter(mask.astype(np.float64), 2)).astype(mask.dtype)
        edge = soft != mask
        mask = soft
    return mask, np.where(edge, ANY, truth)


def _of_other(mask: Array, truth: Array, is_ids: bool) -> tuple[Array, Array]:
    """Return a mask of two classes of the other convention."""
    return np.where(mask > 0, 255 if is_ids else 1, 0), np.where(truth > 0, 1, 0)


_NOISE: dict[str, Callable[[Array, Array, bool], tuple[Array, Array]]] = {
    "pixel": _with_pixel, "edge": _with_edges, "edges": _with_edges, "other": _of_other,
}  # fmt: skip


def save_png(mask: Array, path: Path, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> None:
    """Write a mask as grey picture: PNG, or GIF, whose palette holds the values of this file only."""
    Pillow.fromarray(mask.astype(dtype)).save(path)


save_wide_png = partial(save_png, dtype=np.uint16)


def save_rgb(mask: Array, path: Path) -> None:
    """Write a mask with its grey in three channels and an opaque alpha channel."""
    grey = mask.astype(np.uint8)
    Pillow.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])).save(path)


def save_tiff(mask: Array, path: Path) -> None:
    """Write a mask as TIFF of floats."""
    tifffile.imwrite(path, mask.astype(np.float32))


def save_alpha(mask: Array, path: Path) -> None:
    """Write a mask as the alpha channel over black."""
    grey = mask.astype(np.uint8)
    Pillow.fromarray(np.dstack([grey * 0] * 3 + [grey])).save(path)


def save_jpeg(quality: int) -> Save:
    """Return what writes a mask as JPEG."""
    return lambda mask, path: Pillow.fromarray(mask.astype(np.uint8)).save(path, quality=quality)


def save_palette(colours: Sequence[int], *, shuffled: bool) -> Save:
    """Return what writes ids as indices of a palette, its order the same or another in each file."""
    numbers = np.random.default_rng(1)

    def save(mask: Array, path: Path) -> None:
        order = numbers.permutation(len(colours)) if shuffled else np.arange(len(colours))
        picture = Pillow.fromarray(order[mask].astype(np.uint8), "P")
        table = np.zeros((256, 3), np.uint8)
        for class_id, index in enumerate(order):
            table[index] = [colours[class_id] >> 16, colours[class_id] >> 8 & 255, colours[class_id] & 255]
        picture.putpalette(table.tobytes())
        picture.save(path)

    return save


def in_folders(save: Save, ending: str = "png") -> Callable[[Path, Drawn], Path]:
    """Return what writes images/NAME.png and masks/NAME.png."""

    def write(folder: Path, drawn: Drawn) -> Path:
        _save_images(folder / "images", drawn, "{}.png")
        (folder / "masks").mkdir()
        for name, mask in drawn.masks.items():
            save(mask, folder / "masks" / f"{name}.{ending}")
        return folder

    return write


def side_by_side(folder: Path, drawn: Drawn) -> Path:
    """Write NAME.png and NAME_mask.png into one folder."""
    _save_images(folder / "all", drawn, "{}.png")
    for name, mask in drawn.masks.items():
        save_png(mask, folder / "all" / f"{name}_mask.png")
    return folder


def as_isic(folder: Path, drawn: Drawn) -> Path:
    """Write ISIC's names of images and masks."""
    _rename(drawn, "ISIC_00000{}")
    _save_images(folder / "Data", drawn, "{}.jpg")
    (folder / "GroundTruth").mkdir()
    for name, mask in drawn.masks.items():
        save_png(mask, folder / "GroundTruth" / f"{name}_segmentation.png")
    return folder


def as_list(folder: Path, drawn: Drawn) -> Path:
    """Write a list of images and masks."""
    _save_images(folder, drawn, "i_{}.png")
    rows = []
    for name, mask in drawn.masks.items():
        save_png(mask, folder / f"m_{name}.png")
        rows.append(f"i_{name}.png,m_{name}.png,{name}")
    (folder / "list.csv").write_text("image,mask,id\n" + "\n".join(rows) + "\n")
    return folder / "list.csv"


def by_class(folder: Path, drawn: Drawn) -> Path:
    """Write a mask for each class, in a folder of the class."""
    _save_images(folder / "images", drawn, "{}.png")
    for name, mask in drawn.masks.items():
        values = CONVENTIONS["greys3"]
        for class_id, value in enumerate(values[1:], start=1):
            (folder / "masks" / f"kind{class_id}").mkdir(parents=True, exist_ok=True)
            one = np.where(mask == value, 255, np.where(np.isin(mask, values), 0, mask))
            save_png(one, folder / "masks" / f"kind{class_id}" / f"{name}.png")
    return folder


def as_arrays(ending: str, dtype: str) -> Callable[[Path, Drawn], Path]:
    """Return what writes images and masks of a type: both into NAME.npz or NAME.h5, or apart as npy."""

    def write(folder: Path, drawn: Drawn) -> Path:
        for number, (name, mask) in enumerate(drawn.masks.items()):
            image, labels = image_of(number)[..., 0], mask.astype(dtype)
            if ending == "npz":
                np.savez(folder / f"{name}.npz", image=image, label=labels)
            elif ending == "h5":
                with h5py.File(folder / f"{name}.h5", "w") as file:
                    file["image"], file["mask"] = image, labels
            else:
                for kind, array in (("images", image), ("masks", labels)):
                    (folder / kind).mkdir(exist_ok=True)
                    np.save(folder / kind / f"{name}.npy", array)
        return folder

    return write


def as_synapse(folder: Path, drawn: Drawn) -> Path:
    """Write slices as TransUNet has them."""
    (folder / "train_npz").mkdir()
    (folder / "lists").mkdir()
    _rename(drawn, "case00{}_slice000")
    drawn.n_classes = 9  # as many as the layout has, whether masks hold them or not
    for number, (name, mask) in enumerate(drawn.masks.items()):
        np.savez(folder / "train_npz" / f"{name}.npz", image=image_of(number)[..., 0] / 255, label=mask)
    (folder / "lists" / "train.txt").write_text("\n".join(drawn.masks) + "\n")
    return folder


def as_trees(ending: str, *, scale: bool = False) -> Callable[[Path, Drawn], Path]:
    """Return what writes imagesTr and labelsTr as nnU-Net (ending ``_0000``) or MSD has them, in volumes of two slices.

    Labels are stored as integers, or as floats with a scale.
    """

    def write(folder: Path, drawn: Drawn) -> Path:
        for number, (name, mask) in enumerate(drawn.masks.items()):
            _save_volume(image_of(number)[..., 0].astype(np.float32), folder / "imagesTr" / f"{name}{ending}.nii.gz")
            labels = mask.astype(np.float64 if scale else np.uint8)
            _save_volume(labels, folder / "labelsTr" / f"{name}.nii.gz", as_labels=True)
        names = {"background": 0, **{f"class {i}": i for i in range(1, drawn.n_classes)}}
        form = {"channel_names": {"0": "MRI"}, "labels": names, "numTraining": COUNT, "file_ending": ".nii.gz"}
        (folder / "dataset.json").write_text(json.dumps(form))
        return folder

    return write


def as_brats(folder: Path, drawn: Drawn) -> Path:
    """Write a folder of four modalities and labels for each case; class 3 is the label 4."""
    for number, (name, mask) in enumerate(drawn.masks.items()):
        for modality in ("t1", "t1ce", "t2", "flair"):
            _save_volume(image_of(number)[..., 0].astype(np.float32), folder / name / f"{name}_{modality}.nii.gz")
        _save_volume(np.where(mask == 3, 4, mask).astype(np.uint8), folder / name / f"{name}_seg.nii.gz")
    return folder


def as_glas(folder: Path, drawn: Drawn) -> Path:
    """Write img and labelcol, with numbers of glands."""
    for kind in ("img", "labelcol"):
        (folder / "train" / kind).mkdir(parents=True)
    _rename(drawn, "{}")
    _save_images(folder / "train" / "img", drawn, "{}.png")
    for name, mask in drawn.masks.items():
        save_png(mask, folder / "train" / "labelcol" / f"{name}.png")
    drawn.truth = {f"train_{name}": truth for name, truth in drawn.truth.items()}
    return folder


def _save_volume(plane: Array, path: Path, *, as_labels: bool = False) -> None:
    """Write a plane (H, W) as a volume of two slices."""
    path.parent.mkdir(exist_ok=True)
    turn = np.diag([-1.0, -1.0, 3.0, 1.0])
    volume: Any = nibabel.Nifti1Image(np.stack([plane.T] * 2, axis=-1), turn)  # type: ignore[no-untyped-call]
    if as_labels:
        volume.set_data_dtype(np.uint8)
    nibabel.save(volume, path)


def _save_images(folder: Path, drawn: Drawn, pattern: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(drawn.masks):
        Pillow.fromarray(image_of(number)).save(folder / pattern.format(name))


def _rename(drawn: Drawn, pattern: str) -> None:
    """Give masks the names of a layout, which end in other characters than their numbers."""
    for held in (drawn.masks, drawn.truth):
        for name in list(held):
            held[pattern.format(name.rpartition("_")[2])] = held.pop(name)


def _drawn_instances() -> Drawn:
    """Return masks in which each object has a number of its own, all of one class."""
    drawn = Drawn({}, {}, 2)
    for number, objects in enumerate((5, 7, 3, 8, 6, 4)):
        mask = np.zeros((SIZE, SIZE), np.int64)
        for k in range(objects):
            top, left = 12 * (k // 3) + 2, 15 * (k % 3) + 2
            mask[top : top + 9, left : left + 11] = k + 1
        drawn.masks[f"case_{number:02d}"] = mask
        drawn.truth[f"case_{number:02d}"] = (mask > 0).astype(np.int64)
    return drawn


def corpus() -> Iterator[Corpus]:
    """Yield all sources."""
    layouts: dict[str, Callable[[Path, Drawn], Path]] = {
        "folder": in_folders(save_png), "suffix": side_by_side, "isic": as_isic, "list": as_list,
    }  # fmt: skip
    for (layout, write), convention, noise in product(layouts.items(), CONVENTIONS, NOISES):
        if layout != "isic" or convention == "bw":  # ISIC's masks are 0 and 255
            yield Corpus(f"{layout}-{convention}-{noise}", _lazy(convention, noise), write)
    saves: dict[str, Callable[[Path, Drawn], Path]] = {
        "png16": in_folders(save_wide_png), "rgba": in_folders(save_rgb), "tiff": in_folders(save_tiff, "tif"),
    }  # fmt: skip
    for (name, write), convention, noise in product(saves.items(), ("ids3", "bw"), ("none", "pixel", "edges")):
        yield Corpus(f"{name}-{convention}-{noise}", _lazy(convention, noise), write)
    for convention, noise, quality in product(("bw", "greys3", "greys4"), ("none", "empty", "lacking"), (60, 90)):
        write = in_folders(save_jpeg(quality), "jpg")
        yield Corpus(f"jpeg{quality}-{convention}-{noise}", _lazy(convention, noise, 0.05), write)
    arrays = ("npz", "npy", "h5")
    for ending, dtype, noise in product(arrays, ("uint8", "int64", "float64"), NOISES):
        yield Corpus(f"{ending}-{dtype}-{noise}", _lazy("ids3", noise), as_arrays(ending, dtype))
    for ending in arrays:
        yield Corpus(f"{ending}-bool", _lazy("ids2", "none"), as_arrays(ending, "bool"))
        yield Corpus(f"{ending}-instances", _drawn_instances, as_arrays(ending, "uint16"))
    for noise in NOISES:
        yield Corpus(f"classes-{noise}", _lazy("greys3", noise), by_class)
        yield Corpus(f"synapse-{noise}", _lazy("ids5", noise), as_synapse)
        yield Corpus(f"nnunet-{noise}", _lazy("ids3", noise), as_trees("_0000"))
        yield Corpus(f"msd-{noise}", _lazy("ids3", noise), as_trees(""))
        yield Corpus(f"brats-{noise}", _lazy("ids4", noise), as_brats)
    yield Corpus("nnunet-scaled", _lazy("ids3", "none"), as_trees("_0000", scale=True))
    yield Corpus("glas-instances", _drawn_instances, as_glas)
    yield Corpus("folder-instances", _drawn_instances, in_folders(save_wide_png))
    yield Corpus("alpha", _lazy("bw", "none"), in_folders(save_alpha))
    colours = (0x000000, 0x00FF00, 0xFF0000)
    for ending, shuffled, noise in product(("png", "tif", "gif", "bmp"), (False, True), ("none", "lacking")):
        write = in_folders(save_palette(colours, shuffled=shuffled), ending)
        yield Corpus(f"palette-{ending}-{shuffled}-{noise}", _lazy("ids3", noise), write)
    for convention, noise in product(("bw", "greys3"), ("none", "empty", "lacking")):
        yield Corpus(f"gif-{convention}-{noise}", _lazy(convention, noise), in_folders(save_png, "gif"))


def _lazy(convention: str, noise: str, tolerance: float = 0.0) -> Callable[[], Drawn]:
    return lambda: replace(draw(convention, noise), tolerance=tolerance)
