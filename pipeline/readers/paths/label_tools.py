"""What labelling tools leave beside images, recognised by its first bytes, and how it becomes masks."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.codecs.pointers import pointer_kind
from hsmix_gen.pipeline.decoders.refusal_errors import start_of
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.stems import ending_of, stem_of

_HEAD_BYTES = 1 << 16
# Of each kind of ending so many files are looked into: a tool writes all of them alike.
_LOOKED_AT = 4
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?"
_YOLO_LINE = re.compile(rf"\d+(?: {_NUMBER}){{4,}} *")
_RLE_COLUMN = re.compile(r"encoded_?pixels|^rle$|_rle$|^segmentation$|run_?length", re.IGNORECASE)
_RUN_LENGTHS = re.compile(r"\d+ \d+(?: \d+ \d+)*")
_LIST_WAY = "or draw masks and name the pairs in a list with columns image and mask"


@dataclass(frozen=True)
class _Tool:
    """A kind of file, and the way from it."""

    name: str
    way: str
    """How people call it, and what they can do."""
    endings: tuple[str, ...]
    is_of: Callable[[str], bool]
    """From the beginning of a file to whether it is of this kind."""


def _has_keys(*keys: str) -> Callable[[str], bool]:
    return lambda head: all(re.search(rf'"{key}"\s*:', head) for key in keys)


def _lines(head: str) -> list[str]:
    # The last line may be cut.
    lines = head.splitlines()
    return [line.strip() for line in (lines[:-1] if len(head) >= _HEAD_BYTES else lines) if line.strip()]


def _is_yolo(head: str, *, boxes: bool) -> bool:
    lines = _lines(head)
    if not lines or not all(map(_YOLO_LINE.fullmatch, lines)):
        return False
    values = [[float(value) for value in line.split()[1:]] for line in lines]
    # Shares of width and height; other tables of numbers go beyond.
    if any(not -0.1 <= value <= 1.1 for row in values for value in row):
        return False
    return all(len(row) == 4 for row in values) == boxes


def _is_rle_list(head: str) -> bool:
    cells = [[cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)] for line in _lines(head)]
    columns = [at for at, name in enumerate(cells[0] if cells else []) if _RLE_COLUMN.search(name)]
    # Lists of pairs may call a column so, too.
    return any(at < len(row) and _RUN_LENGTHS.fullmatch(row[at]) for row in cells[1:] for at in columns)


_TOOLS = (
    _Tool("COCO", "give the file itself as SOURCE", (".json",), _has_keys("images", "annotations", "categories")),
    _Tool(
        "labelme", f"export them as COCO (labelme2coco), {_LIST_WAY}", (".json",), _has_keys("shapes", "imagePath")
    ),
    _Tool(
        "VIA (VGG Image Annotator)", "open the project in VIA and export it as COCO", (".json", ".csv"),
        lambda head: "_via_" in head or "region_shape_attributes" in head or _has_keys("filename", "regions")(head),
    ),
    _Tool(
        "Label Studio", "export the project as COCO, or its brush labels as PNG", (".json",),
        _has_keys("annotations", "result"),
    ),
    _Tool(
        "Supervisely", f"export the project as COCO or masks, {_LIST_WAY}", (".json",),
        _has_keys("objects", "classTitle"),
    ),
    _Tool(
        "QuPath (GeoJSON)", f"export labelled images from QuPath, {_LIST_WAY}", (".geojson", ".json"),
        lambda head: '"FeatureCollection"' in head or ('"geometry"' in head and '"coordinates"' in head),
    ),
    _Tool(
        "CVAT", "export the task as COCO 1.0 or Segmentation mask 1.1", (".xml",),
        lambda head: "<annotations" in head and ("<image " in head or "<task" in head or "<meta" in head),
    ),
    _Tool(
        "PASCAL VOC boxes", "they have no outlines; label the pixels", (".xml",),
        lambda head: "<annotation" in head and "<bndbox" in head,
    ),
    _Tool("YOLO", f"convert them to COCO, {_LIST_WAY}", (".txt",), lambda head: _is_yolo(head, boxes=False)),
    _Tool("YOLO boxes", "they have no outlines; label the pixels", (".txt",), lambda head: _is_yolo(head, boxes=True)),
    _Tool("run lengths (RLE)", f"convert the table to COCO, {_LIST_WAY}", (".csv", ".tsv"), _is_rle_list),
)  # fmt: skip


def label_tool_hints(source: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Return a line for each labelling tool whose files lie in a source: how many, the first, and the way out.

    Parameters
    ----------
    source : Path
        A folder.
    files : sequence of str
        What it holds, as relative paths.
    """
    by_ending = grouped((ending_of(path), path) for path in files)
    return tuple(hint for ending, paths in sorted(by_ending.items()) for hint in _hints(source, ending, paths))


def is_coco(path: Path) -> bool:
    """Return whether a JSON file, whatever its name, lists images, categories and annotations as COCO does."""
    head = _head(path)
    if not re.match(r"\s*\{", head):
        return False
    wanted = {"images", "categories", "annotations"}
    if all(re.search(rf'"{key}"\s*:\s*\[', head) for key in wanted):
        return True
    # A long list may stand before the others; other formats have none of these at their beginning.
    if not re.search(r'"(images|categories|annotations)"\s*:\s*\[', head) or len(head) < _HEAD_BYTES:
        return False
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and wanted <= content.keys()


def _hints(source: Path, ending: str, paths: Sequence[str]) -> list[str]:
    # Lists and descriptions come last: what lies beside an image says more.
    ordered = sorted(paths, key=lambda path: (stem_of(path).lower() in _DESCRIPTIONS, path))
    tools = [tool for tool in _TOOLS if ending in tool.endings]
    for path in ordered[: _LOOKED_AT if tools else 1]:
        head = _head(source / path)
        kind = pointer_kind(head.encode(errors="replace"))
        if kind:
            return [f"{len(paths)} {ending} files are pointers of {kind.name}, first {path}; {kind.way}"]
        tool = next((tool for tool in tools if tool.is_of(head)), None)
        if tool is not None:
            count = sum(PurePosixPath(other).parent == PurePosixPath(path).parent for other in paths)
            one, several = f"{path} is of {tool.name}", f"{count} {ending} files are of {tool.name}, first {path}"
            return [f"{one if count == 1 else several}; {tool.way}"]
    return []


_DESCRIPTIONS = frozenset({"classes", "labels", "readme", "license", "train", "val", "test", "requirements", "notes"})


def _head(path: Path) -> str:
    """Return the beginning of a file as text, nothing of what is no plain file."""
    return start_of(path, _HEAD_BYTES).decode("utf-8-sig", "replace")
