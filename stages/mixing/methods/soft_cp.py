"""Soft-CP: objects of B stand in A with a soft edge, and labels alike."""

from hsmix_gen.stages.mixing.method import Method, Pair, Weights
from hsmix_gen.stages.mixing.objects import draw_objects
from hsmix_gen.stages.mixing.regions import limited
from hsmix_gen.stages.mixing.smoothing import blurred, in_255ths


class SoftCP(Method):
    """Soft mixing by connected objects of B's mask, blurred."""

    paper = (
        "Dai et al., Soft-CP: A Credible and Effective Data Augmentation for Semantic Segmentation of Medical Lesions, "
        "arXiv:2203.10507"
    )
    modes = ("soft",)
    formula = "lambda = G_s * M, M as in copy-paste, G_s a Gaussian of s = mix.edge_sigma pixels"
    options = ("edge_sigma", "lambda_range")

    def weigh(self, pair: Pair) -> Weights:
        """Return the blurred objects in 255ths."""
        pasted = draw_objects(pair.generator("objects"), pair.b.mask)
        flags = () if pasted.any() else ("no_object",)
        return Weights(limited(in_255ths(blurred(pasted, pair.mix.edge_sigma)), pair.mix.lambda_range), flags)


METHOD = SoftCP()
