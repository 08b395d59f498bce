"""The choice of the network layer for Grad-CAM, by measurement.

No rule is safe: at the bottleneck of a U-Net, the usual advice, maps were hardly better than chance, while
the output of its last decoder block found the object.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam
from hsmix_gen.stages.saliency.quality import mean_of_defined, saliency_auc
from hsmix_gen.stages.saliency.torch_context import torch_threads


def rank_layers(
    network: nn.Module,
    candidates: Sequence[str],
    images: npt.NDArray[np.generic],
    masks: npt.NDArray[np.integer],
    *,
    options: CamOptions,
    device: torch.device | str = "cpu",
) -> list[tuple[str, float]]:
    """Order network layers by how well their Grad-CAM finds the foreground of training images.

    Parameters
    ----------
    network : Module
        See `GradCam`.
    candidates : sequence of str
        Dotted names, see `candidate_layers`.
    images : (N, H, W, C) uint8, uint16 or float32
        Images of the training split; some twenty are enough.
    masks : (N, H, W) or (N, H, W, K) integer
        Their masks, class ids or channels, 255 = ignore; see `GradCam.maps`.
    options : CamOptions
        As for the maps that will be made.
    device : device or str
        Where the network runs.

    Returns
    -------
    list of (str, float)
        Best first, with the mean of `saliency_auc` over the images that show both foreground and background;
        NaN, at the end, if none does or the layer cannot be used. 0.5 is chance. Of equal layers the one
        nearer to the output comes first.

    Raises
    ------
    ModelError
        If no candidate can be used; the error is that of the first.
    """
    aucs: dict[str, list[float]] = {name: [] for name in candidates}
    # One pass for all; a layer that the logits do not depend on, an auxiliary branch for one, has no map.
    cams = GradCam(network, aucs, options, device=device)
    with torch_threads(options.threads):
        for rows, raw in cams.batches(images, masks):
            for name, maps in raw.items():
                found = cams.finished(maps, images).cpu().numpy()
                aucs[name] += [saliency_auc(one, mask) for one, mask in zip(found, masks[rows], strict=True)]
    measured = [(name, mean_of_defined(aucs[name])) for name in reversed(candidates)]
    return sorted(measured, key=lambda one: -math.inf if math.isnan(one[1]) else one[1], reverse=True)
