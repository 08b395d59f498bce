"""Import an export into FiftyOne, with a database of its own, and print what it holds as JSON."""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
os.environ["FIFTYONE_DATABASE_DIR"] = tempfile.mkdtemp()

import fiftyone as fo
from PIL import Image

dataset = fo.Dataset.from_dir(sys.argv[1], dataset_type=fo.types.FiftyOneDataset, progress=False)
samples = {
    Path(sample.filepath).name: {
        "tags": sample.tags,
        "image": hashlib.sha256(Image.open(sample.filepath).tobytes()).hexdigest(),
        "mask": hashlib.sha256(sample.ground_truth.get_mask().astype("uint8").tobytes()).hexdigest(),
        "area_b": sample.area_b,
    }
    for sample in dataset
}
worst = dataset.match_tags("hard").sort_by("fragments", reverse=True).values("fragments")
found = {"samples": samples, "targets": dataset.default_mask_targets, "media": dataset.media_type, "worst": worst}
sys.stdout.write("FOUND " + json.dumps(found))
