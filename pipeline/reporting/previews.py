"""Another contact sheet of a finished dataset: some samples, those of a mode, named ones or the worst."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import CHOSEN_PREVIEW, MANIFEST, Output
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.files.tables import manifest_columns, read_manifest
from hsmix_gen.pipeline.mixing.generate import written_plan
from hsmix_gen.pipeline.mixing.output_plan import plan_samples, wanted_looks
from hsmix_gen.pipeline.mixing.preview import Shown, choose, draw_samples
from hsmix_gen.pipeline.reporting.worst import worst_samples
from hsmix_gen.pipeline.verification.reopened import Reopened, reopen
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import Mode


def preview_output(
    root: Path,
    *,
    rows: int,
    target: Path | None = None,
    cache: Path | None = None,
    keys: Sequence[str] = (),
    mode: Mode | None = None,
    worst: bool = False,
) -> Path:
    """Draw a contact sheet of a finished dataset and return where it is.

    At most `rows` samples are shown: just those of `keys`, those of a `mode`, or the worst, one of each measure in
    turn, with the measure and its number. The PNG is `target`; None: ``preview.png`` of the dataset, which its card
    shows, or `CHOSEN_PREVIEW` beside it where samples are named or chosen. `cache` is given if it was moved. Raises
    OutputError if a key is unknown, or there is no sample to show.
    """
    opened = reopen(root, cache)
    if keys:
        shown = [Shown(opened.plan_of(opened.row_of(key)), key) for key in keys]
    else:
        shown = (_worst if worst else _some)(opened, rows, mode)
    if not shown:
        what = f"{mode} samples" if mode else "samples" if not worst else "samples that stand out by a measure"
        raise OutputError(f"{root} has no {what} to show; leave out --mode and --worst")
    path = target or root / (CHOSEN_PREVIEW if keys or mode or worst else "preview.png")
    atomic_files.write_whole(path, draw_samples(opened.prepared, opened.config, shown[: max(rows, len(keys))]))
    return path


def _worst(opened: Reopened, rows: int, mode: Mode | None) -> list[Shown]:
    columns = manifest_columns(opened.root / MANIFEST)
    lists = [
        [(number, f"{one.title}: {value:g}") for number, value in zip(one.numbers, one.values, strict=True)]
        for one in worst_samples(columns, rows, mode)
    ]
    found: dict[str, str] = {}
    for turn in zip_longest(*lists):
        for number, text in filter(None, turn):
            found.setdefault(columns["key"][number], text)
    return [Shown(opened.plan_of(opened.row_of(key)), f"{key}; {text}") for key, text in islice(found.items(), rows)]


def _some(opened: Reopened, rows: int, mode: Mode | None) -> list[Shown]:
    output = Output(opened.root)
    if mode is not None:
        picked = [row for row in read_manifest(opened.root / MANIFEST) if row.mode == mode and row.split == "train"]
        step = max(1, len(picked) // rows)
        return [Shown(opened.plan_of(row)) for row in picked[::step][:rows]]
    bounds, prepared = output.bindings.read(), opened.prepared
    if bounds:
        prepared = replace(prepared, records=bounds[-1].records)
    looks = wanted_looks(prepared.layers, prepared.records, opened.config)
    plan = plan_samples(prepared.layers.facts, prepared.records, opened.config, bounds[:-1], looks)
    plan = written_plan(plan, {record.name: record for record in output.rows()}, prepared.records)
    return [Shown(sample) for sample in choose(prepared, plan, rows)]
