"""Versions of what is installed; those that decide bytes enter the digests of layers and runs."""

import functools
import platform
from importlib.metadata import PackageNotFoundError, version

from hsmix_gen.schemas.extras import EXTRAS

IMAGES = ("pillow", "imagecodecs", "tifffile", "numpy", "scipy", "scikit-image", "nibabel", "h5py")
SUPERPIXELS = ("scikit-image", "scipy", "numpy")
SHARDS = ("hsmix-gen", "numpy", "scipy", "imagecodecs", "pyarrow")
REPORTED = ("hsmix-gen", "ray", "zarr", "scikit-image", "torch", "grad-cam", "pyarrow", "numpy", "pillow")


def decoding(layout: str) -> tuple[str, ...]:
    """Return the distributions that decode the sources of a layout; the extra of a layout bears its name."""
    return (*IMAGES, *EXTRAS.get(layout, {}).values())


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed version of each distribution, ``absent`` where there is none."""
    return {name: _version(name) for name in names}


def environment() -> dict[str, str]:
    """Return the versions that a run records, Python and the machine's architecture included."""
    return {"python": platform.python_version(), "machine": platform.machine(), **versions_of(REPORTED)}


@functools.cache
def _version(name: str) -> str:
    # Each question parses the whole description of a distribution: 5 ms, some thirty times in a run.
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
