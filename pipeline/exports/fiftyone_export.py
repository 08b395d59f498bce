"""FiftyOneDataset: data, masks beside it, and samples.json with what is known of each sample as fields to filter by."""

import json
import math
from dataclasses import asdict
from typing import Any

from hsmix_gen.pipeline.dataset.array_bytes import encode_png
from hsmix_gen.pipeline.exports.base import DatasetExporter, Export, Sample, check_pictures, write
from hsmix_gen.schemas.records import IGNORE, MEASURED

_FIELD = "ground_truth"
_MASKS = f"fields/{_FIELD}"
_MEASURES = [name for name in MEASURED if not name.startswith("pixels")]

GUIDE = f"""
FiftyOne imports this folder with images, masks, names of classes, and fields to sort and filter by:

    import fiftyone as fo
    dataset = fo.Dataset.from_dir(".", dataset_type=fo.types.FiftyOneDataset)
    fo.launch_app(dataset)

Splits, modes and flags are tags; parents, lambda and what was measured are fields, so that for example
dataset.match_tags("hard").sort_by("fragments", reverse=True) begins with what was torn most.
data/KEY.png are the images, {_MASKS}/KEY.png the masks: class ids, {IGNORE} = ignore. FiftyOne keeps their places, so
leave the folder where it is. Soft labels have no place in it.
"""


class FiftyOneExport(DatasetExporter):
    """Writes pictures, masks and one list of samples."""

    guide = GUIDE

    def __post_init__(self) -> None:
        self._samples: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """Write a picture and its mask, and note the sample."""
        image, mask = f"data/{sample.key}.png", f"{_MASKS}/{sample.key}.png"
        write(self.folder / image, sample.image_bytes)
        write(self.folder / mask, encode_png(sample.mask))
        self._samples.append(
            {
                "filepath": image,
                "tags": [sample.split, sample.row.mode, *sample.row.flags],
                _FIELD: {"_cls": "Segmentation", "mask_path": mask},
                **_fields_of(sample),
            }
        )

    def finish(self) -> list[str]:
        """Write the list, and what the values of masks mean."""
        # 0 is background for FiftyOne too, and has no name.
        names = self.dataset.classes if self.dataset.multilabel else self.dataset.classes[1:]
        targets = {**{str(number): name for number, name in enumerate(names, 1)}, str(IGNORE): "ignore"}
        info = {"description": f"{self.dataset.described['name']} by hsmix-gen", "default_mask_targets": targets}
        # Without a "version" FiftyOne takes it as plain lists, which no release has to convert.
        for name, content in (
            ("metadata", {"media_type": "image", "info": info}),
            ("samples", {"samples": self._samples}),
        ):
            text = json.dumps(content, sort_keys=True, allow_nan=False)
            write(self.folder / f"{name}.json", text.encode())
        return []


def _fields_of(sample: Sample) -> dict[str, Any]:
    """Return what is known of a sample, under names that FiftyOne does not use itself."""
    row = asdict(sample.row)
    known = {name: row[name] for name in (*sample.provenance(), *_MEASURES, "augment")}
    left_out = {"split", "mode", "flags", "seed"}  # tags; and 64 bits, which the browser would round
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in known.items()
        if name not in left_out and value is not None
        if not (isinstance(value, float) and math.isnan(value))  # JSON has no place for it
    }


EXPORT = Export(FiftyOneExport, check=check_pictures)
