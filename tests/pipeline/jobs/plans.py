"""Plans that nobody carries out and machines that are not there, for checks before work starts."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import RunIdentity
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.jobs.node_checks import Answer
from hsmix_gen.pipeline.mixing.output_plan import OutputPlan, plan_samples
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import DatasetFacts, SourceRecord

FACTS = DatasetFacts((40, 50), 3, "uint8", ("background", "cell"), ((0, 0), (255, 1)))
CONFIG = RunConfig()
GB = 10**9


def layers_in(root: Path, *, rows: int = 20, **facts: Any) -> Layers:
    """Return the layers of 20 images of 40 x 50 pixels unless stated otherwise; nothing of them is made."""
    found = dataclasses.replace(FACTS, **facts)
    return Layers(root, "images-1", "superpixels-1", "saliency-1", found, n_rows=rows, variants=4)


def record(number: int, split: str) -> SourceRecord:
    """Return a source of which nothing but number and split matters."""
    digest = f"{number:064d}"
    return SourceRecord(f"case_{number}", f"case_{number}", split, None, "a", "b", digest, digest, 40, 50)  # type: ignore[arg-type]


def records_of(**counts: int) -> list[SourceRecord]:
    """Return so many sources of each split: ``records_of(train=4, val=2)``."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [record(number, split) for number, split in enumerate(splits)]


def configured(**sections: dict[str, Any]) -> RunConfig:
    """Return the configuration with other values in some sections."""
    return RunConfig.model_validate(sections)


def planned(
    output: Output,
    records: list[SourceRecord],
    config: RunConfig,
    *earlier: RunIdentity,
    facts: DatasetFacts = FACTS,
    is_bound: bool = False,
) -> OutputPlan:
    """Return the plan of an output, after what earlier runs bound it to."""
    return OutputPlan(output, records, plan_samples(facts, records, config, earlier), {}, is_bound)


def same_machine(*names: str) -> Callable[..., list[tuple[str, Any]]]:
    """Return what asks so many machines, all of them this one."""
    return lambda call, *arguments: [(name, call(*arguments)) for name in names]


def machine(change: Callable[[Answer], Answer]) -> Callable[..., list[tuple[str, Any]]]:
    """Return what asks one machine, whose answer is changed."""
    return lambda call, *arguments: [("gpu-2 (10.0.0.2)", change(call(*arguments)))]
