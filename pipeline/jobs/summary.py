"""The last words of a run: what a person can check."""

from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.output_folder import read_dataset, read_run
from hsmix_gen.pipeline.execution.human_units import counted, size_text
from hsmix_gen.pipeline.jobs.run import Finished
from hsmix_gen.pipeline.mixing.card import mixed_by, training_text
from hsmix_gen.pipeline.mixing.generate import Outcome
from hsmix_gen.pipeline.reporting.report import key_lines
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.records import SPLITS
from hsmix_gen.stages.mixing.method import needs_of_all
from hsmix_gen.stages.planning.cutting import DEFAULT_SHARDS
from hsmix_gen.stages.planning.splitting import is_in_shares, parse_ratio


def summary_text(finished: Finished) -> str:
    """Return what a finished run wrote, from what, what was left out, and the most important lines of its report."""
    lines = [line for output, outcome in finished.outcomes for line in _output_lines(output.root, outcome)]
    root = finished.outcomes[0][0].root
    last = f"features are cached in {finished.cache}; see {root / 'preview.png'}, load with {root / 'README.md'}"
    found = [f"report: {line}" for line in key_lines(root)]
    return "\n".join([*lines, last, *found])


def _output_lines(root: Path, outcome: Outcome) -> list[str]:
    refused = f"refused {outcome.refused} of {counted(outcome.sources, 'source')}"
    if outcome.refused:
        refused += f" (see {root / 'refused.csv'})"
    samples = counted(outcome.samples, "sample")
    if outcome.refused_samples:
        planned = outcome.samples + outcome.refused_samples
        samples = (
            f"{outcome.samples} of {counted(planned, 'sample')} ({outcome.refused_samples} refused, see refused.csv)"
        )
    run = read_run(root)
    config, dataset = RunConfig.model_validate(run["config"]), read_dataset(root)
    return [
        f"wrote {samples} in {counted(outcome.shards, 'shard')}, {size_text(outcome.bytes)}, to {root}; {refused}",
        f"training: {training_text(dataset, run)}, by {mixed_by(config)}",
        *_ratio_text(dataset, config.source.split),
        _shards_text(dataset, config),
        *([_saliency_text(run["saliency"])] if needs_of_all(config.mix).saliency else []),
    ]


def _ratio_text(dataset: dict[str, Any], split: str) -> list[str]:
    """Return the shares that a ratio in parts stands for, as 0.5/0.6/0.1 may be a slip; nothing of shares."""
    ratio = parse_ratio(split)
    if ratio is None or is_in_shares(split):
        return []
    counts = ", ".join(f"{name} {dataset['splits'][name]['images']}" for name in SPLITS if name in dataset["splits"])
    shares = "/".join(f"{share:.3g}" for share in ratio)
    return [f"splits: the parts {split} are the shares {shares} of all images; {counts}"]


def _shards_text(dataset: dict[str, Any], config: RunConfig) -> str:
    """Return how many shards each split has, and why so many where nobody chose a number."""
    counts = ", ".join(
        f"{split} {dataset['splits'][split]['shards']}" for split in SPLITS if split in dataset["splits"]
    )
    why = f"; train has {DEFAULT_SHARDS} or more if samples suffice, for as many readers; --shards N for another number"
    return f"shards: {counts}{why if config.output.shards is None else ''}"


def _saliency_text(saliency: dict[str, Any]) -> str:
    if "network" not in saliency:
        return f"saliency: {saliency['backend']}"
    parts = [f"saliency: Grad-CAM of {saliency['network']} at layer {saliency['layer']}"]
    if saliency["validation_dice"] is not None:
        parts.append(f"validation Dice {saliency['validation_dice']:.2f}")
    if saliency["layer_auc"] is not None:
        parts.append(f"mean AUC against training masks {saliency['layer_auc']:.2f}")
    return ", ".join(parts)
