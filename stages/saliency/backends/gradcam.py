"""Grad-CAM: what in an image the logits of a network depend on; your network, or a small U-Net that is fitted.

The maps are made by workers that hold the network, see `stages.saliency.gradcam`; this module loads no torch.
"""

from hsmix_gen.stages.saliency.backend import Backend

BACKEND = Backend(
    map_of=None,
    # 3: fitted once, to upright images, for as many steps as the maps need; the weights are an average over steps.
    version=3,
    libraries=("torch", "grad-cam", "numpy"),
    options=(
        *("model", "weights", "layer", "output_key"),
        *("cam", "target", "side", "batch", "probe_images", "fit_steps"),
    ),
)
