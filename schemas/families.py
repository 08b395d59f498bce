"""Families of things that users choose by name: readers, mixing methods, saliency backends, formats, exports.

A member is a module in the folder of its family, and nothing else names it: configuration, help, cards and checks
list what lies in the folder.
"""

import pkgutil
from functools import cached_property
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
    """

    def __init__(self, title: str, package: str, suffix: str = "") -> None:
        self.title, self.package, self._suffix = title, package, suffix

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all members, sorted; underscores of a module are hyphens of its name."""
        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        modules = sorted(module.name for module in pkgutil.iter_modules(folders) if module.name.endswith(self._suffix))
        return tuple(module.removesuffix(self._suffix).replace("_", "-") for module in modules)

    def module(self, name: str) -> Any:
        """Return the module of a member, imported when it is first asked for.

        Raises
        ------
        ValueError
            If the family has no such member; the text lists those that it has.
        """
        if name not in self.names:
            raise ValueError(f"{self.title} must be one of {', '.join(self.names)}, got {name}")
        return import_module(f"{self.package}.{name.replace('-', '_')}{self._suffix}")
