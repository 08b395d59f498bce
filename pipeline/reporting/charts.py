"""Charts of the report as SVG that take the colours of the page, light or dark; equal numbers give equal text."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

_INK = "#010203"
"""Stands for the colour of the page's text, which no picture can know."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Distinct for colour-blind readers (Okabe and Ito); the page has lighter ones for a dark ground, ``--series-1`` on."""
_LIGHTS = {"amber": "#e69f00", "red": "#d1242f"}
_SIZE = (4.6, 2.6)
_FONT = 9
_BINS = 24

_Numbers = Sequence[float] | npt.NDArray[np.float64]


def histogram(
    name: str,
    title: str,
    series: Mapping[str, _Numbers],
    *,
    label: str,
    bounds: Sequence[float | None] = (),
    log: bool = False,
) -> str:
    """Return a histogram of one or more series as shares, with lines at the bounds of a rule.

    Parameters
    ----------
    name : str
        Unique in the page: ids inside of the picture begin with it.
    title : str
    series : mapping
        Numbers by the name of their series; NaN is left out.
    label : str
        What the numbers are.
    bounds : sequence of float or None
        Of amber and red.
    log : bool
        Whether the axis of numbers is logarithmic.
    """
    arrays = {key: np.asarray(values, np.float64) for key, values in series.items()}
    known = {key: array[np.isfinite(array)] for key, array in arrays.items()}
    every = np.concatenate([*known.values(), np.empty(0)])
    figure, axes = _axes(title, label, "share")
    if len(every):
        low, high = float(every.min()), float(every.max())
        if log:
            low, high = max(low, 1e-3), max(high, 2e-3)
            edges = np.geomspace(low, max(high, low * 1.01), _BINS + 1)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7)))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            alone = 0.5 * (high == low)
            edges = np.linspace(low - alone, high + alone, _BINS + 1)
        for colour, (key, values) in zip(COLOURS, known.items(), strict=False):
            weights = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(
                np.clip(values, edges[0], edges[-1]), edges, weights=weights, color=colour, alpha=0.65,
                label=f"{key} ({len(values)})",
            )  # fmt: skip
        if not log and all(np.array_equal(values, np.rint(values)) for values in known.values()):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        inside = {
            light: bound
            for light, bound in zip(_LIGHTS, bounds, strict=False)
            if bound is not None and edges[0] <= bound <= edges[-1]
        }
        for light, bound in inside.items():
            axes.axvline(bound, color=_LIGHTS[light], linewidth=1.5, linestyle="--", label=f"bound of {light}")
        if len(known) > 1 or inside:
            _legend(axes)
    return _svg(figure, name)


def bars(name: str, title: str, labels: Sequence[str], series: Mapping[str, _Numbers], *, label: str) -> str:
    """Return bars of one or more series, one group a label; see `histogram` for the arguments."""
    figure, axes = _axes(title, "", label)
    place = np.arange(len(labels))
    width = 0.8 / max(1, len(series))
    for number, (colour, (key, values)) in enumerate(zip(COLOURS, series.items(), strict=False)):
        offset = (number - (len(series) - 1) / 2) * width
        axes.bar(place + offset, np.nan_to_num(np.asarray(values, np.float64)), width * 0.95, color=colour, label=key)
    shown = [text if len(text) <= 14 else f"{text[:13]}…" for text in labels]
    axes.set_xticks(place, shown, rotation=0 if len(labels) < 6 else 40, ha="center")
    if len(series) > 1:
        _legend(axes)
    return _svg(figure, name)


def scatter(
    name: str,
    title: str,
    series: Mapping[str, tuple[_Numbers, _Numbers]],
    *,
    labels: tuple[str, str],
    diagonal: bool = False,
) -> str:
    """Return points of one or more series, with the diagonal if wanted; see `histogram` for the arguments."""
    figure, axes = _axes(title, *labels)
    for colour, (key, (x, y)) in zip(COLOURS, series.items(), strict=False):
        axes.scatter(x, y, s=16, color=colour, alpha=0.7, linewidths=0, label=f"{key} ({len(x)})")
    if diagonal:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    if len(series) > 1:
        _legend(axes)
    return _svg(figure, name)


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_title(title, fontsize=_FONT + 1, color=_INK, loc="left")
    axes.set_xlabel(x, fontsize=_FONT, color=_INK)
    axes.set_ylabel(y, fontsize=_FONT, color=_INK)
    axes.tick_params(which="both", labelsize=_FONT - 1, colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(fontsize=_FONT - 1, frameon=False, labelcolor=_INK)


def _svg(figure: Figure, name: str) -> str:
    """Return a figure as an element for a page: no header, ids of its own, text as text in the page's colour."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(
        r'<svg [^>]*viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{name}">', text, count=1
    )
    for number, colour in enumerate(COLOURS, 1):
        text = text.replace(colour, f"var(--series-{number})")
    return text.replace(_INK, "currentColor")
