"""The optional parts of the installation: what each brings, and the one line that names it where it is missing."""

from importlib import import_module
from typing import Any

from hsmix_gen.schemas.errors import HsmixError

EXTRAS: dict[str, dict[str, str]] = {
    "augment": {"monai": "monai", "torchvision": "torchvision"},
    "cluster": {},  # Ray's dashboard, which clusters ask for their health; nothing here imports it
    "coco": {"pycocotools": "pycocotools"},
    "dicom": {"pydicom": "pydicom"},
    "gcs": {"gcsfs": "gcsfs"},
    "litdata": {"litdata": "litdata"},
    "mds": {"streaming": "mosaicml-streaming"},
    "s3": {"s3fs": "s3fs"},
}
"""Extra, as ``pyproject.toml`` names it -> module that is imported -> distribution that holds it."""
APART = {"mds": " in an environment of its own, as it wants an older numpy"}
"""Extras that cannot stand beside the others, and so are no part of ``[all]``."""


class ExtraError(HsmixError):
    """A part of the installation is missing that only some users need."""


def load(module: str, purpose: str) -> Any:
    """Return a module that an extra brings, or that imports what an extra brings.

    Parameters
    ----------
    module : str
        Full name.
    purpose : str
        Who needs it, such as a file, an address or an option: the subject of the message.

    Raises
    ------
    ExtraError
        Naming the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        for name in ((error.name or "").partition(".")[0], module.partition(".")[0]):
            for extra, brought in EXTRAS.items():
                if name in brought:
                    raise ExtraError(_missing(extra, brought[name], name, purpose, error)) from None
        raise


def _missing(extra: str, distribution: str, module: str, purpose: str, error: ImportError) -> str:
    absent = isinstance(error, ModuleNotFoundError) and error.name == module
    state = "is not installed" if absent else f"cannot be imported ({error})"
    return (
        f"{purpose} needs the package {distribution}, which {state}; "
        f"pip install 'hsmix-gen[{extra}]'{APART.get(extra, '')}"
    )
