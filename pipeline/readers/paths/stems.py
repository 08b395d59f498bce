"""Names of files without their endings, of which some have two parts."""

from pathlib import PurePosixPath

_DOUBLE = (".nii.gz", ".ome.tif", ".ome.tiff")


def ending_of(path: str) -> str:
    """Return the ending of a file in lower case: ``.png``, or both parts of ``.nii.gz`` and ``.ome.tif``."""
    lower = path.lower()
    return next((ending for ending in _DOUBLE if lower.endswith(ending)), PurePosixPath(lower).suffix)


def stem_of(path: str) -> str:
    """Return the name of a file without its ending and without folders."""
    name = PurePosixPath(path).name
    return name[: len(name) - len(ending_of(name))]
