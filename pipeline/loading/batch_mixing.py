"""Mixing the images of a batch among each other, for those who load images, superpixels and saliency themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hsmix_gen.schemas.checking import check_effects, checked
from hsmix_gen.schemas.config import RunConfig, values_of_method
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.augmentation.augment import augmented, check_augmentation
from hsmix_gen.stages.mixing.draws import draw_parent
from hsmix_gen.stages.mixing.method import Parent, needs
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.mixing.sample import make_sample
from hsmix_gen.stages.planning.pairing import kind_of_pair, named_kind, planned_sample
from hsmix_gen.stages.planning.partners import partners
from hsmix_gen.stages.superpixels.label_maps import MAX_REGIONS

_DTYPES = (torch.uint8, torch.uint16, torch.float32)


def mix_batch(  # noqa: PLR0913 - tensors, and what decides the draws
    images: torch.Tensor,
    masks: torch.Tensor,
    superpixels: torch.Tensor | None = None,
    saliency: torch.Tensor | None = None,
    *,
    n_classes: int,
    method: str = "hsmix",
    seed: int = 0,
    step: int = 0,
    keys: Sequence[str] | None = None,
    others: Sequence[int] | None = None,
    **mix: Any,
) -> dict[str, Any]:
    """Mix each image of a batch with another one, by the code and the draws of datasets.

    It computes on the processor, image by image; what lies elsewhere is brought there and back.

    Parameters
    ----------
    images : (B, C, H, W) uint8, uint16 or float32
        At least two.
    masks : (B, H, W) or (B, K, H, W) uint8 or integer
        Class ids, or the channels of a multi-label mask; 255 is ignored.
    superpixels : (B, H, W) integer, optional
        Labels 0 to R - 1 of each image, where the method reads them.
    saliency : (B, H, W) uint8 or float32, optional
        0 to 255, or 0 to 1, where the method reads it.
    n_classes : int
        Classes, background included, or K.
    method : str
    seed, step : int
        Every draw follows from these two, the place in the batch and the purpose: count `step` up.
    keys : sequence of str, optional
        Names by which samples draw instead of step and place. Under the key of a sample of a dataset, its parents
        give that sample.
    others : sequence of int, optional
        Place in the batch of the other parent of each image; drawn, none with itself, if it is not given.
    **mix
        Other keys of the section ``mix`` of the configuration, such as ``probabilities`` and ``select``.

    Returns
    -------
    dict
        ``image`` (B, C, H, W) in the type of `images`; ``mask`` (B, H, W) int64; ``soft`` (B, n_classes, H, W)
        float32; ``mode``, a list of none, hard and soft; ``other`` (B,) int64, -1 where nothing is mixed in.

    Raises
    ------
    ConfigError
        If a value of the configuration is wrong, or the method needs what is not given.
    ValueError
        If shapes or types do not fit, or numbers of classes or superpixels are none.
    """
    config = _config(method, seed, mix).mix
    n_images = len(images)
    _check(images, masks, superpixels, saliency, n_classes)
    check_augmentation(config, images.shape[1], str(images.dtype).removeprefix("torch."))
    names = list(keys) if keys is not None else [f"batch-{step}-{place}" for place in range(n_images)]
    partner = list(others) if others is not None else partners(np.arange(n_images), step, seed=seed).tolist()
    if len(names) != n_images or len(partner) != n_images:
        raise ValueError(f"keys and others must be {n_images}, one for each image, got {len(names)} and {len(partner)}")
    parents = _parents(images, masks, superpixels, saliency)
    height, width = images.shape[2:]
    mixed, modes = [], []
    for place, (name, other) in enumerate(zip(names, partner, strict=True)):
        mode, chosen = named_kind(*kind_of_pair(name, config, seed=seed), config.methods)
        plan = planned_sample(name, "train", mode, config.policy, seed=seed, method=chosen)
        need = needs(mode, config, chosen)
        for part, wanted, there in (
            ("superpixels", need.superpixels, superpixels is not None),
            ("saliency", need.saliency, saliency is not None),
        ):
            if wanted and not there:
                raise ConfigError(f"method {chosen} reads {part} for {mode} mixing; give them, or another mode")
        a, b = (
            parent.turned(draw_parent(plan.seed, side, variants=1, size=(height, width), mix=config).transform)
            for side, parent in (("a", parents[place]), ("b", parents[other]))
        )
        made = make_sample(plan, a, None if mode == "none" else b, config, n_classes=n_classes)
        mixed.append(augmented(made.mixed, plan, config).mixed)
        modes.append(mode)
    others_used = [-1 if mode == "none" else other for mode, other in zip(modes, partner, strict=True)]
    return {**_stacked(mixed, images.device), "mode": modes, "other": torch.tensor(others_used)}


def _parents(
    images: torch.Tensor, masks: torch.Tensor, superpixels: torch.Tensor | None, saliency: torch.Tensor | None
) -> list[Parent]:
    """Return the images of a batch as the stages take them."""
    blank = np.zeros((len(images), *images.shape[2:]), np.uint8)
    labels = (blank if superpixels is None else superpixels.cpu().numpy()).astype(np.uint16)
    maps, planes = blank if saliency is None else _as_bytes(saliency), _as_bytes(masks)
    pixels = np.ascontiguousarray(images.cpu().numpy().transpose(0, 2, 3, 1))
    planes = planes if planes.ndim == 3 else np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return [Parent(*parts) for parts in zip(pixels, planes, labels, maps, strict=True)]


def _as_bytes(tensor: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Return whole numbers as they are, and shares in 255ths, uint8."""
    array = tensor.cpu().numpy()
    return (np.rint(array * 255) if array.dtype.kind == "f" else array).astype(np.uint8)


