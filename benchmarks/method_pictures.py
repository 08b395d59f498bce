"""Write docs/methods.md and a picture of each method from two images of the demonstration."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from hsmix_gen.pipeline.cli.demo import SIDE, draw_lesion
from hsmix_gen.pipeline.cli.listings import method_text
from hsmix_gen.pipeline.mixing.panels import as_rgb, soft_colours, with_contour, with_share
from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.families import METHODS
from hsmix_gen.schemas.records import Mode, SamplePlan
from hsmix_gen.stages.mixing.method import Parent, method_named
from hsmix_gen.stages.mixing.sample import make_sample
from hsmix_gen.stages.superpixels import slic_regions

ROOT = Path(__file__).parents[1]
GAP, SEED = 4, 4
NUMBERS = (3, 8)
SELECTIONS = ("bernoulli", "connected", "object", "object-mask")
HEAD = """# Mixing methods

`hsmix-gen methods` prints this list. Each picture shows A, B, how much of B enters (dimmed: less), the mix and its soft
label; of a method with two modes the hard one stands above. `python benchmarks/method_pictures.py` draws them anew.
"""


def main() -> None:
    """Write the manual and its pictures."""
    a, b = (_parent(number) for number in NUMBERS)
    folder = ROOT / "docs" / "pictures" / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    for name in METHODS.names:
        modes = method_named(name).modes
        rows = [_row(a, b, name, mode, "bernoulli") for mode in modes]
        _save(rows, folder / f"{name}.png")
        parts.append(f"## {name}\n\n```\n{method_text(name)}\n```\n\n![{name}](pictures/methods/{name}.png)\n")
    _save([_row(a, b, "hsmix", "hard", kind) for kind in SELECTIONS], folder / "selections.png")
    parts.append(
        "## Selections of hsmix\n\n`--selection bernoulli`, `connected`, `object` and `object-mask`, one below the "
        "other:\n\n![selections](pictures/methods/selections.png)\n"
    )
    (ROOT / "docs" / "methods.md").write_text("\n".join(parts), encoding="utf-8")


def _parent(number: int) -> Parent:
    image, mask = draw_lesion(number)
    (labels,) = slic_regions.segment(image, [60], compactness=None, sigma=1.0, mask=None)
    saliency = np.clip(255 - image.astype(int).sum(axis=2) // 3, 0, 255).astype(np.uint8)
    return Parent(image, (mask > 0).astype(np.uint8), labels, saliency)


def _row(a: Parent, b: Parent, name: str, mode: Mode, selection: str) -> Any:
    chances = (0, mode == "hard", mode == "soft")
    mix = MixConfig.model_validate({"method": name, "probabilities": chances, "selection": selection})
    plan = SamplePlan("k", "train", mode, 0, 1, SEED, "s", 0, name)
    made = make_sample(plan, a, b, mix, n_classes=2)
    panels = [
        with_contour(as_rgb(a.image), a.mask),
        with_contour(as_rgb(b.image), b.mask),
        with_share(as_rgb(b.image), made.weight_b),
        made.mixed.image,
        soft_colours(made.mixed.soft, first=1),
    ]
    white = np.full((SIDE, GAP, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, white)][:-1])


def _save(rows: list[Any], path: Path) -> None:
    white = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.vstack([part for row in rows for part in (row, white)][:-1])
    Pillow.fromarray(sheet).quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
