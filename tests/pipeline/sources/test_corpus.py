"""Sources of every layout, convention and noise are read rightly or asked about; none is misread in silence."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from hsmix_gen.pipeline.decoders.registry import open_pair
from hsmix_gen.pipeline.execution.progress import Reporter, SilentDisplay
from hsmix_gen.pipeline.execution.units import SerialRunner
from hsmix_gen.pipeline.sources.inventory import Inventory, take_inventory
from hsmix_gen.pipeline.sources.scan import mask_values_of, read_options
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import HsmixError
from hsmix_gen.schemas.records import IGNORE
from hsmix_gen.stages.labels.mask_values import to_class_ids
from tests.pipeline.sources.drawn_sources import ANY, Array, Corpus, Drawn, corpus

SOURCES = list(corpus())
CONFIG = RunConfig.model_validate({"image": {"size": (48, 48)}, "source": {"split": "1/0/0"}})


def outcome(source: Corpus, folder: Path) -> str:
    """Return how a source is read: ``understood``, ``in part`` (files refused), ``asked``, or what is wrong."""
    folder.mkdir()
    drawn = source.draw()
    path = source.write(folder, drawn)
    try:
        found = take_inventory(path, CONFIG, SerialRunner(has_gpu=False), Reporter(SilentDisplay()))
    except HsmixError as error:
        return "asked" if is_question(str(error)) else f"no way out in: {error}"
    refusals = [record.refusal for record in found.records if record.refusal is not None]
    if not all(map(is_question, refusals)):
        return f"no way out in: {refusals}"
    if len(refusals) == len(found.records):
        return "asked"
    wrong = misread(found, drawn)
    if wrong:
        return f"misread: {wrong}"
    whole = sum(record.refusal is None for record in found.records) == len(drawn.truth) * planes(found)
    return "understood" if whole else "in part"


def planes(found: Inventory) -> int:
    return 2 if found.facts.volumes else 1


def is_question(text: str) -> bool:
    """Return whether a text names a way out."""
    return any(word in text for word in ("--", "save ", "export ", "correct "))


def misread(found: Inventory, drawn: Drawn) -> str:
    """Return what is read otherwise than it was meant, of all images that are used."""
    if found.facts.n_classes != drawn.n_classes:
        return f"{found.facts.n_classes} classes, not {drawn.n_classes}, by {found.facts.mask_values}"
    for record, place in zip(found.records, found.places, strict=True):
        if record.refusal is None:
            _, mask = open_pair(place.item, read_options(CONFIG))
            values = mask_values_of(mask, place.part, instances=found.facts.instances)
            ids = to_class_ids(values, dict(found.facts.mask_values))
            share = share_wrong(ids, drawn.truth[place.item.id])
            if share > drawn.tolerance:
                return f"{share:.1%} of {record.id} by {found.facts.mask_values}"
    return ""


def share_wrong(ids: Array, truth: Array) -> float:
    """Return the share of pixels of another class; an ignored pixel is wrong where the truth is a class."""
    known = truth != ANY
    assert not (truth == IGNORE).any()
    return float((ids[known] != truth[known]).mean())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outcome of each source by name."""
    folder = tmp_path_factory.mktemp("corpus")
    return {source.name: outcome(source, folder / source.name) for source in SOURCES}


def test_the_corpus_is_large() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES) >= 150


def test_no_source_is_misread_in_silence(outcomes: dict[str, str]) -> None:
    """Each is understood, or files are refused, or a question names the options; the table is printed."""
    sys.stdout.write(f"\n{table_of(outcomes)}\n")

    assert {name: text for name, text in outcomes.items() if text not in ("understood", "in part", "asked")} == {}


def test_most_sources_are_understood_without_any_option(outcomes: dict[str, str]) -> None:
    counts = Counter(outcomes.values())

    # What is refused has values of no convention by intent, in one mask (in part) or in all (asked).
    assert counts["understood"] >= 0.68 * len(outcomes)
    assert counts["understood"] + counts["in part"] >= 0.9 * len(outcomes)


@pytest.mark.parametrize("noise", ["none", "empty", "lacking"])
def test_every_source_without_strange_values_is_understood(outcomes: dict[str, str], noise: str) -> None:
    # Volumes without foreground are refused by the rule of slices, and JPEG of low quality has blurred what is thin.
    volumes = ("nnunet-empty", "msd-empty", "brats-empty")
    clean = {
        name: text
        for name, text in outcomes.items()
        if name.endswith(f"-{noise}") and name not in volumes and "jpeg60" not in name
    }

    assert len(clean) >= 20
    assert {name: text for name, text in clean.items() if text != "understood"} == {}


def table_of(outcomes: dict[str, str]) -> str:
    """Return how many sources of each layout have which outcome, as lines."""
    counts = Counter((name.partition("-")[0], text.partition(":")[0]) for name, text in outcomes.items())
    columns = sorted({text for _, text in counts})
    lines = [f"{'':10}" + "".join(f"{column:>12}" for column in columns)]
    lines += [
        f"{layout:10}" + "".join(f"{counts[layout, column]:>12}" for column in columns)
        for layout in sorted({layout for layout, _ in counts})
    ]
    totals = [sum(count for (_, text), count in counts.items() if text == column) for column in columns]
    shares = (f"{total / len(outcomes):.0%} {column}" for total, column in zip(totals, columns, strict=True))
    return "\n".join([*lines, f"{len(outcomes)} sources: {', '.join(shares)}"])
