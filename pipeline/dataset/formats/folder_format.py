"""Folder: files of their own for image, mask and soft label, and a Decathlon list that MONAI reads."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hsmix_gen.pipeline.dataset.formats.base import (
    Columns,
    Format,
    Members,
    SampleReader,
    ShardWriter,
    Stored,
    TableForm,
    Written,
    naming_sample,
)
from hsmix_gen.pipeline.dataset.formats.snippets import IMPORTS, SAMPLE
from hsmix_gen.pipeline.dataset.output_folder import MANIFEST
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.tables import read_manifest
from hsmix_gen.schemas.digests import canonical_json

_FOLDERS = {"image": "images", "mask": "masks"}
_LISTS = {"train": "training", "val": "validation", "test": "test"}


class FolderShard(ShardWriter):
    """The files of one shard; they appear under their final names at `finish` only, each one whole."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: list[tuple[Path, Path]] = []

    def add(self, key: str, members: Members, columns: Columns) -> None:  # noqa: ARG002
        """Write the files of one sample under temporary names."""
        for name, path in folder_files(key, list(members)).items():
            final = self._root / path
            temporary = atomic_files.temporary_beside(final)
            self._written.append((temporary, final))
            temporary.write_bytes(members[name])

    def finish(self) -> dict[Path, str | None]:
        """Publish all files, sample after sample."""
        for temporary, final in self._written:
            atomic_files.publish(temporary, final)
        return {final: None for _, final in self._written}

    def abandon(self) -> None:
        """Remove what is not published yet; files that are stay, as another attempt gives the same ones."""
        for temporary, _ in self._written:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


class FolderReader(SampleReader):
    """Where samples come from stands in the manifest."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        wanted = {key for shard in self._keys for key in shard}
        rows = (row for row in read_manifest(self._root / MANIFEST) if row.key in wanted)
        self._provenance = {row.key: canonical_json(row.provenance()).encode() for row in rows}

    def file(self, shard: int, index: int, part: str = "image") -> Path:
        """Return the file of a part."""
        paths = folder_files(self._keys[shard][index], self._described["members"])
        names = {"soft": ("soft", "pair")}.get(part, (part,))
        return self._root / next(path for name, path in paths.items() if name.partition(".")[0] in names)

    def read(self, shard: int, index: int) -> Members:
        """Return the members of a sample."""
        key = self._keys[shard][index]
        return {"json": self._provenance[key], **_read(self._root, key, self._described["members"])}


class FolderFormat(Format):
    """Folders of images, masks and soft labels."""

    reader = FolderReader
    holds_shards = False
    is_for_monai = True
    rank, plain_rank, hub_rank = 2, 0, 2
    hub_files = "folder/images/{}-*"
    snippet = """\
import io
from pathlib import Path
import numpy as np
import torch
from monai.data import DataLoader, Dataset, NumpyReader, PILReader, load_decathlon_datalist, set_track_meta
from monai.losses import DiceLoss
from monai.transforms import Compose, EnsureChannelFirstd, Lambdad, LoadImaged
from PIL import Image

{decoder}set_track_meta(False)                                            # plain tensors
files = load_decathlon_datalist("folder/dataset.json", True, "training")
pictures = PILReader(reverse_indexing=False)                     # by default it exchanges rows and columns
load = Compose([
    LoadImaged("image", reader={image_reader}),
    LoadImaged("label", reader=pictures),
    EnsureChannelFirstd("image", channel_dim={channel_dim}),
    EnsureChannelFirstd("label", channel_dim="no_channel"),
    {file_soft},      # (C, H, W), {soft_rule}
])
loader = DataLoader(Dataset(files, load), batch_size=8, shuffle=True, num_workers=2)
dice = DiceLoss({activation}=True, soft_label=True)                # without soft_label the minimum lies elsewhere
for batch in loader:
    images, soft = batch["image"]{scaled}, batch["soft"].float()
    logits = model(images)                                       # (B, C, H, W)
    loss = dice(logits, soft) + torch.nn.functional.{loss}(logits, soft)
    loss.backward()
"""
    stream = (
        f"""\
import io, json
from pathlib import Path
{IMPORTS}from PIL import Image

{SAMPLE}"""
        """\
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
    )
    plain = stream

    def writer(self, root: Path, split: str, number: int, total: int, form: TableForm) -> FolderShard:  # noqa: ARG002
        """Return what writes the files of a shard."""
        return FolderShard(root)

    def in_order(self, root: Path, file: str, described: Mapping[str, Any]) -> Iterator[Stored]:
        """Yield the sample of an image; other files stand for nothing, and provenance is the manifest's alone."""
        if self.files_beside(file, described["members"]):
            key = PurePosixPath(file).stem
            yield Stored(key, file, 0, _read(root, key, described["members"]))

    def files_beside(self, file: str, members: Sequence[str]) -> Sequence[str]:
        """Return all files of the sample of an image."""
        path = PurePosixPath(file)
        return tuple(folder_files(path.stem, members).values()) if path.parent.name == "images" else ()

    def stored(self, members: Members, columns: Columns) -> Members:  # noqa: ARG002 - the file holds the member
        """Return the members of a sample that have files."""
        return {name: members[name] for name in folder_files("", list(members))}

    def n_files(self, n_shards: int, n_samples: int, members: Sequence[str]) -> int:  # noqa: ARG002
        """Return how many files some samples take."""
        return n_samples * len(folder_files("", members))

    def indexes(self, dataset: Mapping[str, Any], shards: Sequence[Written]) -> dict[str, Any]:
        """Return ``folder/dataset.json``, a Medical Segmentation Decathlon list, in the shuffled order of shards."""
        lists = {
            name: [_entry(key, dataset["members"]) for shard in shards if shard.split == split for key in shard.keys]
            for split, name in _LISTS.items()
        }
        first_class = 1 if dataset["label_mode"] == "multilabel" else 0
        names = {str(first_class + i): name for i, name in enumerate(dataset["classes"])}
        described = {
            "name": dataset["name"],
            "description": "images and masks mixed by superpixels and saliency (hsmix-gen)",
            "tensorImageSize": "2D",
            "modality": {str(channel): f"channel {channel}" for channel in range(dataset["channels"])},
            "labels": {**({"0": "background"} if first_class else {}), **names},
            "ignore": dataset["ignore"],
            "soft": dataset["soft"],
            "numTraining": len(lists["training"]),
            "numValidation": len(lists["validation"]),
            "numTest": len(lists["test"]),
            **lists,
        }
        return {"folder/dataset.json": described}


FORMAT = FolderFormat()


def folder_files(key: str, members: Sequence[str]) -> dict[str, str]:
    """Return the path in the dataset of each member of a sample that has a file of its own.

    Parameters
    ----------
    key : str
    members : sequence of str
        Such as ``image.png``, ``json``, ``mask.png`` and ``soft.npz``.
    """
    parts = {name: name.partition(".") for name in members}
    return {
        name: f"folder/{_FOLDERS.get(kind, 'soft')}/{key}.{ending}"
        for name, (kind, _, ending) in parts.items()
        if ending
    }


def _entry(key: str, members: Sequence[str]) -> dict[str, str]:
    """Return the paths of one sample relative to the list."""
    names = {"images": "image", "masks": "label", "soft": "soft"}
    paths = (path.removeprefix("folder/") for path in folder_files(key, members).values())
    return {names[path.partition("/")[0]]: path for path in sorted(paths)}


def _read(root: Path, key: str, names: Sequence[str]) -> Members:
    members = {}
    for name, path in folder_files(key, names).items():
        with naming_sample(root / path, key):
            members[name] = (root / path).read_bytes()
    return members
