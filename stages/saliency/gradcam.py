"""Grad-CAM saliency of segmentation networks [1]_, computed by the library pytorch-grad-cam.

What is explained is the score of the foreground against the background. The library is wrapped where it
would surprise: hooks are always released, its context manager, which swallows errors, is not used, parameters
may be frozen, outputs may be dictionaries or lists, and no NaN leaves.

References
----------
.. [1] Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
   ICCV 2017, doi:10.1109/ICCV.2017.74; for segmentation Vinogradova et al., AAAI 2020, arXiv:2002.11434.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.labels import collapse_batch
from hsmix_gen.stages.saliency.network_io import (
    foreground_scores,
    logits_of,
    n_classes_of,
    pixels_of_classes,
    predicted_foreground,
    resize_bilinear,
    resize_mask,
    to_input,
)
from hsmix_gen.stages.saliency.network_layers import require_layer
from hsmix_gen.stages.saliency.torch_context import torch_threads

CamMethod = Literal["gradcam", "gradcam++", "layercam", "hirescam"]
CamTarget = Literal["predicted", "truth", "all"]
Precision = Literal["fp32", "bf16", "fp16"]

_Maps = npt.NDArray[np.float32]
_REDUCED: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class CamOptions:
    """How maps are computed."""

    method: CamMethod = "gradcam"
    target: CamTarget = "predicted"
    """Pixels over which the score of each foreground class (see `foreground_scores`) is summed: those
    predicted as that class, those that truly are of it, or all."""
    multilabel: bool = False
    """Whether every logit channel is a region of its own, without background, which a sigmoid reads."""
    side: int | None = None
    """Longest side of the network's input in pixels; None: the size of the images."""
    batch: int = 8
    """Images per forward pass; halved whenever the GPU's memory is short."""
    output_key: str | None = None
    """Entry of the network's output that holds the logits, see `logits_of`."""
    precision: Precision = "fp32"
    """Arithmetic under autocast on a GPU; the CPU always uses fp32."""
    threads: int = 1
    """CPU threads of torch; the last bits of the maps depend on their number."""

    def __post_init__(self) -> None:
        for name in ("batch", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")


class GradCamSaliency:
    """Grad-CAM of one network at one network layer.

    Nothing stays behind on the network between calls: no hook, no gradient, no changed ``requires_grad``. It
    is moved to `device` and put in evaluation mode for good.

    Parameters
    ----------
    network : Module
        (N, C, H, W) float32 in, logits (see `logits_of`) out; it may be frozen.
    layer : str
        Dotted name; the layer must run once and put out (N, C, h, w). See `rank_layers` for the choice.
    options : CamOptions
        How maps are computed.
    device : device or str
        Where the network runs.

    Raises
    ------
    ModelError
        If the network is TorchScript, has no parameters or no such network layer.
    """

    def __init__(
        self, network: nn.Module, layer: str, options: CamOptions, *, device: torch.device | str = "cpu"
    ) -> None:
        module = require_layer(network, layer)
        if next(network.parameters(), None) is None:
            raise ModelError(
                f"{type(network).__name__} must have parameters, got none; give a trained network or choose "
                "another --saliency"
            )
        self._network = network.to(device).eval()
        self._layer = module
        self._layer_name = layer
        self._options = options
        self._device = torch.device(device)
        self._batch = options.batch

    def maps(self, images: npt.NDArray[np.generic], masks: npt.NDArray[np.integer] | None = None) -> _Maps:
        """Compute the saliency of images, in batches; a batch gives what its images give one by one.

        Parameters
        ----------
        images : (N, H, W, C) uint8, uint16 or float32
            See `to_input`.
        masks : (N, H, W) or (N, H, W, K) integer, or None
            Class ids, or channels of 0 and 1, 255 = ignore; needed by, and read for, the target ``truth`` only. A
            multi-label network needs channels, any other reads channels as `labels.collapse` does.

        Returns
        -------
        (N, H, W) float32
            In [0, 1]; 0 and 1 are both reached, unless a map shows nothing, or the network overflowed: then it is 0
            everywhere. Where the target names no foreground pixel of an image, all of its pixels are taken.

        Raises
        ------
        ModelError
            If the network layer cannot be used, the mask holds a class that the network does not have, or one image
            alone exceeds the GPU's memory.
        ValueError
            If masks are missing, differ from the images in size, or lack the channels of multi-label.
        """
        truth = self._truth(images, masks)
        parts = [np.zeros((0, *images.shape[1:3]), np.float32)]
        start = 0
        with torch_threads(self._options.threads):
            while start < len(images):
                rows = slice(start, start + self._batch)
                part = self._try(images[rows], None if truth is None else truth[rows])
                if part is not None:
                    parts.append(part)
                    start += len(part)
        return np.concatenate(parts)

    def _truth(
        self, images: npt.NDArray[np.generic], masks: npt.NDArray[np.integer] | None
    ) -> npt.NDArray[np.integer] | None:
        """Return the masks if the target reads them."""
        if self._options.target != "truth":
            return None
        if masks is None:
            raise ValueError("target truth needs masks, got None; pass them or use target predicted")
        if masks.shape[:3] != images.shape[:3]:
            raise ValueError(f"masks must have the images' shape {images.shape[:3]}, got {masks.shape}")
        if not self._options.multilabel:
            return collapse_batch(masks)
        if masks.ndim != 4:
            raise ValueError(f"masks of a multi-label network must be (N, H, W, K), got {masks.shape}")
        return masks

    def _try(self, images: npt.NDArray[np.generic], masks: npt.NDArray[np.integer] | None) -> _Maps | None:
        """Return the maps of one batch, or halve the batch and return None if the GPU's memory is short."""
        try:
            return self._batch_maps(images, masks)
        except torch.cuda.OutOfMemoryError as error:
            if len(images) == 1:
                raise ModelError(
                    f"a batch of 1 image of {images.shape[1]} x {images.shape[2]} exceeds the memory of "
                    f"{self._device}; lower saliency.side or run on the CPU"
                ) from error
        # Outside the handler: the traceback, which holds the failed batch's tensors, is gone by now.
        self._batch = len(images) // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _batch_maps(self, images: npt.NDArray[np.generic], masks: npt.NDArray[np.integer] | None) -> _Maps:
        """Return the maps of images that fit into memory together."""
        height, width = images.shape[1:3]
        tensor = to_input(images, side=self._options.side)
        targets = [_PixelSum(self._options, None if masks is None else masks[row]) for row in range(len(images))]
        raw = torch.from_numpy(self._raw_maps(tensor.to(self._device), targets))  # (N, h, w)
        # What overflowed to NaN or infinity means nothing.
        raw[~torch.isfinite(raw).all(dim=2).all(dim=1)] = 0
        return _stretch(resize_bilinear(raw[:, None], (height, width))[:, 0].numpy())

    def _raw_maps(self, tensor: torch.Tensor, targets: list["_PixelSum"]) -> _Maps:
        """Return the library's (N, h, w) maps at the size of the network's input."""
        adapter = _FromLayer(self._network, self._layer, self._layer_name, self._options.output_key)
        cam = _cam_class(self._options.method)(
            model=adapter, target_layers=[self._layer], reshape_transform=_detached_float
        )
        try:
            # Maps that overflow become 0 afterwards, numpy need not warn.
            with (
                _frozen(self._network),
                torch.enable_grad(),
                self._autocast(),
                np.errstate(over="ignore", invalid="ignore", divide="ignore"),
            ):
                maps: _Maps = cam(input_tensor=tensor, targets=targets)
                return maps
        finally:
            cam.activations_and_grads.release()

    def _autocast(self) -> AbstractContextManager[Any]:
        """Return the context of reduced precision, which is for GPUs only."""
        dtype = _REDUCED.get(self._options.precision)
        if dtype is None or self._device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", dtype=dtype)


class _PixelSum:
    """The number that is explained: foreground scores of one image, summed over the pixels of a target."""

    def __init__(self, options: CamOptions, mask: npt.NDArray[np.integer] | None) -> None:
        self._target = options.target
        self._multilabel = options.multilabel
        self._mask = mask

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the sum over (K, h, w) logits as a scalar."""
        scores = foreground_scores(logits, multilabel=self._multilabel)  # (F, h, w)
        if self._target == "all":
            return scores.sum()
        pixels = self._pixels(logits)  # (F, h, w)
        return scores[pixels].sum() if bool(pixels.any()) else scores.sum()

    def _pixels(self, logits: torch.Tensor) -> torch.Tensor:
        """Return where each score counts, (F, h, w) bool."""
        if self._mask is None:
            return predicted_foreground(logits.detach(), multilabel=self._multilabel)
        if self._multilabel:
            return self._true_regions(self._mask, logits)
        return self._true_classes(self._mask, logits)

    def _true_regions(self, mask: npt.NDArray[np.integer], logits: torch.Tensor) -> torch.Tensor:
        """Return the (K, h, w) pixels of the channels of an (H, W, K) mask."""
        if mask.shape[2] != len(logits):
            raise ModelError(
                f"a multi-label network must give one logit channel for each of the {mask.shape[2]} channels of the "
                f"masks, got {len(logits)}; use a network of that many channels or --output-key"
            )
        channels = resize_mask(np.moveaxis(mask, 2, 0), (logits.shape[1], logits.shape[2]))
        return (channels == 1).to(logits.device)

    def _true_classes(self, mask: npt.NDArray[np.integer], logits: torch.Tensor) -> torch.Tensor:
        """Return the (F, h, w) pixels of the classes above 0 of an (H, W) mask."""
        greatest = int(mask[mask != IGNORE].max(initial=0))
        if greatest >= n_classes_of(logits):
            raise ModelError(
                f"the masks must hold classes 0 to {n_classes_of(logits) - 1}, as the network has "
                f"{logits.shape[0]} logit channels, got {greatest}; map them with --mask-values"
            )
        class_ids = resize_mask(mask[None], (logits.shape[1], logits.shape[2]))[0].to(logits.device)
        return pixels_of_classes(class_ids, n_classes_of(logits))


class _FromLayer(nn.Module):
    """A network that returns logits and whose gradients reach back to the output of one network layer, no further.

    The gradient at that output is the same as in the whole graph. What lies before is run without a graph,
    which saves most of the memory and of the backward pass, and works for frozen parameters as well.
    """

    def __init__(self, network: nn.Module, layer: nn.Module, name: str, output_key: str | None) -> None:
        super().__init__()
        self.network = network
        # In a tuple it is not registered a second time.
        self._watched = (layer,)
        self._name = name
        self._output_key = output_key
        self._runs = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the (N, K, h, w) logits of (N, C, H, W) images."""
        self._runs = 0
        # Ahead of the library's hooks, so that they see the tensor from which gradients are asked.
        handle = self._watched[0].register_forward_hook(self._cut, prepend=True)
        try:
            output = self.network(images)
        finally:
            handle.remove()
        logits = logits_of(output, key=self._output_key)
        if len(logits) != len(images):
            raise ModelError(
                f"the network must return one result for each image, got {len(logits)} for {len(images)}; "
                "wrap it or choose another --output-key"
            )
        if self._runs == 0 or not logits.requires_grad:
            raise ModelError(
                f"the logits must depend on layer {self._name!r}, got no gradient: it does not run, feeds "
                "another output, or the network switches gradients off; choose another --layer"
            )
        return logits

    def _cut(self, _layer: nn.Module, _inputs: object, output: object) -> torch.Tensor:
        """Put a fresh start of the graph in place of the layer's output."""
        self._runs += 1
        if self._runs > 1:
            raise ModelError(
                f"layer {self._name!r} must run once in a forward pass, got a second run, "
                "which makes its map ambiguous; choose another --layer"
            )
        if not isinstance(output, torch.Tensor) or output.ndim != 4 or not output.is_floating_point():
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ModelError(
                f"layer {self._name!r} must put out floats of shape (N, C, h, w), got {shape}; choose another --layer"
            )
        # The clone is no leaf, so that a layer behind may change it in place.
        return output.detach().requires_grad_().clone()


def _detached_float(activation: torch.Tensor) -> torch.Tensor:
    """Copy what the library keeps: a later layer may work in place, and numpy knows no bfloat16."""
    return activation.detach().to(torch.float32, copy=True)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Ask no gradients of the parameters, which would cost time and stay behind in ``.grad``."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _cam_class(method: CamMethod) -> Any:
    """Return the library's class, imported here: it brings OpenCV, matplotlib and scikit-learn along."""
    from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM

    return {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "layercam": LayerCAM, "hirescam": HiResCAM}[method]


def _stretch(maps: _Maps) -> _Maps:
    """Return (N, h, w) maps with least value 0 and greatest 1; flat ones become 0."""
    least = maps.min(axis=(1, 2), keepdims=True)
    extent = maps.max(axis=(1, 2), keepdims=True) - least
    stretched: _Maps = ((maps - least) / np.where(extent <= 0, np.float32(1), extent)).astype(np.float32)
    return stretched
