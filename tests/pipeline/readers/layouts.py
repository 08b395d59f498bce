"""Layouts of empty files, as readers look at names only, and what they find in them."""

from pathlib import Path

from hsmix_gen.pipeline.readers.paths.ids import Found


def lay(source: Path, *paths: str) -> Path:
    """Write empty files and return their folder."""
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    return source


def pairs(source: Path, found: Found) -> dict[str, tuple[str, str]]:
    """Return image and mask of each item by id."""
    return {
        item.id: (
            Path(item.image.uri).relative_to(source).as_posix(),
            Path(item.mask.uri).relative_to(source).as_posix(),
        )
        for item in found.items
    }


def masks(source: Path, found: Found) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the format of each mask, and its files."""
    return {
        item.id: (
            item.mask.format,
            tuple(Path(path).relative_to(source).as_posix() if path else "" for path in item.mask.paths),
        )
        for item in found.items
    }


def splits(found: Found) -> dict[str, str | None]:
    """Return the split of each item by id."""
    return {item.id: item.split for item in found.items}


def reasons(found: Found) -> dict[str, str]:
    """Return why files are refused, by id."""
    return {refusal.id: refusal.reason for refusal in found.refusals}
