"""MONAI: the Decathlon list of the folder, and a Dice loss that takes soft labels."""

from pathlib import Path

import torch
from consuming import Report, main
from monai.data import DataLoader, Dataset, NumpyReader, PILReader, load_decathlon_datalist, set_track_meta
from monai.losses import DiceLoss
from monai.transforms import Compose, CopyItemsd, EnsureChannelFirstd, Lambdad, LoadImaged


def read(folder: Path, pictures: PILReader) -> tuple[Report, torch.Tensor, torch.Tensor]:
    files = load_decathlon_datalist(str(folder / "folder/dataset.json"), True, "training")
    load = Compose(
        [
            CopyItemsd("image", names="key"),
            Lambdad("key", lambda path: Path(path).stem),
            LoadImaged(("image", "label"), reader=pictures),
            LoadImaged("soft", reader=NumpyReader(npz_keys="soft")),
            EnsureChannelFirstd("image", channel_dim=-1),
            EnsureChannelFirstd("label", channel_dim="no_channel"),
        ]
    )
    report, all_images, all_soft = Report(), [], []
    for batch in DataLoader(Dataset(files, load), batch_size=4, shuffle=True):
        images, soft = batch["image"], batch["soft"]
        report.add_batch(
            {"key": batch["key"], "image": images.movedim(1, -1), "mask": batch["label"][:, 0], "soft": soft}
        )
        all_images.append(images / 255)
        all_soft.append(soft.float())
    return report, torch.cat(all_images), torch.cat(all_soft)  # a batch by chance may hold no mixed pixel


def consume(folder: Path) -> dict[str, Report]:
    set_track_meta(False)
    transposed, _, _ = read(folder, PILReader())
    report, images, soft = read(folder, PILReader(reverse_indexing=False))
    dice = DiceLoss(softmax=True, soft_label=True)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = dice(logits, targets) + torch.nn.functional.cross_entropy(logits, targets)
        return value

    report.fit(images, soft, loss)
    report.facts = {
        "perfect": DiceLoss(soft_label=True)(soft, soft).item(),
        "perfect, soft_label forgotten": DiceLoss()(soft, soft).item(),
    }
    return {"upright": report, "default reader": transposed}


if __name__ == "__main__":
    main(consume)
