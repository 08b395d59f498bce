"""The command line ``hsmix-gen``: options in, one job called, results out; heavy modules load inside commands."""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hsmix_gen.pipeline.cli.job_call import EXIT_PROBLEM, CommandCall, mended
from hsmix_gen.pipeline.cli.options import (
    FEATURES,
    JOB,
    LOCAL_PATH,
    LOCATION,
    MIXING,
    SOURCE,
    ConfiguredCommand,
    cache_option,
    extend_option,
    fresh_option,
    job_options,
    own_option,
    reporting_options,
)
from hsmix_gen.pipeline.verification.report import DEPTHS, Depth
from hsmix_gen.schemas.families import EXPORTS

if TYPE_CHECKING:
    from hsmix_gen.schemas.records import Mode


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hsmix-gen")
def cli() -> None:
    """Mix medical images and masks by superpixels and saliency, once, into datasets that any trainer streams.

    Results go to stdout, progress to stderr. Exit status: 0 complete, 1 a problem, stated in one line, 2 wrong usage,
    130 interrupted, 129, 138 or 143 terminated by SIGHUP, SIGUSR1 or SIGTERM (run the same command again to finish).
    """


cli.command_class = ConfiguredCommand


@cli.command(titles=(*SOURCE, *FEATURES, *MIXING, *JOB))
@click.argument("source", type=LOCATION)
@click.argument("output", type=LOCATION)
@fresh_option
@extend_option
@job_options
@own_option(
    "Running",
    "--dry-run",
    common=True,
    is_flag=True,
    help="Only report counts, bytes and time (measured on a few images).",
)
@own_option(
    "Output",
    "--compare",
    common=True,
    metavar="NAME,…",
    help="A dataset for each method or control in OUTPUT/NAME, of one scan, one cache and one start; a name that is "
    "both means the method.",
)
def run(
    source: Path, output: Path, *, fresh: bool, extend: bool, dry_run: bool, compare: str | None, **options: Any
) -> None:
    """Do the whole job, from images to shards.

    Read, compute features once per image, mix, write. Run it again after any stop: it finishes what is missing.

    Example: hsmix-gen run photos/ out/ --size 224 224 --copies 5
    """
    from hsmix_gen.pipeline.dataset.output_folder import Output
    from hsmix_gen.pipeline.jobs.comparison import compared_outputs, run_compared
    from hsmix_gen.pipeline.jobs.dry_run import estimates_text
    from hsmix_gen.pipeline.jobs.run import run_all

    _check_extend(extend, fresh=fresh, dry_run=dry_run)
    job = CommandCall(options)
    home = Output(output)
    variants = {} if compare is None else job.variants(compare)
    if dry_run:
        parts = {"": (home, job.config)} if compare is None else job.call(lambda: compared_outputs(home, variants))
        click.echo(job.call(lambda: estimates_text(source, parts, job.reporter, fresh=fresh)))
        return
    if compare is not None:
        for finished in job.call(
            lambda: run_compared(source, home, variants, job.reporter, fresh=fresh, extend=extend)
        ):
            job.show(finished)
        return
    job.show(job.call(lambda: run_all(source, Output(output), job.config, job.reporter, fresh=fresh, extend=extend)))


@cli.command(titles=JOB)
@click.argument("source", type=LOCATION)
@click.argument("output", type=LOCATION)
@job_options
def retry_refused(source: Path, output: Path, **options: Any) -> None:
    """Try again what a finished dataset refused.

    Sources that were mended since come into new shards; samples that failed are made again, with the shards that
    lack them. Everything else stays as it is. All options but those below are the dataset's own.

    Example: hsmix-gen retry-refused photos/ out/
    """
    from hsmix_gen.pipeline.dataset.output_folder import Output
    from hsmix_gen.pipeline.jobs.run import retry_refused
    from hsmix_gen.pipeline.verification.reopened import config_of

    job = CommandCall(options, base=lambda: config_of(output).flat())
    job.show(job.call(lambda: retry_refused(source, Output(output), job.config, job.reporter)))


