"""The folder format: files of their own for image, mask and soft label, and a Decathlon list that names them."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.files import atomic_files

FOLDER = "folder"
DATALIST = f"{FOLDER}/dataset.json"
_LISTS = {"train": "training", "val": "validation", "test": "test"}


class FolderShard:
    """The files of one shard; they appear under their final names at `finish` only, each one whole.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: list[tuple[Path, Path]] = []

    def add(
        self,
        key: str,
        members: Mapping[str, bytes],
        soft_column: Callable[[], bytes],  # noqa: ARG002 - the file holds the member
        row: Mapping[str, Any],  # noqa: ARG002 - provenance stands in the manifest
    ) -> None:
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


def folder_files(key: str, members: Sequence[str]) -> dict[str, str]:
    """Return the path in the dataset of each member of a sample that has a file of its own.

    Parameters
    ----------
    key : str
    members : sequence of str
        Such as ``image.png``, ``json``, ``mask.png`` and ``soft.npz``.
    """
    found = {}
    for name in members:
        kind, _, ending = name.partition(".")
        if ending:
            folder = {"image": "images", "mask": "masks"}.get(kind, "soft")
            found[name] = f"{FOLDER}/{folder}/{key}.{ending}"
    return found


def datalist(dataset: Mapping[str, Any], keys: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return ``folder/dataset.json``, a Medical Segmentation Decathlon list that MONAI reads.

    Parameters
    ----------
    dataset : mapping
        ``dataset.json`` of the output.
    keys : mapping
        Keys of the samples by split, in the shuffled order of the shards.
    """
    lists = {name: [_entry(key, dataset["members"]) for key in keys.get(split, ())] for split, name in _LISTS.items()}
    first_class = 1 if dataset["label_mode"] == "multilabel" else 0
    names = {str(first_class + i): name for i, name in enumerate(dataset["classes"])}
    labels = {**({"0": "background"} if first_class else {}), **names}
    return {
        "name": dataset["name"],
        "description": "images and masks mixed by superpixels and saliency (hsmix-gen)",
        "tensorImageSize": "2D",
        "modality": {str(channel): f"channel {channel}" for channel in range(dataset["channels"])},
        "labels": labels,
        "ignore": dataset["ignore"],
        "soft": dataset["soft"],
        "numTraining": len(lists["training"]),
        "numValidation": len(lists["validation"]),
        "numTest": len(lists["test"]),
        **lists,
    }


def _entry(key: str, members: Sequence[str]) -> dict[str, str]:
    """Return the paths of one sample relative to the list."""
    names = {"images": "image", "masks": "label", "soft": "soft"}
    paths = (path.removeprefix(f"{FOLDER}/") for path in folder_files(key, members).values())
    return {names[path.partition("/")[0]]: path for path in sorted(paths)}
