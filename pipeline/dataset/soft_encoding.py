"""Soft labels as bytes, in four forms that hold the same labels; ``benchmarks/soft_encodings.py`` tells their cost."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_npz, encode_png
from hsmix_gen.schemas.config import SoftEncoding
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import IGNORE, DatasetFacts
from hsmix_gen.stages.labels.labels import SoftLabel, soft_label
from hsmix_gen.stages.labels.soft_pairs import label_pair, pair_shares, shares_of

SOFT_NAME = "soft"
PAIR_NAMES = ("class_a", "class_b", "weight_b")


@dataclass(frozen=True)
class SoftForm:
    """One way to store a soft label.

    Attributes
    ----------
    member : str
        Name of the member of a sample.
    encode : callable
        From a soft label to the bytes of the member.
    decode : callable
        From the bytes and the (C, H, W) of the label to the label.
    expand : str
        For people: how the stored arrays become the label.
    """

    member: str
    encode: Callable[[SoftLabel], bytes]
    decode: Callable[[bytes, tuple[int, ...]], SoftLabel]
    expand: str


def check_soft_encoding(encoding: SoftEncoding, facts: DatasetFacts) -> None:
    """Refuse a form that cannot hold the labels of a dataset.

    Raises
    ------
    ConfigError
        If pairs are asked for and labels are multi-label: any number of channels may have a share of a pixel.
    """
    if encoding == "pair" and facts.multilabel:
        raise ConfigError(
            "soft_encoding pair holds two classes a pixel, but the labels are multi-label; "
            "use --soft-encoding npz, npy or png"
        )


def soft_member(encoding: SoftEncoding) -> str:
    """Return the name of the member that holds the soft label."""
    return _FORMS[encoding].member


def encode_soft(soft: SoftLabel, encoding: SoftEncoding = "npz") -> bytes:
    """Return a (C, H, W) soft label as the bytes of its member, the same for equal labels."""
    return _FORMS[encoding].encode(soft)


def encode_column(soft: SoftLabel, encoding: SoftEncoding, member: bytes) -> bytes:
    """Return what the Parquet column holds: the member, but npy for npz, as pages are compressed by themselves."""
    return encode_npy(soft) if encoding == "npz" else member


def decode_soft(data: bytes, encoding: SoftEncoding, shape: tuple[int, ...]) -> SoftLabel:
    """Return the soft label of a member or column.

    Parameters
    ----------
    data : bytes
        As `encode_soft` or `encode_column` gives it.
    encoding : str
    shape : (C, H, W)
        What the label has to be.

    Raises
    ------
    ValueError
        If the bytes are not this.
    """
    try:
        soft = _FORMS[encoding].decode(data, shape)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, Pillow.DecompressionBombError) as error:
        raise ValueError(f"soft label is no {encoding} ({error})") from None
    if soft.shape != tuple(shape) or soft.dtype != np.float16:
        raise ValueError(f"soft label is {soft.shape} {soft.dtype}, expected {tuple(shape)} float16")
    return soft


def describe_soft(encoding: SoftEncoding, facts: DatasetFacts) -> dict[str, Any]:
    """Return what ``dataset.json`` tells of soft labels, enough to read them without this program."""
    n_classes, (height, width) = facts.n_classes, facts.size
    form = _FORMS[encoding]
    stored: dict[str, Any] = {
        "npz": {SOFT_NAME: [[n_classes, height, width], "float16"]},
        "npy": {"": [[n_classes, height, width], "float16"]},
        "pair": {name: [[height, width], "uint8"] for name in PAIR_NAMES},
        "png": {"": [[n_classes * height, width], "uint8"]},
    }[encoding]
    return {
        "encoding": encoding,
        "member": form.member,
        "parquet": "npy" if encoding == "npz" else form.member.rpartition(".")[2],
        **({"array": SOFT_NAME} if encoding == "npz" else {}),
        "stored": [{"array": name, "shape": shape, "dtype": dtype} for name, (shape, dtype) in stored.items()],
        "expand": form.expand,
        "shape": [n_classes, height, width],
        "dtype": "float16",
    }


def soft_encoding_of(dataset: Mapping[str, Any]) -> SoftEncoding:
    """Return in which form a dataset holds its soft labels, from its ``dataset.json``."""
    encoding: SoftEncoding = dataset.get("soft", {}).get("encoding", "npz")
    return encoding


def _encode_npz(soft: SoftLabel) -> bytes:
    return encode_npz({SOFT_NAME: soft})


def _encode_pair(soft: SoftLabel) -> bytes:
    return encode_npz(dict(zip(PAIR_NAMES, label_pair(shares_of(soft)), strict=True)))


def _encode_planes(soft: SoftLabel) -> bytes:
    return encode_png(shares_of(soft).reshape(-1, soft.shape[-1]))


def _decode_arrays(data: bytes, _shape: tuple[int, ...]) -> SoftLabel:
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    if isinstance(loaded, np.lib.npyio.NpzFile):
        loaded = loaded[SOFT_NAME]
    soft: SoftLabel = loaded
    return soft


def _decode_pair(data: bytes, shape: tuple[int, ...]) -> SoftLabel:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        class_a, class_b, weight_b = (_plane(archive[name], shape[1:]) for name in PAIR_NAMES)
    return soft_label(pair_shares(class_a, class_b, weight_b, n_classes=shape[0]))


def _decode_planes(data: bytes, shape: tuple[int, ...]) -> SoftLabel:
    n_classes, height, width = shape
    with Pillow.open(io.BytesIO(data), formats=["PNG"]) as picture:
        return soft_label(_plane(np.asarray(picture), (n_classes * height, width)).reshape(shape))


def _plane(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if array.shape != tuple(shape) or array.dtype != np.uint8:
        raise ValueError(f"it is stored as {array.shape} {array.dtype}, expected {tuple(shape)} uint8")
    return array


_FORMS: dict[SoftEncoding, SoftForm] = {
    "npz": SoftForm("soft.npz", _encode_npz, _decode_arrays, "as stored"),
    "npy": SoftForm("soft.npy", encode_npy, _decode_arrays, "as stored"),
    "pair": SoftForm(
        "pair.npz",
        _encode_pair,
        _decode_pair,
        f"soft[c] = ((class_a == c) * (255 - weight_b) + (class_b == c) * weight_b) / 255; class {IGNORE} = ignore",
    ),
    "png": SoftForm("soft.png", _encode_planes, _decode_planes, "soft = stored.reshape(C, H, W) / 255"),
}
