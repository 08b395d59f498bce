"""The rooms of the house along the way of the data, and the arrows between them: ``make house`` prints them.

An arrow is an import, wherever it stands in a module: inside functions and conditions too.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOP = ("schemas", "stages", "pipeline")
ROOMS = (
    "schemas",
    "stages",
    "stages/kernels",
    "stages/superpixels",
    "stages/labels",
    "stages/imaging",
    "stages/saliency",
    "stages/saliency/backends",
    "stages/planning",
    "stages/mixing",
    "stages/mixing/methods",
    "stages/augmentation",
    "stages/measures",
    "pipeline/files",
    "pipeline/execution",
    "pipeline/decoders/codecs",
    "pipeline/decoders/geometry",
    "pipeline/decoders",
    "pipeline/readers/paths",
    "pipeline/readers",
    "pipeline/sources",
    "pipeline/features",
    "pipeline/dataset",
    "pipeline/dataset/formats",
    "pipeline/mixing",
    "pipeline/loading",
    "pipeline/exports",
    "pipeline/verification",
    "pipeline/reporting",
    "pipeline/jobs",
    "pipeline/cli",
    "pipeline",
)
"""In the order of the data: each may import from itself and from the rooms before it."""


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the full names a module imports: ``from a.b import c`` gives ``a.b.c``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {"." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names}
    return frozenset(names)


def modules_in(room: str) -> list[Path]:
    """Return the modules of a room, sorted."""
    return sorted((ROOT / room).glob("*.py"))


def name_of(path: Path) -> str:
    """Return a path from the root on."""
    return path.relative_to(ROOT).as_posix()


def imported_room(name: str) -> str:
    """Return the room of ``hsmix_gen.stages.mixing.draws.draw_mode``: ``stages/mixing``."""
    path = "/".join(name.split(".")[1:])
    return max((room for room in ROOMS if f"{path}/".startswith(f"{room}/")), key=len, default="")


def size_of(room: str) -> tuple[int, int]:
    """Return the modules of a room, without its ``__init__``, and their lines."""
    modules = [path for path in modules_in(room) if path.name != "__init__.py"]
    return len(modules), sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules)


def arrows() -> Iterator[tuple[Path, str]]:
    """Yield each module with each name of the package that it imports."""
    for room in ROOMS:
        for path in modules_in(room):
            yield from ((path, name) for name in sorted(imported(path)) if name.startswith("hsmix_gen."))


def wrong_arrows() -> list[str]:
    """Return in words the imports from rooms that come later."""
    return [
        f"{name_of(path)} imports {name}"
        for path, name in arrows()
        if imported_room(name) not in ROOMS[: ROOMS.index(name_of(path.parent)) + 1]
    ]


def circle(graph: Mapping[str, set[str]] | None = None) -> list[str]:
    """Return the modules of a circle of imports, the first of them again at the end; empty if there is none."""
    try:
        TopologicalSorter(_modules() if graph is None else graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def drawing() -> str:
    """Return a line for each room: modules, lines, and how often it imports from each other room."""
    counts: dict[str, Counter[str]] = {room: Counter() for room in ROOMS}
    for path, name in arrows():
        counts[name_of(path.parent)][imported_room(name)] += 1
    width = max(map(len, ROOMS))
    lines = [f"{'room':<{width}} modules  lines  imports from"]
    for room in ROOMS:
        modules, n_lines = size_of(room)
        others = ", ".join(f"{other} {counts[room][other]}" for other in ROOMS if other != room and counts[room][other])
        lines.append(f"{room:<{width}} {modules:7d} {n_lines:6d}  {others}".rstrip())
    found = [*wrong_arrows(), *([f"circle: {' -> '.join(circle())}"] if circle() else [])]
    return "\n".join([*lines, "", *(found or ["no arrow against the order, no circle"])])


def _modules() -> dict[str, set[str]]:
    """Return which modules each module imports, by their paths without the ending."""
    names = {name_of(path.with_suffix("")) for room in ROOMS for path in modules_in(room)}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for path, name in arrows():
        parts = name.split(".")[1:]
        # The last part may be a function of the module before it.
        targets = {"/".join(parts), "/".join(parts[:-1]), "/".join([*parts, "__init__"])} & names
        graph[name_of(path.with_suffix(""))] |= targets - {name_of(path.with_suffix(""))}
    return graph


if __name__ == "__main__":
    print(drawing())  # noqa: T201
