"""Snippets of the dataset card: readers of each format, and the loops of trainers over them."""

from collections.abc import Iterable

WEBDATASET_READER = """\
import glob, io
import numpy as np
import torch
import webdataset as wds
from PIL import Image

{decoder}def sample(entry):
    image = np.array({image})
    soft = {member_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

shards = sorted(glob.glob("webdataset/train-*.tar"))
dataset = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=wds.split_by_node).shuffle(500).map(sample)
loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2)    # at most one worker per shard
"""

TAR_READER = """\
import glob, io, tarfile
import numpy as np
import torch
from PIL import Image

{decoder}def sample(entry):
    image = np.array({image})
    soft = {member_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

class Samples(torch.utils.data.Dataset):
    def __init__(self, pattern):
        self.places = {}
        for path in sorted(glob.glob(pattern)):
            with tarfile.open(path) as tar:
                for info in tar:
                    key, _, member = info.name.partition(".")
                    self.places.setdefault(key, {})[member] = path, info.offset_data, info.size
        self.keys = sorted(self.places)

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, number):
        entry = {}
        for member, (path, start, size) in self.places[self.keys[number]].items():
            with open(path, "rb") as file:
                file.seek(start)
                entry[member] = file.read(size)
        return sample(entry)

dataset = Samples("webdataset/train-*.tar")
loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2)
"""

FOLDER_READER = """\
import io, json
from pathlib import Path
import numpy as np
import torch
from PIL import Image

{decoder}def sample(entry):
    image = np.array({image})
    soft = {member_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

class Samples(torch.utils.data.Dataset):
    def __init__(self, folder, part):
        self.folder, self.files = Path(folder), json.loads(Path(folder, "dataset.json").read_text())[part]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        files = self.files[number]
        entry = {"{image_member}": files["image"], "{soft_member}": files["soft"]}
        return sample({member: (self.folder / path).read_bytes() for member, path in entry.items()})

dataset = Samples("folder", "training")
loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2)
"""

PARQUET_READER = """\
import glob, io, random
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

{decoder}def sample(row):
    image = np.array({row_image})
    soft = {column_soft}        # (C, H, W), {soft_rule}
    return torch.from_numpy({channels_first}){scaled}, torch.from_numpy(soft).float()

class Samples(torch.utils.data.IterableDataset):
    def __init__(self, pattern):
        self.paths = sorted(glob.glob(pattern))

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        paths = self.paths[worker.id :: worker.num_workers] if worker else list(self.paths)
        random.shuffle(paths)
        for path in paths:
            for rows in pq.ParquetFile(path).iter_batches(64, columns=["image", "soft"]):
                yield from map(sample, rows.to_pylist())

dataset = Samples("parquet/train-*.parquet")
loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=2)
"""

TORCH_LOOP = """\
for images, soft in loader:
    logits = model(images)                                       # (B, C, H, W)
    loss = torch.nn.functional.{loss}(logits, soft)  # takes probabilities
    loss.backward()
"""

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

_STREAMS = {"webdataset": WEBDATASET_READER, "parquet": PARQUET_READER, "folder": FOLDER_READER}
_PLAIN = {"folder": FOLDER_READER, "webdataset": TAR_READER, "parquet": PARQUET_READER}


def trainer_templates(forms: Iterable[str]) -> dict[str, str]:
    """Return the template for each trainer, over the format of a dataset that suits it best.

    The folder format has a snippet for MONAI of its own.
    """
    stream = next(text for form, text in _STREAMS.items() if form in forms)
    plain = next(text for form, text in _PLAIN.items() if form in forms)
    found = {"torch": f"{plain}{TORCH_LOOP}", "lightning": f"{stream}\n{LIGHTNING_LOOP}"}
    return found if "folder" in forms else {**found, "monai": f"{stream}\n{MONAI_LOOP}"}
