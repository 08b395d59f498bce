"""The last words of a run: what a person can check."""

from pathlib import Path

from hsmix_gen.pipeline.generate import Outcome
from hsmix_gen.pipeline.jobs import Finished
from hsmix_gen.pipeline.output import read_run


def summary_text(finished: Finished) -> str:
    """Return what a finished run wrote, from what, and what was left out."""
    lines = [line for output, outcome in finished.outcomes for line in _output_lines(output.root, outcome)]
    root = finished.outcomes[0][0].root
    last = f"features are cached in {finished.cache}; look at {root / 'preview.png'}, load with {root / 'README.md'}"
    return "\n".join([*lines, last])


def _output_lines(root: Path, outcome: Outcome) -> list[str]:
    refused = f"refused {outcome.refused} of {outcome.sources} sources"
    if outcome.refused:
        refused += f" (see {root / 'refused.csv'})"
    return [
        f"wrote {outcome.samples} samples in {outcome.shards} shards, {size_text(outcome.bytes)}, to {root}; {refused}",
        _saliency_text(root),
    ]


def size_text(n_bytes: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def time_text(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _saliency_text(root: Path) -> str:
    saliency = read_run(root)["saliency"]
    if saliency["backend"] != "gradcam":
        return f"saliency: {saliency['backend']}"
    parts = [f"saliency: Grad-CAM of {saliency['network']} at layer {saliency['layer']}"]
    if saliency["validation_dice"] is not None:
        parts.append(f"validation Dice {saliency['validation_dice']:.2f}")
    if saliency["layer_auc"] is not None:
        parts.append(f"mean AUC against training masks {saliency['layer_auc']:.2f}")
    return ", ".join(parts)
