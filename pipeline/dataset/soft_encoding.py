"""Soft labels as bytes, in four forms that hold the same labels; ``benchmarks/soft_encodings.py`` measures them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_npz, encode_png, read_npy, read_npz
from hsmix_gen.schemas.config import SoftEncoding
from hsmix_gen.schemas.errors import ConfigError, OutputError
from hsmix_gen.schemas.records import IGNORE, DatasetFacts
from hsmix_gen.stages.labels.labels import SoftLabel, soft_label
from hsmix_gen.stages.labels.soft_pairs import label_pair, pair_shares, shares_of

SOFT_NAME = "soft"
PAIR_NAMES = ("class_a", "class_b", "weight_b")


@dataclass(frozen=True)
class SoftForm:
    """One way to store a soft label."""

    member: str
    """Name of the member of a sample."""
    encode: Callable[[SoftLabel], bytes]
    """From a (C, H, W) soft label to the bytes of the member, the same for equal labels."""
    decode: Callable[[bytes, tuple[int, ...]], SoftLabel]
    """From the bytes of a member or column and the (C, H, W) of the label to the label, (C, H, W) float16.

    Whatever the bytes are not is raised by whoever finds it; the shape is the caller's to check.
    """
    expand: str
    """For people: how the stored arrays become the label."""


def check_soft_encoding(encoding: SoftEncoding, facts: DatasetFacts) -> None:
    """Refuse a form that cannot hold the labels of a dataset.

    Raises
    ------
    ConfigError
        If pairs are asked for and labels are multi-label: any number of channels may have a share of a pixel.
    """
    if encoding == "pair" and facts.multilabel:
        raise ConfigError(
            "--soft-encoding pair holds two classes a pixel, but the labels are multi-label; "
            "use --soft-encoding npz, npy or png"
        )


def encode_column(soft: SoftLabel, encoding: SoftEncoding, member: bytes) -> bytes:
    """Return what the Parquet column holds: the member, but npy for npz, as pages are compressed by themselves."""
    return encode_npy(soft) if encoding == "npz" else member


def describe_soft(encoding: SoftEncoding, facts: DatasetFacts) -> dict[str, Any]:
    """Return what ``dataset.json`` states about soft labels, enough to read them without this program."""
    n_classes, (height, width) = facts.n_classes, facts.size
    form = SOFT_FORMS[encoding]
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


def _decode_pair(data: bytes, shape: tuple[int, ...]) -> SoftLabel:
    stored = read_npz(data)
    planes = (_plane(_named(stored, name), shape[1:]) for name in PAIR_NAMES)
    return soft_label(pair_shares(*planes, n_classes=shape[0]))


def _decode_planes(data: bytes, shape: tuple[int, ...]) -> SoftLabel:
    n_classes, height, width = shape
    return soft_label(_plane(imagecodecs.png_decode(data), (n_classes * height, width)).reshape(shape))


def _named(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[Any]:
    if name not in arrays:
        raise OutputError(f"has a soft label without the array {name}")
    return arrays[name]


def _plane(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if array.shape != tuple(shape) or array.dtype != np.uint8:
        raise OutputError(f"has a soft label stored as {array.shape} {array.dtype}, expected {tuple(shape)} uint8")
    return array


SOFT_FORMS: dict[SoftEncoding, SoftForm] = {
    "npz": SoftForm(
        "soft.npz",
        lambda soft: encode_npz({SOFT_NAME: soft}),
        lambda data, _: _named(read_npz(data), SOFT_NAME),
        "as stored",
    ),
    "npy": SoftForm("soft.npy", encode_npy, lambda data, _: read_npy(data), "as stored"),
    "pair": SoftForm(
        "pair.npz",
        lambda soft: encode_npz(dict(zip(PAIR_NAMES, label_pair(shares_of(soft)), strict=True))),
        _decode_pair,
        f"soft[c] = ((class_a == c) * (255 - weight_b) + (class_b == c) * weight_b) / 255; class {IGNORE} = ignore",
    ),
    "png": SoftForm(
        "soft.png",
        lambda soft: encode_png(shares_of(soft).reshape(-1, soft.shape[-1])),
        _decode_planes,
        "soft = stored.reshape(C, H, W) / 255",
    ),
}
