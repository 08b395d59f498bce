"""A finished dataset in the layouts of other trainers: one walk over its samples, one exporter for each kind."""

import contextlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, fold_outputs
from hsmix_gen.pipeline.execution import versions
from hsmix_gen.pipeline.execution.human_units import counted, size_text
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.signals import ended_by_signals
from hsmix_gen.pipeline.exports.base import Dataset, Export, Exporter, Options, Sample, samples_of
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.atomic_files import existing
from hsmix_gen.pipeline.files.store_paths import is_remote
from hsmix_gen.pipeline.mixing.describe import refusals_csv
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import EXPORTS
from hsmix_gen.schemas.records import SPLITS, Refusal

README = "README.txt"
RECORD = "export.json"
LEFT_OUT = "left_out.csv"
_HERE = """\
Once, in this folder; the commands below use it:

    export DATA=$PWD

"""


@dataclass
class Exported:
    """What an export holds.

    Attributes
    ----------
    samples : Counter
        By split.
    left_out : list of Refusal
        What the reader of the format could not use.
    notes : list of str
        What the user should know.
    """

    dest: Path
    kind: str
    samples: Counter[str] = field(default_factory=Counter)
    left_out: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def counts(self) -> str:
        """Return how many samples of each split there are."""
        return ", ".join(f"{self.samples[split]} {split}" for split in SPLITS if split in self.samples)

    def text(self) -> str:
        """Return the summary for people."""
        left = f"; left out {len(self.left_out)} (see {self.dest / LEFT_OUT})" if self.left_out else ""
        first = (
            f"exported {counted(self.samples.total(), 'sample')} ({self.counts()}) as {self.kind} to {self.dest}{left}"
        )
        return "\n".join([first, *self.notes, f"how to read it stands in {self.dest / README}"])


