"""Snippets of the dataset card for trainers: their loops over the loader of a format."""

from collections.abc import Collection

from hsmix_gen.pipeline.dataset.formats.base import best_format, format_of
from hsmix_gen.pipeline.dataset.formats.snippets import TORCH_LOOP

MONAI_LOOP = """\
from monai.losses import DiceLoss

dice = DiceLoss({activation}=True, soft_label=True)    # without soft_label the minimum lies elsewhere; no to_onehot_y
for images, soft in loader:
    logits = model(images)                                       # (B, C, H, W)
    loss = dice(logits, soft) + torch.nn.functional.{loss}(logits, soft)
    loss.backward()
"""

LIGHTNING_LOOP = """\
import lightning
import segmentation_models_pytorch as smp

class Segmentation(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = smp.Unet("resnet18", encoder_weights=None, in_channels={channels}, classes={n_classes})
        self.dice = smp.losses.DiceLoss("multilabel", from_logits=False)    # "multiclass" takes class ids only

    def training_step(self, batch, number):
        images, soft = batch
        logits = self.model(images)                              # (B, C, H, W)
        return torch.nn.functional.{loss}(logits, soft) + self.dice({probabilities}, soft)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)

# Or default_root_dir=..., for logs and checkpoints outside of the dataset.
trainer = lightning.Trainer(max_epochs=1, logger=False, enable_checkpointing=False)
trainer.fit(Segmentation(), loader)
"""


def trainer_templates(forms: Collection[str]) -> dict[str, str]:
    """Return the template for each trainer, over the format of a dataset that suits it best."""
    stream = format_of(best_format(forms)).stream
    plain = format_of(best_format(forms, "plain_rank")).plain
    found = {"torch": f"{plain}{TORCH_LOOP}", "lightning": f"{stream}\n{LIGHTNING_LOOP}"}
    if any(format_of(form).is_for_monai for form in forms):
        return found
    return {**found, "monai": f"{stream}\n{MONAI_LOOP}"}
