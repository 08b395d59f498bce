"""The check of a finished dataset, at three depths: names, checksums and samples; which checks there are, in order."""

from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, fold_outputs, read_dataset
from hsmix_gen.pipeline.files.tables import count_manifest, read_manifest
from hsmix_gen.pipeline.sources.splits import spread
from hsmix_gen.pipeline.verification.file_checks import ListedFiles, check_checksums, check_names, check_shard_records
from hsmix_gen.pipeline.verification.reopened import reopen
from hsmix_gen.pipeline.verification.report import Depth, Report
from hsmix_gen.pipeline.verification.sample_checks import SampleChecks
from hsmix_gen.pipeline.verification.table_checks import check_tables


def verify_output(root: Path, *, depth: Depth = "samples", replays: int = 0, cache: Path | None = None) -> Report:
    """Check a finished dataset, or each fold of one.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    depth : Depth
        ``names`` compares names, sizes and records and opens no shard, ``checksums`` also the checksum of each file
        and the tables, ``samples`` decodes each sample as well.
    replays : int
        So many samples, evenly spread, are made again from the cache and compared byte for byte.
    cache : Path or None
        Folder of the cache, if it was moved.

    Raises
    ------
    ValueError
        If samples are to be made again at a depth that decodes none.
    OutputError
        If there is no finished dataset, or what lists its files or samples cannot be read.
    """
    if replays and depth != "samples":
        raise ValueError(f"replays need the depth samples, got {depth}")
    report = Report(str(root), depth)
    folds = [] if (root / MANIFEST).is_file() else fold_outputs(root)
    for fold in folds:
        found = verify_output(fold, depth=depth, replays=replays, cache=cache)
        report.checked.update(found.checked)
        report.method = found.method
        report.problems += [f"{fold.name}: {problem}" for problem in found.problems]
    if not folds:
        _check_dataset(root, report, replays, cache)
    return report


def _check_dataset(root: Path, report: Report, replays: int, cache: Path | None) -> None:
    # What cannot be read at all ends the check, before hours are spent on checksums.
    dataset = read_dataset(root)
    report.method = dataset.get("method", "")
    files = ListedFiles.of(root, dataset)
    if report.depth == "names":
        check_names(root, files, count_manifest(root / MANIFEST), report)
        check_shard_records(root, files, report)
        return
    rows = read_manifest(root / MANIFEST)
    by_key = {row.key: row for row in rows}
    again = frozenset(spread(sorted(by_key), replays))
    opened = reopen(root, cache) if again else None
    present = check_names(root, files, len(rows), report)
    check_shard_records(root, files, report)
    sound = check_checksums(root, files, present, report)
    check_tables(root, files, rows, report)
    if report.depth == "samples":
        SampleChecks(root, dataset, by_key, report, again, opened).check(files, sound)
