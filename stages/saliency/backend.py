"""What a saliency backend is given, and what it states; each is a module in `stages.saliency.backends`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmix_gen.schemas.config import SaliencyConfig
from hsmix_gen.schemas.families import BACKENDS

Map = npt.NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""


@dataclass(frozen=True)
class Subject:
    """An image that a map is made of; what a backend does not ask for is not read."""

    id: str
    """Of the source; maps do not depend on the seed of the run."""
    size: tuple[int, int]
    """Height and width of the map in pixels."""
    image: Callable[[], npt.NDArray[Any]]
    """Returns the standardised image, (H, W, C) uint8, uint16 or float32."""
    brought: Callable[[], Map]
    """Returns the map that the user brought, float32 in [0, 1] of any size; a `SourceError` if there is none."""


@dataclass(frozen=True)
class Backend:
    """A way of making saliency maps.

    Its module holds one as ``BACKEND``; the first line of the module's docstring says what it does.
    """

    map_of: Callable[[Subject], Map] | None
    """Makes the map of one image; None: the workers of Grad-CAM do, with a network."""
    version: int = 1
    """Raised whenever the same input gives other bytes."""
    libraries: tuple[str, ...] = ("numpy", "scipy", "pillow")
    """Distributions whose versions may change the bytes."""
    options: tuple[str, ...] = ()
    """Fields of `SaliencyConfig` that this backend uses, and not all do."""
    required: tuple[str, ...] = ()
    """Those of them without which there is no map."""

    @property
    def has_network(self) -> bool:
        """Whether maps come from a network, which takes torch and, if there is one, a GPU."""
        return self.map_of is None

    @property
    def takes_maps(self) -> bool:
        """Whether the user brings the maps, on whose content the bytes then depend."""
        return "folder" in self.required


NO_MAPS = Backend(lambda subject: np.zeros(subject.size, np.float32), libraries=())
"""What ``none`` means: zeros stand where maps would, and nothing may read them."""


def backend_of(saliency: SaliencyConfig) -> Backend:
    """Return the backend that a configuration names."""
    if saliency.backend == "none":
        return NO_MAPS
    backend: Backend = BACKENDS.module(saliency.backend).BACKEND
    return backend
