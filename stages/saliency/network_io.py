"""What enters and leaves a segmentation network: images to tensors, outputs to logits, logits to classes.

A network has K = 1 logit channel (binary: foreground where the logit is above 0) or K >= 2 (the argmax, with
class 0 the background). A multi-label network has one channel for each region, none for the background; a region
is where its own logit is above 0.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from hsmix_gen.schemas.errors import ModelError

# A U-Net of four halvings needs sides of 2 * 16: instance norm refuses a bottleneck of one pixel.
_LEAST_SIDE, _MULTIPLE = 32, 16
# What counts as 1 in each type of image.
_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}
# Entries that torchvision and transformers use for the logits, tried when no name is given.
_USUAL_KEYS = ("logits", "out")


def input_size(height: int, width: int, *, side: int | None) -> tuple[int, int]:
    """Return the (height, width) in pixels at which images of one size enter a network.

    Parameters
    ----------
    height, width : int
        Size of the images in pixels.
    side : int or None
        Longest side wanted; images are never enlarged beyond rounding: both sides are rounded to a multiple of 16, and
        to 32 at least. None keeps the size as it is.
    """
    if side is None:
        return height, width
    scale = min(1.0, side / max(height, width))
    rounded = (max(_LEAST_SIDE, _MULTIPLE * round(length * scale / _MULTIPLE)) for length in (height, width))
    return next(rounded), next(rounded)


def to_input(images: npt.NDArray[np.generic], *, side: int | None = None) -> torch.Tensor:
    """Turn images into the input of a network.

    Parameters
    ----------
    images : (N, H, W, C) uint8, uint16 or float32
        Integers are divided by the greatest value of their type (255, 65535); floats are taken as they are.
    side : int or None
        Longest side in pixels, see `input_size`; None keeps the size. Resizing is bilinear and antialiased.

    Returns
    -------
    (N, C, h, w) float32
        On the CPU, so that a network sees equal numbers on every device.

    Raises
    ------
    ValueError
        If `images` has another shape or type.
    """
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, H, W, C), got {images.shape}")
    if images.dtype not in _WHITE:
        raise ValueError(f"images must be uint8, uint16 or float32, got {images.dtype}")
    channels_first = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    tensor = torch.from_numpy(channels_first / np.float32(_WHITE[images.dtype]))
    return resize_bilinear(tensor, input_size(images.shape[1], images.shape[2], side=side))


def resize_bilinear(tensor: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (N, C, H, W) float32 to (N, C, *size), bilinear with half-pixel centres, antialiased."""
    if tuple(tensor.shape[-2:]) == size:
        return tensor
    return functional.interpolate(tensor, size, mode="bilinear", align_corners=False, antialias=True)


