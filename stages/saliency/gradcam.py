"""Grad-CAM saliency of segmentation networks [1]_: one forward and one backward pass for a batch, and nothing else.

What is explained is the score of the foreground against the background. Nothing stays behind on a network: hooks are
always released, parameters may be frozen, outputs may be dictionaries or lists, and no NaN leaves. The maps are those
of the library pytorch-grad-cam, with which tests compare them. It takes six seconds to import, and fetches activations
and gradients from the GPU: the methods that most people use are written here, the others are the library's own.

References
----------
.. [1] Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
   ICCV 2017, doi:10.1109/ICCV.2017.74; for segmentation Vinogradova et al., AAAI 2020, arXiv:2002.11434.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

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

CamMethod = Literal["gradcam", "gradcam++", "layercam", "hirescam", "xgradcam", "eigengradcam", "elementwise"]
CamTarget = Literal["predicted", "truth", "all"]
Precision = Literal["fp32", "bf16", "fp16"]

_Images = npt.NDArray[np.generic]
_Masks = npt.NDArray[np.integer] | None
_Maps = npt.NDArray[np.float32]
_One = TypeVar("_One")
_EPS_PLUS_PLUS = 1e-6
_OF_LIBRARY: dict[CamMethod, str] = {
    "xgradcam": "XGradCAM",
    "eigengradcam": "EigenGradCAM",
    "elementwise": "GradCAMElementWise",
}
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


class GradCam:
    """Grad-CAM of one network at one network layer, or at several, which share their forward and backward passes.

    Nothing stays behind on the network between calls: no hook, no gradient, no changed ``requires_grad``. It
    is moved to `device` and put in evaluation mode for good.

    On a CPU a batch gives what its images give one by one but for the last bits of a sum. On a GPU libraries choose
    other ways to compute for other sizes of a batch, in reduced precision: there maps have to agree within 0.02, which
    ``make bench-gpu`` measures.

    Parameters
    ----------
    network : Module
        (N, C, H, W) float32 in, logits (see `logits_of`) out; it may be frozen.
    layers : iterable of str
        Dotted names; a layer must run once and put out (N, C, h, w). See `rank_layers` for the choice. Those that
        cannot be used have no maps.
    options : CamOptions
        How maps are computed.
    device : device or str
        Where the network runs.

    Raises
    ------
    ModelError
        If the network is TorchScript, has no parameters, or none of the layers can be used: the error of the first.
    """

    def __init__(
        self, network: nn.Module, layers: Iterable[str], options: CamOptions, *, device: torch.device | str = "cpu"
    ) -> None:
        self._options = options
        self._device = torch.device(device)
        self._layers: dict[str, nn.Module] = {}
        problems: list[ModelError] = []
        for name in layers:
            try:
                self._layers[name] = require_layer(network, name)
            except ModelError as problem:
                problems.append(problem)
        if not self._layers:
            raise problems[0]
        if next(network.parameters(), None) is None:
            raise ModelError(
                f"{type(network).__name__} must have parameters, got none; give a trained network or choose "
                "another --saliency"
            )
        self._network = network.to(self._device).eval()
        if self._device.type == "cuda":
            # The order in which its convolutions compute in reduced precision without turning pixels around.
            self._network = self._network.to(memory_format=torch.channels_last)
        self._batch = options.batch

    def maps(self, images: _Images, masks: _Masks = None) -> _Maps:
        """Compute the saliency of images by the first layer that can be used, in batches.

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
        # While a GPU computes a batch, the one before is taken and the one after made ready.
        firsts = (next(iter(maps.values())) for _, maps in self.batches(images, masks))
        sent = (_Sent(self.finished(maps, images)) for maps in firsts)
        with torch_threads(self._options.threads):
            parts = [maps.arrived() for maps in _one_behind(sent)]
        return np.concatenate([np.zeros((0, *images.shape[1:3]), np.float32), *parts])

    def batches(self, images: _Images, masks: _Masks) -> Iterator[tuple[slice, Mapping[str, "torch.Tensor"]]]:
        """Yield the images of each batch with their raw maps at each layer; see `maps`."""
        truth = self._truth(images, masks)
        start = 0
        while start < len(images):
            rows = slice(start, start + self._batch)
            raw = self._try(images[rows], None if truth is None else truth[rows])
            if raw is not None:
                yield slice(start, start + len(images[rows])), raw
                start = rows.stop

    def finished(self, raw: torch.Tensor, images: _Images) -> torch.Tensor:
        """Return raw maps of a layer at the size of the images, (N, H, W) in [0, 1], on the device."""
        maps = resize_bilinear(raw[:, None], (images.shape[1], images.shape[2]))[:, 0]
        least, most = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
        extent = most - least
        # What overflowed to NaN or infinity means nothing; both show in the extent.
        return ((maps - least) / extent.where(extent > 0, 1)).where(torch.isfinite(extent), 0)

    def _truth(self, images: _Images, masks: _Masks) -> _Masks:
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

    def _try(self, images: _Images, masks: _Masks) -> Mapping[str, torch.Tensor] | None:
        """Return the raw maps of one batch, or halve the batch and return None if the GPU's memory is short."""
        try:
            return self._raw_maps(to_input(images, side=self._options.side), masks)
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

    def _raw_maps(self, tensor: torch.Tensor, masks: _Masks) -> Mapping[str, torch.Tensor]:
        """Return (N, h, w) maps of 0 and more at the size of the network's input, on the device."""
        watched = _Watched(self._layers)
        with _frozen(self._network), torch.enable_grad():
            with watched, self._autocast():
                output = self._network(self._sent(tensor))
            logits = logits_of(output, key=self._options.output_key)
            if len(logits) != len(tensor):
                raise ModelError(
                    f"the network must return one result for each image, got {len(logits)} for {len(tensor)}; "
                    "wrap it or choose another --output-key"
                )
            scores = foreground_scores(logits, multilabel=self._options.multilabel)  # (N, F, h, w)
            weights = _weights(logits.detach(), masks, self._options).to(scores.dtype)
            gradients = watched.gradients(scores, weights)
        size = (tensor.shape[2], tensor.shape[3])
        with torch.no_grad():
            return {name: _raw_map(self._options.method, *pair, size) for name, pair in gradients.items()}

    def _sent(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor on the device, on its way to a GPU while this process goes on."""
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True, memory_format=torch.channels_last)

    def _autocast(self) -> AbstractContextManager[Any]:
        """Return the context of reduced precision, which is for GPUs only."""
        dtype = _REDUCED.get(self._options.precision)
        if dtype is None or self._device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", dtype=dtype)


class _Sent:
    """Maps on their way from the device to this process."""

    def __init__(self, maps: torch.Tensor) -> None:
        self._maps, self._event = maps, None
        if maps.is_cuda:
            self._maps = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True).copy_(maps, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def arrived(self) -> _Maps:
        """Wait for the maps."""
        if self._event is not None:
            self._event.synchronize()
        return self._maps.numpy()


class _Watched:
    """What some layers put out in one forward pass, and the gradients there.

    The graph begins at the first of them: the gradients at its output and behind are those of the whole graph. What
    lies before is run without a graph, which saves most of the memory and of the backward pass, and works for frozen
    parameters as well.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self._layers = layers
        self._outputs: dict[str, torch.Tensor] = {}
        self._problems: dict[str, ModelError] = {}

    def __enter__(self) -> None:
        # Ahead of the network's own hooks, so that they see the tensor that gradients reach.
        self._handles = [
            layer.register_forward_hook(self._keeper(name), prepend=True) for name, layer in self._layers.items()
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def gradients(self, scores: torch.Tensor, weights: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return output and gradient of each layer that can be used, (N, C, h, w) float32.

        Raises ModelError if none can, the error of the first.
        """
        usable = {name: output for name, output in self._outputs.items() if name not in self._problems}
        found: Sequence[torch.Tensor | None] = [None] * len(usable)
        if usable and scores.requires_grad:
            # Of a sum, and not with ``grad_outputs``: the same gradients, but torch imports sympy for the latter.
            found = torch.autograd.grad((scores * weights).sum(), list(usable.values()), allow_unused=True)
        gradients = {
            name: (output.detach().float(), gradient.float())
            for (name, output), gradient in zip(usable.items(), found, strict=True)
            if gradient is not None
        }
        if not gradients:
            first = next(iter(self._layers))
            raise self._problems.get(first) or ModelError(
                f"the logits must depend on layer {first!r}, got no gradient: it does not run, feeds another output, "
                "or the network switches gradients off; choose another --layer"
            )
        return gradients

    def _keeper(self, name: str) -> Any:
        def keep(_layer: nn.Module, _inputs: object, output: object) -> torch.Tensor | None:
            problem = self._problem(name, output)
            if problem is not None:
                self._problems.setdefault(name, ModelError(f"layer {name!r} {problem}; choose another --layer"))
                return None
            assert isinstance(output, torch.Tensor)
            self._outputs[name] = output if output.requires_grad else output.detach().requires_grad_()
            # A layer behind may change the clone in place.
            return self._outputs[name].clone()

        return keep

    def _problem(self, name: str, output: object) -> str | None:
        if name in self._outputs:
            return "must run once in a forward pass, got a second run, which makes its map ambiguous"
        if not isinstance(output, torch.Tensor) or output.ndim != 4 or not output.is_floating_point():
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            return f"must put out floats of shape (N, C, h, w), got {shape}"
        return None


def _weights(logits: torch.Tensor, masks: _Masks, options: CamOptions) -> torch.Tensor:
    """Return where each foreground score of (N, K, h, w) logits counts, (N, F, h, w) bool.

    Where the target names no pixel of an image, all of its pixels count.
    """
    if options.target == "all":
        return torch.ones_like(foreground_scores(logits, multilabel=options.multilabel), dtype=torch.bool)
    if masks is None:
        pixels = predicted_foreground(logits, multilabel=options.multilabel)
    else:
        pixels = (_true_regions if options.multilabel else _true_classes)(masks, logits)
    return pixels | ~pixels.flatten(1).any(dim=1)[:, None, None, None]


def _true_regions(masks: npt.NDArray[np.integer], logits: torch.Tensor) -> torch.Tensor:
    """Return the (N, K, h, w) pixels of the channels of (N, H, W, K) masks."""
    n_channels, size = masks.shape[3], (logits.shape[2], logits.shape[3])
    if n_channels != logits.shape[1]:
        raise ModelError(
            f"a multi-label network must give one logit channel for each of the {n_channels} channels of the "
            f"masks, got {logits.shape[1]}; use a network of that many channels or --output-key"
        )
    planes = np.moveaxis(masks, 3, 1).reshape(-1, *masks.shape[1:3])
    return (resize_mask(planes, size) == 1).reshape(len(masks), n_channels, *size).to(logits.device)


def _true_classes(masks: npt.NDArray[np.integer], logits: torch.Tensor) -> torch.Tensor:
    """Return the (N, F, h, w) pixels of the classes above 0 of (N, H, W) masks."""
    greatest = int(masks[masks != IGNORE].max(initial=0))
    if greatest >= n_classes_of(logits):
        raise ModelError(
            f"the masks must hold classes 0 to {n_classes_of(logits) - 1}, as the network has "
            f"{logits.shape[1]} logit channels, got {greatest}; map them with --mask-values"
        )
    class_ids = resize_mask(masks, (logits.shape[2], logits.shape[3])).to(logits.device)
    return pixels_of_classes(class_ids, n_classes_of(logits))


def _raw_map(
    method: CamMethod, activation: torch.Tensor, gradient: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Return the (N, *size) map of (N, C, h, w) activations and gradients: 0 and more, of any scale."""
    if method in _OF_LIBRARY:
        raw = _library_map(_OF_LIBRARY[method], activation, gradient)
    else:
        raw = (_pixel_weights(method, activation, gradient) * activation).sum(dim=1, keepdim=True)
    return functional.interpolate(raw.clamp(min=0), size, mode="bilinear", align_corners=False)[:, 0]


def _pixel_weights(method: CamMethod, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return what activations are multiplied by, (N, C, h, w) or (N, C, 1, 1)."""
    if method == "gradcam":
        return gradient.mean(dim=(2, 3), keepdim=True)
    if method == "gradcam++":
        return _plus_plus(activation, gradient).sum(dim=(2, 3), keepdim=True)
    return gradient.clamp(min=0) if method == "layercam" else gradient


def _library_map(kind: str, activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the (N, 1, h, w) map that a class of pytorch-grad-cam makes of activations and gradients."""
    import pytorch_grad_cam

    # It asks for a network only to watch it, which is done.
    layer = nn.Conv2d(1, 1, 1)
    cam = getattr(pytorch_grad_cam, kind)(model=layer, target_layers=[layer])
    cam.activations_and_grads.release()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        raw = cam.get_cam_image(None, layer, None, activation.cpu().numpy(), gradient.cpu().numpy(), False)
    return torch.from_numpy(np.asarray(raw, np.float32))[:, None].to(activation.device)


def _plus_plus(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the weight of each pixel of each channel by Grad-CAM++ [1]_, equation 19.

    References
    ----------
    .. [1] Chattopadhay et al., "Grad-CAM++", WACV 2018, arXiv:1710.11063.
    """
    square = gradient**2
    share = square / (2 * square + activation.sum(dim=(2, 3), keepdim=True) * square * gradient + _EPS_PLUS_PLUS)
    return gradient.clamp(min=0) * share.where(gradient != 0, 0)


def _one_behind(values: Iterable[_One]) -> Iterator[_One]:
    """Yield each value when the next one is there."""
    waiting: list[_One] = []
    for value in values:
        yield from waiting
        waiting = [value]
    yield from waiting


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
