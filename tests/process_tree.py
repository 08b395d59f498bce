"""Processes below another one, as the kernel lists them."""

from pathlib import Path


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return id and title of all processes below one."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_text().rstrip("\0 ").replace("\0", " ")
        except (OSError, ValueError):
            continue
    found, frontier = [], {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found += [(child, titles.get(child, "")) for child in sorted(frontier)]
    return found
