"""The last words of a run: what a person can check."""

from hsmix_gen.pipeline.jobs import Finished
from hsmix_gen.pipeline.output import read_run


def summary_text(finished: Finished) -> str:
    """Return what a finished run wrote, from what, and what was left out."""
    result, root = finished.outcome, finished.output.root
    refused = f"refused {result.refused} of {result.sources} sources"
    if result.refused:
        refused += f" (see {root / 'refused.csv'})"
    lines = [
        f"wrote {result.samples} samples in {result.shards} shards, {size_text(result.bytes)}, to {root}; {refused}",
        _saliency_text(finished),
        f"features are cached in {finished.cache}; look at {root / 'preview.png'}, load with {root / 'README.md'}",
    ]
    return "\n".join(line for line in lines if line)


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


def _saliency_text(finished: Finished) -> str:
    saliency = read_run(finished.output.root)["saliency"]
    if saliency["backend"] != "gradcam":
        return f"saliency: {saliency['backend']}"
    parts = [f"saliency: Grad-CAM of {saliency['network']} at layer {saliency['layer']}"]
    if saliency["validation_dice"] is not None:
        parts.append(f"validation Dice {saliency['validation_dice']:.2f}")
    if saliency["layer_auc"] is not None:
        parts.append(f"mean AUC against training masks {saliency['layer_auc']:.2f}")
    return ", ".join(parts)
