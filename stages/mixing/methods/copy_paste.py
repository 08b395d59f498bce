"""Copy-paste: whole objects of B stand in A, scaled if wanted."""

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.objects import draw_objects
from hsmix_gen.stages.mixing.scaling import draw_scale, scaled


class CopyPaste(Method):
    """Hard mixing by connected objects of B's mask, where B may be scaled about its middle first."""

    paper = (
        "Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation, CVPR 2021, "
        "doi:10.1109/CVPR46437.2021.00294, arXiv:2012.07177"
    )
    modes = ("hard",)
    formula = "M = 1 on a random subset of the objects of y_B, each drawn with chance 1/2, at least one"
    options = ("scale_range",)

    def weigh(self, pair: Pair) -> Weights:
        """Return whether each pixel is of a drawn object, and B as it was scaled."""
        scale = draw_scale(pair.generator("scale"), pair.mix.scale_range)
        moved = None if scale is None else scaled(pair.b, scale)
        pasted = draw_objects(pair.generator("objects"), (moved or pair.b).mask)
        flags = () if pasted.any() else ("no_object",)
        return Weights(pasted, flags, moved_b=moved, scale_b=scale)


METHOD = CopyPaste()
