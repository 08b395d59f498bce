"""NVIDIA DALI without a GPU: its reader of WebDataset, its decoders of PNG and npy."""

import json
from pathlib import Path

import numpy as np
import torch
from consuming import Report, main
from nvidia.dali import fn, pipeline_def, types


@pipeline_def(batch_size=4, num_threads=2, device_id=None)
def reading(shards: list[str]):
    image, mask, soft, provenance = fn.readers.webdataset(
        paths=shards,
        ext=["image.png", "mask.png", "soft.npy", "json"],
        missing_component_behavior="error",
        random_shuffle=True,
        initial_fill=8,
        pad_last_batch=False,
        name="reader",
    )
    return (
        fn.decoders.image(image, device="cpu", output_type=types.RGB),
        # GRAY would scale nothing, but only of a picture that has one channel in 8 bit, as class ids have.
        fn.decoders.image(mask, device="cpu", output_type=types.GRAY),
        fn.decoders.numpy(soft, dtype=types.FLOAT16),
        fn.pad(provenance),
    )


def consume(folder: Path) -> dict[str, Report]:
    pipeline = reading(sorted(map(str, folder.glob("webdataset/train-*.tar"))))
    pipeline.build()
    left = pipeline.epoch_size("reader")
    report = Report()
    while left > 0:
        images, masks, softs, provenances = (output.as_array() for output in pipeline.run())
        for image, mask, soft, provenance in list(zip(images, masks, softs, provenances, strict=True))[:left]:
            key = json.loads(bytes(provenance).rstrip(b"\0"))["key"]
            report.add(key, image=image, mask=mask[..., 0], soft=soft)
        left -= len(images)
    report.fit(
        torch.from_numpy(np.array(images)).movedim(-1, 1) / 255,
        torch.from_numpy(np.array(softs)).float(),
    )
    return {"cpu": report}


if __name__ == "__main__":
    main(consume)