def _stacked(mixed: Sequence[Mixed], device: torch.device) -> dict[str, torch.Tensor]:
    images = np.stack([one.image.transpose(2, 0, 1) for one in mixed])
    arrays = {
        "image": images,
        "mask": np.stack([one.mask for one in mixed]).astype(np.int64),
        "soft": np.stack([one.soft for one in mixed]).astype(np.float32),
    }
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}


def _config(method: str, seed: int, mix: Mapping[str, Any]) -> RunConfig:
    given = {"mix.method": method, "seed": seed, **values_of_method(method)}
    named = {f"mix.{name}": value for name, value in mix.items()}
    config = checked(given | named)
    if config.mix.policy != "per-sample":
        raise ConfigError(f"a batch takes the policy per-sample alone, got {config.mix.policy}; leave it out")
    check_effects(config, named, {})
    return config


def _check(
    images: torch.Tensor,
    masks: torch.Tensor,
    superpixels: torch.Tensor | None,
    saliency: torch.Tensor | None,
    n_classes: int,
) -> None:
    """Refuse shapes, types and numbers that do not fit."""
    if images.ndim != 4 or images.dtype not in _DTYPES:
        raise ValueError(
            f"images must be (B, C, H, W) uint8, uint16 or float32, got {tuple(images.shape)} {images.dtype}"
        )
    n_images, _, height, width = images.shape
    if n_images < 2:
        raise ValueError(f"a batch must hold 2 images or more to be mixed, got {n_images}")
    plane = (n_images, height, width)
    for name, tensor, shapes in (
        ("masks", masks, (plane, (n_images, n_classes, height, width))),
        ("superpixels", superpixels, (plane,)),
        ("saliency", saliency, (plane,)),
    ):
        if tensor is not None and tuple(tensor.shape) not in shapes:
            raise ValueError(f"{name} must be {' or '.join(map(str, shapes))}, got {tuple(tensor.shape)}")
    for name, tensor in (("masks", masks), ("superpixels", superpixels)):
        if tensor is not None and tensor.is_floating_point():
            raise ValueError(f"{name} must hold whole numbers, got {tensor.dtype}")
    _check_numbers("masks", masks, n_classes if masks.ndim == 3 else 2, f", and {IGNORE} for what is ignored", IGNORE)
    if superpixels is not None:
        _check_numbers("superpixels", superpixels, MAX_REGIONS + 1)
    if saliency is not None and not 0 <= float(saliency.min()) <= float(saliency.max()) <= _white(saliency):
        raise ValueError(f"saliency must lie in 0 to {_white(saliency)}, got {saliency.min():g} to {saliency.max():g}")


def _check_numbers(name: str, tensor: torch.Tensor, count: int, also: str = "", *allowed: int) -> None:
    """Refuse numbers that are neither 0 to `count` - 1 nor among those that are allowed besides."""
    numbers = tensor.cpu().numpy()  # torch compares no unsigned numbers of 16 bits
    wrong = ((numbers < 0) | (numbers >= count)) & ~np.isin(numbers, allowed)
    if wrong.any():
        raise ValueError(f"{name} must be numbered 0 to {count - 1}{also}, got {numbers[wrong][0]}")


def _white(saliency: torch.Tensor) -> int:
    return 1 if saliency.is_floating_point() else 255
