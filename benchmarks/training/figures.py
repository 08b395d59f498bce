"""Figures: gains with their intervals as a forest, over numbers of copies, and over numbers of images."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

from training.arms import words_of
from training.comparisons import Comparison, Setting

matplotlib.use("Agg")
_BLUE, _GREY, _COLOURS = "#1f5fa8", "#888888", ("#1f5fa8", "#c8553d", "#2f8f5b", "#8a5fb0", "#b08a2f")


def forest(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw a panel for each setting: the gain of every arm in points of Dice, decided ones in colour."""
    panels: dict[Setting, list[Comparison]] = defaultdict(list)
    for one in comparisons:
        panels[one.setting].append(one)
    arms = sorted({one.arm for one in comparisons}, key=_order(comparisons))
    figure, axes = pyplot.subplots(
        1, len(panels), sharey=True, squeeze=False, figsize=(3.0 + 2.4 * len(panels), 1.1 + 0.27 * len(arms))
    )
    for axis, (setting, ones) in zip(axes[0], sorted(panels.items()), strict=True):
        axis.axvline(0, color="black", linewidth=0.8)
        for one in ones:
            _interval(axis, one, arms.index(one.arm))
        axis.set_title(f"{setting.dataset}, n = {setting.n}\n{setting.steps} steps", fontsize=9)
        axis.set_xlabel("gain in Dice, points", fontsize=8)
        axis.tick_params(labelsize=8)
    axes[0][0].set_yticks(range(len(arms)), [words_of(arm) for arm in arms], fontsize=8)
    axes[0][0].set_ylim(len(arms) - 0.5, -0.5)
    _save(figure, path)


def _order(comparisons: Sequence[Comparison]) -> Any:
    """Return a key that puts arms with the greatest mean gain first."""
    gains: dict[str, list[float]] = defaultdict(list)
    for one in comparisons:
        gains[one.arm].append(one.gain.mean)
    return lambda arm: -sum(gains[arm]) / len(gains[arm])


def _interval(axis: Any, one: Comparison, height: float) -> None:
    colour = _BLUE if one.gain.is_decided else _GREY
    if one.gain.seeds > 1:
        axis.plot([one.gain.low, one.gain.high], [height, height], color=colour, linewidth=1.6)
    axis.plot(one.gain.mean, height, "o" if one.gain.seeds > 1 else "x", color=colour, markersize=4.5)


def curve(series: dict[str, list[tuple[str, Comparison]]], path: Path, *, label: str, title: str) -> None:
    """Draw gains with intervals over places on an axis, a line for each series.

    Parameters
    ----------
    series : dict
        For each line its places, in the order of the axis, with their comparisons.
    """
    figure, axis = pyplot.subplots(figsize=(6.4, 3.6))
    places = list(dict.fromkeys(place for line in series.values() for place, _ in line))
    places.sort(key=lambda place: int(place) if place.isdecimal() else 10**9)
    axis.axhline(0, color="black", linewidth=0.8)
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        x = [places.index(place) + 0.06 * (number - (len(series) - 1) / 2) for place, _ in line]
        axis.plot(x, [one.gain.mean for _, one in line], "o-", color=colour, markersize=4, linewidth=1.2, label=name)
        for at, (_, one) in zip(x, line, strict=True):
            axis.plot([at, at], [one.gain.low, one.gain.high], color=colour, linewidth=1)
    axis.set_xticks(range(len(places)), places)
    axis.set_xlabel(label, fontsize=9)
    axis.set_ylabel("gain in Dice, points", fontsize=9)
    axis.set_title(title, fontsize=9)
    axis.legend(fontsize=8, frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # Without a date or a version the same results give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
