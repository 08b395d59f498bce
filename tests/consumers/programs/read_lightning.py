"""Lightning and segmentation_models_pytorch over WebDataset: cross entropy of probabilities, and a multilabel Dice."""

import warnings
from pathlib import Path
from typing import Any

import lightning
import segmentation_models_pytorch as smp
import torch
import webdataset as wds
from consuming import STEPS, Report, main
from read_webdataset import decoded


class Segmentation(lightning.LightningModule):
    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report
        self.model = smp.Unet("resnet18", encoder_weights=None, classes=3)
        self.dice = smp.losses.DiceLoss("multilabel", from_logits=False)

    def training_step(self, batch: dict[str, Any], _number: int) -> torch.Tensor:
        soft = batch["soft"].float()
        logits = self.model(batch["image"].movedim(-1, 1) / 255)
        self.report.add_batch(batch)
        loss: torch.Tensor = torch.nn.functional.cross_entropy(logits, soft) + self.dice(logits.softmax(1), soft)
        self.report.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def trained(loader: Any, n_epochs: int) -> Report:
    torch.manual_seed(0)
    module = Segmentation(Report())
    trainer = lightning.Trainer(
        max_epochs=n_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return module.report


def consume(folder: Path) -> dict[str, Report]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    shards = sorted(map(str, folder.glob("webdataset/train-*.tar")))
    dataset = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=wds.split_by_node).shuffle(100).map(decoded)
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2)
    epoch = trained(loader, 1)
    fixed = trained(torch.utils.data.DataLoader([next(iter(loader))], batch_size=None), STEPS)
    epoch.losses = fixed.losses
    soft = torch.as_tensor(fixed.parts["soft"][0])[None].float()
    epoch.facts = {"perfect": smp.losses.DiceLoss("multilabel", from_logits=False)(soft, soft).item()}
    return {"epoch": epoch}


if __name__ == "__main__":
    main(consume)