def export_output(
    root: Path,
    dest: Path,
    kind: str,
    reporter: Reporter,
    options: Options | None = None,
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> Exported:
    """Write a finished dataset in another layout; the folder is there when it is whole.

    Parameters
    ----------
    root : Path
        The finished output.
    dest : Path
        A new or empty folder.
    kind : str
        Name of an export, one of `EXPORTS`.
    reporter : Reporter
        Shows how far it is.
    options : Options or None
        What the user chose.
    free : callable
        Returns the bytes that are free where a folder lies.

    Raises
    ------
    OutputError
        If the output is not finished or damaged, `dest` holds something or lies in the output, or the layout cannot
        hold the dataset.
    """
    export: Export = EXPORTS.module(kind).EXPORT
    folders = _outputs(root, kind, export)
    _check_free(dest, root)
    datasets = [Dataset(folder) for folder in folders]
    export.check(datasets[0].shape, kind)
    options = options or Options()
    _check_room(dest, kind, export.sample_bytes(options) * sum(datasets[0].splits.values()), free(existing(dest)))
    found = Exported(dest, kind)
    with _beside(dest) as folder:
        exporter = export.make(folder, datasets[0], options)
        _write_samples(exporter, datasets, found, reporter)
        found.notes += exporter.finish()
        _describe(folder, exporter.guide, datasets, found)
    return found


def _outputs(root: Path, kind: str, export: Export) -> list[Path]:
    folds = [] if (root / MANIFEST).is_file() else fold_outputs(root)
    if folds and not export.takes_folds:
        raise OutputError(
            f"{root} holds {len(folds)} folds and {kind} has no place for them; export one, for example {folds[0]}"
        )
    return folds or [root]


def _check_room(dest: Path, kind: str, needed: int, free: int) -> None:
    if needed > free:
        raise OutputError(
            f"{dest} as {kind} takes {size_text(needed)}, {size_text(free)} are free; make room, "
            "choose another folder, or lower --image-size"
        )


def _check_free(dest: Path, root: Path) -> None:
    is_empty = dest.is_dir() and not any(dest.iterdir())
    if not is_empty and (dest.exists() or dest.is_symlink()):
        raise OutputError(f"{dest} must be a new or empty folder, it holds other files; choose another one")
    if not is_remote(root) and dest.resolve().is_relative_to(root.resolve()):
        raise OutputError(
            f"{dest} lies in the dataset {root}, which holds its own files alone; choose a folder beside it"
        )


@contextlib.contextmanager
def _beside(dest: Path) -> Iterator[Path]:
    """Give a folder beside `dest` that takes its name at the end, and is removed where that is not reached."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    mine = re.compile(re.escape(atomic_files.TEMPORARY) + r"[0-9a-f]{12}-" + re.escape(dest.name))
    for dead in [path for path in dest.parent.iterdir() if mine.fullmatch(path.name)]:
        shutil.rmtree(dead, ignore_errors=True)
    folder = atomic_files.temporary_beside(dest)
    try:
        with ended_by_signals():
            folder.mkdir()
            yield folder
            # Thousands of files: one call syncs them all, before the name that says they are whole.
            os.sync()
            folder.replace(dest)
            atomic_files.sync(dest.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_samples(exporter: Exporter, datasets: list[Dataset], found: Exported, reporter: Reporter) -> None:
    others = (count for dataset in datasets[1:] for split, count in dataset.splits.items() if split != "test")
    total = sum(datasets[0].splits.values()) + sum(others)
    with reporter.stage("export", total) as stage:
        for number, dataset in enumerate(datasets):
            for sample in _samples(dataset, number, several=len(datasets) > 1):
                reason = exporter.add(sample)
                if reason is None:
                    found.samples[sample.split] += 1
                else:
                    found.left_out.append(Refusal(sample.key, sample.row.shard, "export", reason))
                stage.advance()
    done = found.samples.total() + len(found.left_out)
    if done != total:
        raise OutputError(f"{datasets[0].root} has {done} samples, dataset.json says {total}; see hsmix-gen verify")


def _samples(dataset: Dataset, number: int, *, several: bool) -> Iterator[Sample]:
    """Yield the samples of an output; test samples, which all folds share, once and under their own key."""
    if not several:
        yield from samples_of(dataset)
        return
    fold = int(dataset.root.name.removeprefix("fold-"))
    for sample in samples_of(dataset, fold=fold):
        if sample.split == "test" and number == 0:
            yield sample
        elif sample.split != "test":
            yield replace(sample, key=f"fold{fold}-{sample.key}")


def _describe(folder: Path, guide: str, datasets: list[Dataset], found: Exported) -> None:
    for dataset in datasets:
        fold = f"-{dataset.root.name}" if len(datasets) > 1 else ""
        (folder / f"manifest{fold}.parquet").write_bytes((dataset.root / MANIFEST).read_bytes())
    if found.left_out:
        (folder / LEFT_OUT).write_bytes(refusals_csv(found.left_out))
    first = datasets[0].described
    record = {
        "kind": found.kind,
        "name": first["name"],
        "classes": first["classes"],
        "label_mode": first["label_mode"],
        "size": first["size"],
        "samples": dict(found.samples),
        "left_out": len(found.left_out),
        "config_digests": [dataset.described["config_digest"] for dataset in datasets],
        "hsmix-gen": versions.environment()["hsmix-gen"],
    }
    (folder / RECORD).write_bytes(atomic_files.json_bytes(record))
    (folder / README).write_text(_readme(guide, datasets, found), encoding="utf-8")


def _readme(guide: str, datasets: list[Dataset], found: Exported) -> str:
    dataset = datasets[0]
    folds = "Of a fold, fold0-KEY is the sample KEY of manifest-fold-0.parquet.\n" if len(datasets) > 1 else ""
    notes = "".join(f"\nMind: {note}\n" for note in found.notes)
    height, width = dataset.size
    own = " (validation and test: their own size)" if dataset.is_native else ""
    here = _HERE if "$DATA" in guide else ""
    return f"""{dataset.described["name"]} as {found.kind}, exported by hsmix-gen
{found.counts()} samples of {height} x {width} pixels{own}; classes: {", ".join(dataset.classes)}

{here}{guide.strip()}
{notes}
{folds}Where samples come from: the column key of manifest.parquet is the name of a sample, source_a and source_b are
its parents, group_a and group_b their patients. Training samples are mixed, validation and test samples are not. A
split that somebody draws anew over all of them lets parents of validation samples into training: keep those given here.

Sun, Dornaika, Barrena: HSMix: Hard and Soft Mixing Data Augmentation for Medical Image Segmentation.
Information Fusion, doi:10.1016/j.inffus.2024.102741, arXiv:2511.17614.
"""