@cli.command(titles=JOB)
@click.argument("croissant", type=LOCATION)
@click.argument("source", type=LOCATION)
@click.argument("output", type=LOCATION)
@job_options
def rebuild(croissant: Path, source: Path, output: Path, **options: Any) -> None:
    """Make a dataset again from its own metadata and its sources, and compare every checksum.

    CROISSANT is the croissant.json of a dataset. A source that has changed is named, and nothing is written then.

    Example: hsmix-gen rebuild out/croissant.json photos/ again/
    """
    from hsmix_gen.pipeline.dataset.output_folder import Output
    from hsmix_gen.pipeline.jobs.rebuild import read_recipe
    from hsmix_gen.pipeline.jobs.rebuild import rebuild as make_again

    recipe = mended(lambda: read_recipe(croissant))
    job = CommandCall(options, base=recipe.config.flat)
    job.show(job.call(lambda: make_again(recipe, source, Output(output), job.config, job.reporter)))
    click.echo(f"{output} is, to the last bit, what {croissant} describes: {len(recipe.files)} checksums are equal")


@cli.command(titles=(*SOURCE, *FEATURES, *JOB))
@click.argument("source", type=LOCATION)
@cache_option("Output", "Where the features go.")
@job_options
def prepare(source: Path, cache: Path, **options: Any) -> None:
    """Compute only the features (the GPU half).

    Example: hsmix-gen prepare photos/ --cache features/ --size 224 224
    """
    from hsmix_gen.pipeline.execution.human_units import counted
    from hsmix_gen.pipeline.jobs.run import run_prepare

    job = CommandCall(options, mixes=False)
    prepared = job.call(lambda: run_prepare(source, cache, job.config, job.reporter))
    first = prepared[0]
    usable = sum(record.refusal is None for record in first.records)
    folds = f" for {len(prepared)} folds" if first.fold is not None else ""
    click.echo(
        f"prepared {counted(usable, 'image')}{folds} in {cache}; "
        f"refused {len(first.refusals)} of {counted(first.n_sources, 'source')}"
    )
    for refusal in first.refusals[:10]:
        click.echo(f"  {refusal.id}: {refusal.reason}", err=True)


@cli.command(
    titles=(*MIXING, *JOB),
    more=dict.fromkeys(
        ("source.split", "source.folds", "source.limit", "source.subset", "source.subset_seed"), "as it was prepared"
    ),
)
@click.argument("output", type=LOCATION)
@cache_option("Source", "A cache that prepare finished.")
@fresh_option
@extend_option
@job_options
def generate(cache: Path, output: Path, *, fresh: bool, extend: bool, **options: Any) -> None:
    """Mix from a finished cache (the CPU half).

    All of it, as it was prepared; or a part of it, by --split (images in no list are left out), --folds, --limit and
    --subset.

    Example: hsmix-gen generate --cache features/ out/ --copies 10 --policy paired
    """
    from hsmix_gen.pipeline.dataset.output_folder import Output
    from hsmix_gen.pipeline.jobs.run import run_generate

    _check_extend(extend, fresh=fresh)
    target = Output(output)
    job = CommandCall(options, cache=cache, bound=lambda: {} if fresh else target.options)
    job.show(job.call(lambda: run_generate(cache, target, job.config, job.reporter, fresh=fresh, extend=extend)))


@cli.command(titles=(*SOURCE, *JOB), more={"run.exports": "--json lists all that would not fit"})
@click.argument("source", type=LOCATION)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@job_options
def inspect(source: Path, *, as_json: bool, **options: Any) -> None:
    """Show what is understood of a source.

    Pairs, sizes, classes, splits and every problem; no work is done. Where no image can be used the status is 1.

    Example: hsmix-gen inspect photos/
    """
    from hsmix_gen.pipeline.jobs.inspect_source import inspect_source, inspection_text

    job = CommandCall(options, mixes=False)
    found = job.call(lambda: inspect_source(source, job.config, job.reporter, states_notes=True))
    click.echo(json.dumps(found, indent=2) if as_json else inspection_text(found))
    if not found["usable"]:
        sys.exit(EXIT_PROBLEM)


