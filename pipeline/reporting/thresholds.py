"""The rules of the report: what is judged, from where on it is doubtful or wrong, why, and the way out."""

import math
from dataclasses import dataclass
from typing import Literal

Light = Literal["green", "amber", "red", "grey"]
"""Grey: not measured, for want of images, masks, maps or mixed samples."""
SEVERITY: tuple[Light, ...] = ("red", "amber", "green", "grey")


@dataclass(frozen=True)
class Rule:
    """One thing that is judged."""

    name: str
    """How ``report.json`` names it."""
    title: str
    measure: str
    """What the number is."""
    amber: float | None
    """Bound beyond which a value has this light, on which it has not; None: never."""
    red: float | None
    """The same of red."""
    reason: str
    """Why these bounds: what measured sets have."""
    way_out: str
    """What a user can do."""
    low_is_bad: bool = False
    """Whether values below the bounds are bad, and not those above."""

    def light(self, value: float) -> Light:
        """Return the light of a value; NaN is not measured."""
        if math.isnan(value):
            return "grey"
        for light, bound in (("red", self.red), ("amber", self.amber)):
            if bound is not None and (value < bound if self.low_is_bad else value > bound):
                return light  # type: ignore[return-value]
        return "green"


RULES = (
    Rule(
        "leakage", "Leakage", "groups, images and contents in two splits", None, 0,
        "one patient in training and test flatters every result",
        "--split 0.8/0.1/0.1 draws splits by group; --group-by REGEX names the groups",
    ),
    Rule(
        "torn_groups", "Torn patients", "groups that names show in two splits", None, 0,
        "names such as p01_slice3 show patients, and a split that tears them flatters every result",
        "--split 0.8/0.1/0.1 draws splits by group; --group-by none states that names mean nothing",
    ),
    Rule(
        "near_duplicates", "Near duplicates across splits", "pairs that look alike (hashes within 4 bits)", 0, 5,
        "of 51,691 pairs of 120 lesions and 299 blood cells three lie within 4 bits, and they show the same cell",
        "remove one of each pair, or put both into one group with --group-by",
    ),
    Rule(
        "empty_class", "Empty classes", "classes without a pixel in the training images", None, 0,
        "a network cannot learn a class that it never sees; all sets measured have all of their classes",
        "name the right classes with --classes or --mask-values, or draw the split anew with another --seed",
    ),
    Rule(
        "class_balance", "Class balance after mixing", "factor by which the share of a class changed, the worst class", 1.5, 3,
        "mixing keeps shares on the average: 1.0 to 1.1 on ISIC, blood cells, hippocampus and glands",
        "lower --select, or -o mix.small_object_guard=true",
    ),
    Rule(
        "object_size", "Objects against superpixels", "median object in mean superpixel areas, over the images", 2, 1,
        "what is smaller than two superpixels is cut or swallowed by most mixes; ISIC has 10, glands 15, tumours 1.8",
        "more superpixels with --regions MIN MAX, or a larger --size",
        low_is_bad=True,
    ),
    Rule(
        "boundary_recall", "Superpixels against squares",
        "share of the contours that squares of equal number miss and superpixels follow, mean", 0.25, 0.05,
        "0.69 on ISIC, 0.58 on glands; a square grid has 0",
        "lower --compactness, more --regions, or --superpixels hierarchical",
        low_is_bad=True,
    ),
    Rule(
        "outweighed", "One superpixel above all", "area of the largest superpixel in median ones, median over the images", 10, 50,
        "a draw of it takes most of the image, and where lambda is a sum that of all others is near 0; 2 to 4 on ISIC, blood cells, "
        "hippocampus and glands, 400 on BraTS, where the air is one superpixel",
        "-o mix.aggregate=mean with --selection connected, which never takes so large a one; or crop to the body",
    ),
    Rule(
        "saliency_auc", "Saliency against masks", "AUC of the maps, median over the images", 0.6, 0.5,
        "0.5 is chance; fine-grained maps have 0.3 (ISIC, blood cells) to 0.7 (glands), Grad-CAM of the fitted network above 0.9",
        "--saliency gradcam, with your --model if you have one; hsmix-gen preview shows the maps",
        low_is_bad=True,
    ),
    Rule(
        "saliency_inverted", "Inverted saliency", "share of images whose map has an AUC below 0.5", 0.3, None,
        "such maps put the weight on the wrong parent; 7 % on glands, 77 % on ISIC with fine-grained maps",
        "--saliency gradcam, with your --model if you have one",
    ),
    Rule(
        "cut_objects", "Small objects cut", "share of the objects below four regions that a hard mix divides", 0.5, 0.75,
        "large objects are divided by design, small ones are torn: 0.40 on glands and hippocampus",
        "more --regions, lower --select, or --profile robust, which keeps small objects whole",
    ),
    Rule(
        "fragments", "Fragments", "share of hard mixes with more pieces below ten pixels than their parents", 0.6, 0.9,
        "slivers of objects at the seam: 0.4 on ISIC, 0.6 on blood cells and hippocampus, 0.8 on glands",
        "-o mix.small_object_guard=true, or fewer and larger superpixels",
    ),
    Rule(
        "seam", "Seams on contours", "share of the seam on contours of B above chance, median of hard mixes", 0.03, -0.02,
        "0.15 on ISIC, 0.12 on blood cells, 0.04 to 0.06 on hippocampus and glands; 0.02 with a square grid",
        "lower --compactness, or more --regions; --control square-grid shows what chance gives",
        low_is_bad=True,
    ),
    Rule(
        "domains", "Mixed domains", "share of the variance of looks between two kinds of images", 0.85, 0.92,
        "0.64 for a normal distribution, 0.75 for an even one; 0.54 to 0.88 on the sets measured, above 0.95 with two stains",
        "--partners similar mixes only images that look alike; or one run for each kind of images",
    ),
    Rule(
        "identity", "Samples without a mix", "share of hard samples that are one of their parents", 0.02, 0.2,
        "a draw takes no superpixel or all of them: 0.001 with 30 superpixels at --select 0.2",
        "more superpixels with --regions, or another --select",
    ),
    Rule(
        "flat_lambda", "Soft mixes without contrast", "share of soft samples whose lambda hardly varies", 0.1, 0.4,
        "with flat or missing maps soft mixing is plain Mixup; below 0.02 on the sets measured",
        "another --saliency, or --method mixup, which says so",
    ),
    Rule(
        "reuse", "Reuse of images", "samples made of each training image, on the average", 25, None,
        "5 to 20 copies are usual; beyond that storage grows and variety does not",
        "fewer --copies; more epochs over the same set cost nothing",
    ),
    Rule(
        "refused", "Refused sources", "share of the sources that were left out", 0.05, 0.25,
        "what is refused is missing in every epoch; the sets measured lose none",
        "refused.csv has the reason of each; hsmix-gen retry-refused takes those that were mended",
    ),
)  # fmt: skip
"""In the order of their weight: of equal lights the first is the more important."""
