"""Grad-CAM: what in an image the logits of a network depend on; your network, or a small U-Net that is fitted.

The maps are made by workers that hold the network, see `stages.saliency.gradcam`; this module loads no torch.
"""

from hsmix_gen.stages.saliency.backend import Backend

BACKEND = Backend(
    map_of=None,
    # 2: fitted in 40 steps where they are enough; maps are computed in torch, with a U-Net of our own.
    version=2,
    libraries=("torch", "grad-cam", "numpy"),
    options=("model", "weights", "layer", "output_key"),
)
