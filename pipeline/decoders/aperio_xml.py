"""Outlines of objects as masks: annotation files of Aperio ImageScope, drawn at the size of their image."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.etree.ElementTree import fromstring as parse_plainly

import numpy as np
import numpy.typing as npt
from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree
from skimage.draw import polygon

from hsmix_gen.pipeline.decoders.refusal_errors import Reasons, first_bytes, refusing
from hsmix_gen.pipeline.decoders.stack import ArrayStack, ReadOptions, Stack
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content

MAX_BYTES = 64 * 2**20
"""Larger annotation files are refused: their tree takes nine times as much memory."""
_MAX_COORDINATE = 1e7
# Vertices times pixels of the box around a region, over all regions: some twenty seconds of drawing.
_MAX_STEPS = 10**10
# Pixels whose centre lies on a left or upper edge belong to a region, those on a right or lower edge do not. With
# both, regions drawn in whole pixels gain half of their outline (a tenth of a nucleus), and neighbours grow together.
_OPEN_EDGE = 1e-4
_STRANGE: Reasons = {
    DefusedXmlException: "declares a document type or entities, which can reach other files; remove the declaration"
}
# A document type can stand before the root only: where nothing does, the parser of the standard library is as safe as
# that of defusedxml, and twice as fast.
_ROOT_AT_ONCE = re.compile(rb"(\xef\xbb\xbf)?\s*<Annotations[\s>]")


@dataclass(frozen=True)
class Region:
    """An outline as the file has it."""

    vertices: npt.NDArray[np.float64]
    """(N, 2) float64; column and row in pixels, in order; may leave the image, and may be fewer than three."""
    layer: int = 0
    """Number of its annotation layer, from 0."""
    is_hole: bool = False
    """Whether it is cut out of its layer (``NegativeROA``)."""


def open_mask(content: Content, image: Stack, how: ReadOptions) -> ArrayStack:  # noqa: ARG001 - part of the interface
    """Return the mask that the regions of an annotation file make: 1 inside of any, 0 outside.

    Raises
    ------
    SourceError
        If the file cannot be read as annotations; the text begins with its path.
    """
    path = Path(content.paths[0])
    regions = read_regions(path)
    if sum(_steps(region.vertices, image.size) for region in regions) > _MAX_STEPS:
        raise SourceError(
            f"{path} has {len(regions)} regions of {sum(len(r.vertices) for r in regions)} vertices, "
            f"too many to draw at {image.size[1]} x {image.size[0]} pixels; simplify the outlines"
        )
    return ArrayStack(draw_regions(regions, image.size)[None])


def read_regions(path: Path) -> tuple[Region, ...]:
    """Return all regions of an Aperio annotation file (``Annotations/Annotation/Regions/Region/Vertices/Vertex``).

    Raises
    ------
    SourceError
        If the file is missing, too large, damaged, of another kind, or declares entities.
    """
    root = _parsed(path)
    if root.tag != "Annotations":
        raise SourceError(
            f"{path} has the root <{root.tag}>, expected <Annotations> of Aperio ImageScope; export it so"
        )
    return tuple(
        Region(_vertices(path, element), layer, element.get("NegativeROA", "0").strip() == "1")
        for layer, annotation in enumerate(root.iterfind("Annotation"))
        for element in annotation.iterfind("Regions/Region")
    )


def draw_regions(regions: Iterable[Region], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the union of layers, each the union of its regions without its holes.

    Parameters
    ----------
    regions : iterable of Region
        Those with fewer than three vertices enclose nothing and draw nothing.
    size : (int, int)
        Height and width in pixels; what lies outside is cut off.

    Returns
    -------
    (H, W) uint8
        1 inside, 0 outside. The pixel in column x and row y belongs to a region if the point (x, y) does.
    """
    layers: dict[int, list[Region]] = defaultdict(list)
    for region in regions:
        if len(region.vertices) >= 3:
            layers[region.layer].append(region)
    mask = np.zeros(size, np.uint8)
    for members in layers.values():
        holes = [region for region in members if region.is_hole]
        # Holes of a layer spare what other layers have drawn.
        layer = np.zeros(size, np.uint8) if holes else mask
        for region in members:
            if not region.is_hole:
                layer[_inside(region.vertices, size)] = 1
        for region in holes:
            layer[_inside(region.vertices, size)] = 0
        mask |= layer
    return mask


def _inside(vertices: npt.NDArray[np.float64], size: tuple[int, int]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    columns, rows = (vertices - _OPEN_EDGE).T
    inside: tuple[npt.NDArray[Any], npt.NDArray[Any]] = polygon(rows, columns, size)  # type: ignore[no-untyped-call]
    return inside


def _steps(vertices: npt.NDArray[np.float64], size: tuple[int, int]) -> float:
    """Return what it costs to draw a region: vertices times pixels of the box around it."""
    if len(vertices) < 3:
        return 0
    limits = np.array([size[1], size[0]], np.float64)
    sides = np.clip(vertices.max(axis=0), 0, limits) - np.clip(vertices.min(axis=0), 0, limits)
    return len(vertices) * float(sides[0] + 1) * float(sides[1] + 1)


def _parsed(path: Path) -> Element:
    with refusing(path, reasons=_STRANGE):
        first_bytes(path, 1)
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise SourceError(f"has {n_bytes} bytes, expected at most {MAX_BYTES}; split the annotations")
        data = path.read_bytes()
        if _ROOT_AT_ONCE.match(data):
            return parse_plainly(data)  # noqa: S314
        root: Element = SafeTree.fromstring(data, forbid_dtd=True)
        return root


def _vertices(path: Path, region: Element) -> npt.NDArray[np.float64]:
    found = region.findall("Vertices/Vertex")
    try:
        flat = [float(vertex.attrib[axis]) for vertex in found for axis in ("X", "Y")]
    except (KeyError, ValueError) as error:
        what = f"without {error}" if isinstance(error, KeyError) else f"whose place is no number ({error})"
        raise SourceError(f"{path} region {region.get('Id', '?')} has a vertex {what}; export it again") from None
    vertices = np.array(flat, np.float64).reshape(-1, 2)
    # A comparison that NaN fails, too.
    if flat and not np.abs(vertices).max() <= _MAX_COORDINATE:
        odd = next(value for value in flat if not math.fabs(value) <= _MAX_COORDINATE)
        raise SourceError(
            f"{path} region {region.get('Id', '?')} has a vertex at {odd:g}, expected pixels; export it again"
        )
    return vertices