def resize_mask(masks: npt.NDArray[np.integer], size: tuple[int, int]) -> torch.Tensor:
    """Resize (N, H, W) class ids to (N, *size) int64 by the nearest pixel, so that no id is invented."""
    tensor = torch.from_numpy(masks.astype(np.int64))
    if tuple(tensor.shape[-2:]) == size:
        return tensor
    # Interpolation works on floats, which hold ids up to 2**24 exactly.
    return functional.interpolate(tensor[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def logits_of(output: object, *, key: str | None = None) -> torch.Tensor:
    """Take the logits out of whatever a network returns.

    Parameters
    ----------
    output : tensor, mapping, tuple, list or object with fields
        Of nested containers the outermost is searched by `key`, the inner ones as if there were none.
    key : str or None
        Name of the entry or field, or index into a list or tuple (``"0"``, ``"-1"``). None takes the first of
        a list or tuple (deep supervision puts the finest first), and the only entry of a mapping, or the one
        called ``logits`` or ``out``.

    Returns
    -------
    (N, K, h, w) float32
        Attached to the graph of `output`.

    Raises
    ------
    ModelError
        If there is no such entry or it is not a float tensor of that shape.
    """
    found = output if isinstance(output, torch.Tensor) and key is None else _entry(output, key)
    while not isinstance(found, torch.Tensor):
        found = _entry(found, None)
    if found.ndim != 4 or not found.is_floating_point():
        raise ModelError(
            f"the network's logits must be floats of shape (N, K, h, w), got {tuple(found.shape)} "
            f"{found.dtype}; name another entry of its output with --output-key"
        )
    return found.float()


def foreground_scores(logits: torch.Tensor, *, multilabel: bool = False) -> torch.Tensor:
    """Return by how much each foreground class, or region, beats the background.

    A softmax does not see what is added to all logits of a pixel, so that one of them alone means nothing;
    its difference from the background's does. With two classes it is what a head of one channel puts out.

    Parameters
    ----------
    logits : (..., K, h, w) float32
        Of one channel (binary) or K >= 2.
    multilabel : bool
        Whether every channel is a region of its own, which a sigmoid reads.

    Returns
    -------
    (..., F, h, w) float32
        The logits themselves of one channel, F = 1, and in multi-label, F = K; otherwise those of the classes
        above 0 minus that of class 0, F = K - 1.
    """
    if multilabel or logits.shape[-3] == 1:
        return logits
    return logits[..., 1:, :, :] - logits[..., :1, :, :]


def predicted_foreground(logits: torch.Tensor, *, multilabel: bool = False) -> torch.Tensor:
    """Return the (..., F, h, w) bool pixels predicted as each of the `foreground_scores`; regions may overlap."""
    if multilabel:
        return logits > 0
    return pixels_of_classes(predicted_classes(logits), n_classes_of(logits))


def pixels_of_classes(class_ids: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Return where each class above 0 is, (..., n_classes - 1, h, w) bool, from (..., h, w) ids; 255 is nowhere."""
    classes = torch.arange(1, n_classes, device=class_ids.device)
    return class_ids[..., None, :, :] == classes[:, None, None]


def predicted_classes(logits: torch.Tensor) -> torch.Tensor:
    """Return the (..., h, w) int64 class ids that (..., K, h, w) logits choose."""
    if logits.shape[-3] == 1:
        return (logits[..., 0, :, :] > 0).long()
    return logits.argmax(dim=-3)


def n_classes_of(logits: torch.Tensor) -> int:
    """Return how many classes, the background among them, (..., K, h, w) logits distinguish."""
    return max(2, logits.shape[-3])


def _entry(container: object, key: str | None) -> object:
    """Return one entry of a network's output."""
    if isinstance(container, Mapping):
        return _entry_of_mapping({str(name): value for name, value in container.items()}, key)
    if key is not None and hasattr(container, key):
        return getattr(container, key)
    if isinstance(container, (tuple, list)):
        return _entry_of_sequence(container, key)
    wanted = "a tensor, mapping, list or tuple" if key is None else f"something with an entry {key!r}"
    raise ModelError(
        f"the network must return {wanted}, got {type(container).__name__}; "
        "choose another entry with --output-key or wrap the network"
    )


def _entry_of_mapping(entries: Mapping[str, object], key: str | None) -> object:
    """Return the entry called `key`, or the one that can only be meant."""
    if key is None:
        usual = [name for name in _USUAL_KEYS if name in entries]
        key = next(iter(entries)) if len(entries) == 1 else next(iter(usual), None)
    if key is None or key not in entries:
        asked = "no entry logits or out" if key is None else f"no entry {key!r}"
        raise ModelError(f"the network's output has {asked}, got {sorted(entries)}; choose one with --output-key NAME")
    return entries[key]


def _entry_of_sequence(entries: tuple[object, ...] | list[object], key: str | None) -> object:
    """Return the entry at index `key`, or the first."""
    try:
        return entries[int(key or 0)]
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"the network returns {len(entries)} outputs, the entry {key or 0} is none of them; "
            f"choose --output-key 0 to {len(entries) - 1}"
        ) from error
