"""Samples as bytes, the same for equal samples, and their parts as arrays again, as fast as decoders can."""

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from hsmix_gen.pipeline.dataset.array_bytes import (
    encode_npy,
    encode_photograph,
    encode_png,
    read_npy,
    with_palette,
    without_palette,
)
from hsmix_gen.pipeline.dataset.class_colours import CLASS_COLOURS
from hsmix_gen.pipeline.dataset.soft_encoding import SOFT_FORMS, soft_encoding_of
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import OutputConfig, SoftEncoding
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.stages.mixing.mixing import Mixed

PARTS = ("image", "mask", "soft")
"""What a sample shows."""
_DEFAULT = OutputConfig()
WORDS = {"image": "image", "mask": "mask", "soft": "soft label"}
"""How messages name a part."""


def image_is_png(channels: int, dtype: str) -> bool:
    """Return whether images are stored as PNG (8 bit with 1, 3 or 4 channels, 16 bit with 1) or else as npy."""
    return (dtype == "uint8" and channels in (1, 3, 4)) or (dtype == "uint16" and channels == 1)


def image_member(channels: int, dtype: str) -> str:
    """Return the name of the image member, ``image.png`` or ``image.npy``."""
    return "image.png" if image_is_png(channels, dtype) else "image.npy"


def member_names(channels: int, dtype: str, soft_encoding: SoftEncoding) -> list[str]:
    """Return the names of all members of a sample, sorted as they stand in a tar file."""
    return sorted([image_member(channels, dtype), "json", "mask.png", SOFT_FORMS[soft_encoding].member])


def encode_image(image: arrays.Image) -> bytes:
    """Return an (H, W, C) image as the bytes of a PNG file, or of an npy file where PNG cannot hold it."""
    if image_is_png(image.shape[-1], str(image.dtype)):
        return encode_photograph(image[..., 0] if image.shape[-1] == 1 else image)
    return encode_npy(image)


def encode_members(mixed: Mixed, provenance: dict[str, Any], output: OutputConfig = _DEFAULT) -> dict[str, bytes]:
    """Return the members of one sample by name: image.png or image.npy, json, mask.png and the soft label."""
    image, mask, form = mixed.image, encode_png(mixed.mask), SOFT_FORMS[output.soft_encoding]
    return {
        image_member(image.shape[-1], str(image.dtype)): encode_image(image),
        "json": canonical_json(provenance).encode(),
        "mask.png": with_palette(mask, CLASS_COLOURS) if output.mask_palette else mask,
        form.member: form.encode(mixed.soft),
    }


def decoded(part: str, members: Mapping[str, bytes], described: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return a part of a stored sample, in its stored type.

    Errors do not name the sample: who knows its file and key puts them before the text (`formats.base.naming_sample`).

    Parameters
    ----------
    part : str
        ``image`` (C, H, W), ``mask`` (H, W) or ``soft`` (C, H, W).
    members : mapping
        Encoded members by name.
    described : mapping
        ``dataset.json``: how parts are stored.

    Raises
    ------
    OutputError
        If the part is missing, or of another shape or type; what a library finds wrong is raised as it is.
    """
    array = _DECODERS[part](members, described)
    # Samples that are evaluated on may have a size of their own, which the image states.
    height, width = array.shape[-2:] if described.get("eval_size") == "native" else described["size"]
    shape, dtype = {
        "image": ((described["channels"], height, width), described["dtype"]),
        "mask": ((height, width), "uint8"),
        "soft": ((described["soft"]["shape"][0], height, width), "float16"),
    }[part]
    if (array.shape, array.dtype.name) != (shape, dtype):
        got = f"{array.shape} {array.dtype}"
        raise OutputError(f"has its {WORDS[part]} as {got}, expected {shape} {dtype}")
    return array


def decode_image(members: Mapping[str, bytes], described: Mapping[str, Any]) -> npt.NDArray[Any]:  # noqa: ARG001
    """Return the image, (C, H, W)."""
    if "image.npy" in members:
        return np.ascontiguousarray(read_npy(members["image.npy"]).transpose(2, 0, 1))
    picture: npt.NDArray[Any] = imagecodecs.png_decode(member_of(members, "image.png"))
    return picture[None] if picture.ndim == 2 else np.ascontiguousarray(picture.transpose(2, 0, 1))


def decode_mask(members: Mapping[str, bytes], described: Mapping[str, Any]) -> npt.NDArray[Any]:  # noqa: ARG001
    """Return the mask, (H, W) uint8 class ids."""
    return imagecodecs.png_decode(without_palette(member_of(members, "mask.png")))


def decode_soft_of(members: Mapping[str, bytes], described: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the soft label, (C, H, W) float16."""
    stored = described["soft"]
    encoding, member = soft_encoding_of(described), stored.get("member", "soft.npz")
    if member not in members and "soft.npy" in members:
        encoding, member = "npy", "soft.npy"
    shape = tuple(stored["shape"])
    if described.get("eval_size") == "native":
        shape = (shape[0], *decode_mask(members, described).shape)
    return SOFT_FORMS[encoding].decode(member_of(members, member), shape)


def member_of(members: Mapping[str, bytes], name: str) -> bytes:
    """Return a member, which has to be there."""
    if name not in members:
        raise OutputError(f"has no member {name}")
    return members[name]


_DECODERS: dict[str, Callable[[Mapping[str, bytes], Mapping[str, Any]], npt.NDArray[Any]]] = {
    "image": decode_image,
    "mask": decode_mask,
    "soft": decode_soft_of,
}