@cli.command()
@click.argument("output", type=LOCATION)
@click.option("--rows", type=click.IntRange(1, 64), default=8, show_default=True, help="Samples shown.")
@click.option("--worst", type=click.IntRange(1, 64), metavar="N", help="Show the N worst samples by what was measured.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Show this sample; repeat it for more.")
@click.option("--mode", type=click.Choice(["hard", "soft", "none"]), help="Show samples of one mode only.")
@click.option(
    "--to",
    "target",
    type=LOCATION,
    metavar="FILE",
    help="PNG to write.  [default: OUTPUT/preview.png, which the card shows; with --worst, --key or --mode "
    "OUTPUT/preview-chosen.png]",
)
@click.option("--cache", type=LOCATION, metavar="DIR", help="The cache, if it was moved.")
def preview(
    output: Path, *, rows: int, worst: int | None, keys: tuple[str, ...], mode: "Mode | None", **places: Any
) -> None:
    """Draw a contact sheet of some samples.

    One pair large, mixed hard and soft; then samples with A, B, superpixels, saliency, mix, mask and soft mask.

    Example: hsmix-gen preview out/ --worst 12 --to worst.png
    """
    from hsmix_gen.pipeline.reporting.previews import preview_output

    if keys and (worst or mode):
        raise click.UsageError("--key names samples, which --worst and --mode choose; leave out one of them")
    path = mended(lambda: preview_output(output, rows=worst or rows, keys=keys, mode=mode, worst=bool(worst), **places))
    click.echo(f"wrote {path}")


@cli.command()
@click.argument("output", type=LOCATION)
@click.argument("other", type=LOCATION, required=False)
@click.option("--to", "target", type=LOCAL_PATH, metavar="DIR", help="Where both files go.  [default: OUTPUT]")
@click.option("--strict", is_flag=True, help="End with status 1 if anything is red.")
@click.option("--cache", type=LOCATION, metavar="DIR", help="The cache of OUTPUT, if it was moved.")
@reporting_options
def report(
    output: Path, other: Path | None, *, target: Path | None, strict: bool, cache: Path | None, **shown: Any
) -> None:
    """Judge a dataset: report.html, one page for any browser, and report.json.

    Splits and leakage, near duplicates, draws, classes, objects, superpixels, saliency, pairs and the worst samples,
    with a way out for whatever is not green. OUTPUT may be a cache, before anything is mixed. With OTHER both are
    compared: what a changed option did.

    Example: hsmix-gen report out/
    """
    from hsmix_gen.pipeline.execution.progress import make_reporter
    from hsmix_gen.pipeline.reporting.report import report_output

    with closing(make_reporter(shown["progress"], shown["log_format"])) as reporter:
        made = mended(lambda: report_output(output, reporter, other=other, target=target, cache=cache))
    click.echo(made.text())
    if strict and made.verdict == "red":
        sys.exit(EXIT_PROBLEM)


@cli.command()
@click.argument("output", type=LOCATION)
@click.option("--depth", type=click.Choice(DEPTHS), default="samples", show_default=True, help="How deep to look.")
@click.option(
    "--replay",
    "replays",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Make N samples again and compare their bytes.",
)
@click.option("--cache", type=LOCATION, metavar="DIR", help="The cache, if it was moved (for --replay).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(output: Path, *, depth: Depth, replays: int, cache: Path | None, as_json: bool) -> None:
    """Check a dataset: files, labels, leakage.

    --depth names: every file is there with its size, no other beside it, and the records agree; no shard is opened.
    checksums: also the sha256 of every file, counts, and that no parent is of another split. samples: also every
    sample decoded (sums of soft labels, masks, provenance), and with --replay some made again.

    Example: hsmix-gen verify out/ --replay 20
    """
    from hsmix_gen.pipeline.verification.verify import verify_output

    if replays and depth != "samples":
        raise click.UsageError(
            f"--replay {replays} decodes samples, which --depth {depth} does not; "
            "take --depth samples, or leave out --replay"
        )
    report = mended(lambda: verify_output(output, depth=depth, replays=replays, cache=cache))
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.text())
    if report.problems:
        sys.exit(EXIT_PROBLEM)


@cli.command()
@click.argument("output", type=LOCATION)
@click.argument("key")
@click.option(
    "--to",
    "target",
    type=LOCAL_PATH,
    default=Path(),
    metavar="DIR",
    help="Where the members go.  [default: this folder]",
)
@click.option("--cache", type=LOCATION, metavar="DIR", help="The cache, if it was moved.")
def replay(output: Path, key: str, *, target: Path, cache: Path | None) -> None:
    """Make one sample again from its provenance.

    Its members are written to a folder, equal to those in the dataset.

    Example: hsmix-gen replay out/ train-ISIC_0000000-003 --to sample/
    """
    from hsmix_gen.pipeline.verification.reopened import replay_sample

    for path in mended(lambda: replay_sample(output, key, target=target, cache=cache)):
        click.echo(path)


