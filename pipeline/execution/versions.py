"""Versions of what is installed; those that decide bytes enter the digests of layers and runs."""

import platform
from importlib.metadata import PackageNotFoundError, version

IMAGES = (
    "pillow", "imagecodecs", "tifffile", "numpy", "scipy", "scikit-image", "nibabel", "h5py", "pydicom",
    "pycocotools",
)  # fmt: skip
SUPERPIXELS = ("scikit-image", "scipy", "numpy")
SHARDS = ("hsmix-gen", "numpy", "scipy", "imagecodecs", "pyarrow")
REPORTED = (
    "hsmix-gen",
    "ray",
    "zarr",
    "scikit-image",
    "torch",
    "grad-cam",
    "monai",
    "pyarrow",
    "numpy",
    "pillow",
)


def versions_of(names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed version of each distribution, ``absent`` where there is none."""
    return {name: _version(name) for name in names}


def environment() -> dict[str, str]:
    """Return the versions that a run records, Python and the machine's architecture included."""
    return {"python": platform.python_version(), "machine": platform.machine(), **versions_of(REPORTED)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
