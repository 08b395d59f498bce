"""Families of things that users choose by name: readers, superpixels, mixing methods, saliency backends and others.

A member is a module in the folder of its family, and nothing else names it: configuration, help, cards and checks
list what lies in the folder.
"""

import ast
import difflib
import pkgutil
from collections.abc import Iterable
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any


class Family:
    """The modules of one folder by the names that users give them.

    Parameters
    ----------
    title : str
        What a member is, for messages: ``mixing method``.
    package : str
        Full name of the folder; it is searched, not imported, so that this module stays below all of its members.
    suffix : str
        End of the names of modules that are members, left out of the names of members; others in the folder help them.
    hyphens : bool
        Whether underscores of a module are hyphens of its name.
    """

    def __init__(self, title: str, package: str, suffix: str = "", *, hyphens: bool = True) -> None:
        self.title, self.package, self._suffix, self._hyphens = title, package, suffix, hyphens

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Full name of each member's module, by the member's name."""
        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        found = sorted(module.name for module in pkgutil.iter_modules(folders) if module.name.endswith(self._suffix))
        between = "-" if self._hyphens else "_"
        return {module.removesuffix(self._suffix).replace("_", between): f"{self.package}.{module}" for module in found}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all members, sorted."""
        return tuple(self._modules)

    @property
    def listed(self) -> str:
        """Names of all members in a sentence: ``a, b or c``."""
        *others, last = self.names
        return f"{', '.join(others)} or {last}" if others else last

    def module(self, name: str) -> Any:
        """Return the module of a member, imported when it is first asked for.

        Raises
        ------
        ValueError
            If the family has no such member; the text lists those that it has.
        """
        return import_module(self._path(name))

    def summary(self, name: str) -> str:
        """Return the first line of a member's docstring without its full stop; the module is read, not imported."""
        return _summary(self._path(name))

    def _path(self, name: str) -> str:
        if name not in self._modules:
            raise ValueError(f"{self.title} must be one of {', '.join(self.names)}, got {name}")
        return self._modules[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that asks for the known name that is most like a wrong one; empty if none is."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


@cache
def _summary(module: str) -> str:
    spec = find_spec(module)
    source = spec.loader.get_source(module) if spec and spec.loader else None  # type: ignore[attr-defined]
    return (ast.get_docstring(ast.parse(source or "")) or "").partition("\n")[0].rstrip(".")


READERS = Family("layout", "hsmix_gen.pipeline.readers", "_reader")
SUPERPIXELS = Family("superpixels", "hsmix_gen.stages.superpixels", "_regions")
METHODS = Family("mixing method", "hsmix_gen.stages.mixing.methods")
AUGMENTATIONS = Family("augmentation", "hsmix_gen.stages.augmentation", "_augment")
BACKENDS = Family("saliency backend", "hsmix_gen.stages.saliency.backends", hyphens=False)
EXPORTS = Family("export", "hsmix_gen.pipeline.exports", "_export")
FORMATS = Family("output format", "hsmix_gen.pipeline.dataset.formats", "_format")
