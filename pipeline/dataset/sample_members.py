"""Samples as bytes, the same for equal samples."""

from typing import Any

from hsmix_gen.pipeline.dataset.array_bytes import encode_npy, encode_png
from hsmix_gen.pipeline.dataset.soft_encoding import decode_soft, encode_column, encode_soft, soft_member
from hsmix_gen.schemas import arrays
from hsmix_gen.schemas.config import SoftEncoding
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.stages.mixing.mixing import Mixed

__all__ = [
    "decode_soft", "encode_column", "encode_image", "encode_members", "encode_npy", "encode_png", "encode_soft",
    "image_is_png", "image_member", "member_names", "soft_member",
]  # fmt: skip


def image_is_png(channels: int, dtype: str) -> bool:
    """Return whether images are stored as PNG (8 bit with 1, 3 or 4 channels, 16 bit with 1) or else as npy."""
    return (dtype == "uint8" and channels in (1, 3, 4)) or (dtype == "uint16" and channels == 1)


def image_member(channels: int, dtype: str) -> str:
    """Return the name of the image member, ``image.png`` or ``image.npy``."""
    return "image.png" if image_is_png(channels, dtype) else "image.npy"


def member_names(channels: int, dtype: str, soft_encoding: SoftEncoding) -> list[str]:
    """Return the names of all members of a sample, sorted as they stand in a tar file."""
    return sorted([image_member(channels, dtype), "json", "mask.png", soft_member(soft_encoding)])


def encode_image(image: arrays.Image) -> bytes:
    """Return an (H, W, C) image as the bytes of a PNG file, or of an npy file where PNG cannot hold it."""
    if image_is_png(image.shape[-1], str(image.dtype)):
        return encode_png(image[..., 0] if image.shape[-1] == 1 else image)
    return encode_npy(image)


def encode_members(mixed: Mixed, provenance: dict[str, Any], soft_encoding: SoftEncoding = "npz") -> dict[str, bytes]:
    """Return the members of one sample by name: image.png or image.npy, json, mask.png and the soft label."""
    image = mixed.image
    return {
        image_member(image.shape[-1], str(image.dtype)): encode_image(image),
        "json": canonical_json(provenance).encode(),
        "mask.png": encode_png(mixed.mask),
        soft_member(soft_encoding): encode_soft(mixed.soft, soft_encoding),
    }
