"""Grad-CAM: what in an image the logits of a network depend on; your network, or a small U-Net that is fitted.

The maps are made by workers that hold the network, see `stages.saliency.gradcam`; this module loads no torch.
"""

from hsmix_gen.stages.saliency.backend import Backend

BACKEND = Backend(
    map_of=None,
    libraries=("torch", "grad-cam", "monai", "numpy"),
    options=("model", "weights", "layer", "output_key"),
)