@cli.command(lists={"Layouts": EXPORTS})
@click.argument("output", type=LOCATION)
@click.argument("dest", type=LOCAL_PATH)
@click.option("--to", "kind", required=True, type=click.Choice(EXPORTS.names), help="Layout to write.")
@click.option("--name", metavar="TEXT", help="Name of the nnunet dataset.  [default: that of OUTPUT]")
@click.option("--dataset-id", type=int, default=501, show_default=True, help="Number of the nnunet dataset.")
@click.option(
    "--image-size", "side", type=int, default=1024, show_default=True, help="Side of medsam images in pixels."
)
@click.option(
    "--boxes",
    type=click.Choice(("class", "component")),
    default="class",
    show_default=True,
    help="What medsam draws a box around: all of a class, or each connected area of it.",
)
@click.option("--one-tree", is_flag=True, help="perclass: all splits in one tree, distinguished by lists.")
@reporting_options
def export(output: Path, dest: Path, *, kind: str, progress: Any, log_format: Any, **options: Any) -> None:
    """Write a finished dataset in the layout of another trainer.

    DEST is new or empty, and whole once it is there; README.txt in it states how the trainer reads it. nnunet takes
    all folds of an output at once.

    Example: hsmix-gen export out/ nnUNet_raw/ --to nnunet
    """
    from hsmix_gen.pipeline.execution.progress import make_reporter
    from hsmix_gen.pipeline.exports.base import Options
    from hsmix_gen.pipeline.exports.export import export_output

    with closing(make_reporter(progress, log_format)) as reporter:
        click.echo(mended(lambda: export_output(output, dest, kind, reporter, Options(**options))).text())


@cli.command(titles=JOB)
@click.argument("output", type=LOCAL_PATH, default=Path("demo-output"))
@fresh_option
@job_options
def demo(output: Path, *, fresh: bool, **options: Any) -> None:
    """Do the whole job on a small embedded set.

    Example: hsmix-gen demo demo-output
    """
    from hsmix_gen.pipeline.cli.demo import DEMO_VALUES, write_demo_source
    from hsmix_gen.pipeline.dataset.output_folder import Output
    from hsmix_gen.pipeline.jobs.run import run_all

    job = CommandCall(options, base=lambda: DEMO_VALUES)
    folder = output.with_name(output.name + "-source")
    mended(lambda: write_demo_source(folder))
    finished = job.call(lambda: run_all(folder, Output(output), job.config, job.reporter, fresh=fresh))
    job.show(finished)
    click.echo(f"see {output / 'preview.png'}; loader snippets stand in {output / 'README.md'}")


@cli.command()
@click.argument("name", required=False)
def presets(name: str | None) -> None:
    """List the dataset presets, or show one.

    Each value comes with its source, published or ours.

    Example: hsmix-gen presets isic2017
    """
    from hsmix_gen.pipeline.cli.listings import preset_text, presets_text

    click.echo(presets_text() if name is None else mended(lambda: preset_text(name)))


@cli.command()
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the mixing methods, or show one.

    Each comes with its formula, its paper, its modes and what it reads of the cache.

    Example: hsmix-gen methods carvemix
    """
    from hsmix_gen.pipeline.cli.listings import method_text, methods_text

    click.echo(methods_text() if name is None else mended(lambda: method_text(name)))


@cli.command()
@click.argument("file", type=LOCAL_PATH, default=Path("hsmix.yaml"))
def init(file: Path) -> None:
    """Write a configuration with every option, its words and its default, all commented out.

    Example: hsmix-gen init job.yaml
    """
    from hsmix_gen.pipeline.cli.starter_file import write_starter

    mended(lambda: write_starter(file))
    click.echo(f"wrote {file}; take the # away from what you change, then: hsmix-gen run SOURCE OUTPUT --config {file}")


@cli.command()
def doctor() -> None:
    """Show the state of the installation: versions, GPU, Ray, disk.

    Example: hsmix-gen doctor
    """
    from hsmix_gen.pipeline.cli.doctor import examine

    report, sound = examine()
    click.echo(report)
    if not sound:
        sys.exit(EXIT_PROBLEM)


def _check_extend(extend: bool, *, fresh: bool, dry_run: bool = False) -> None:
    """Refuse options that contradict each other."""
    if extend and fresh:
        raise click.UsageError("--extend adds to what is there and --fresh removes it; leave out one of them")
    if extend and dry_run:
        raise click.UsageError("--dry-run measures a whole dataset, not what --extend adds; leave out one of them")
