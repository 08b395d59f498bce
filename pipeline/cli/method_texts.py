"""The mixing methods in words: what each does, its formula, its paper, its modes and what it reads of the cache."""

from hsmix_gen.schemas.config import MixConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import METHODS, nearest
from hsmix_gen.stages.mixing.method import Method, method_named


def methods_text() -> str:
    """Return what there is to know of each method, one after the other."""
    return "\n\n".join(method_text(name) for name in METHODS.names)


def method_text(name: str) -> str:
    """Return what there is to know of a method.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    if name not in METHODS.names:
        known = METHODS.names
        raise ConfigError(f"method must be one of {', '.join(known)}, got {name}{nearest(name, known)}")
    method = method_named(name)
    lines = [
        f"modes: {', '.join(method.modes)}",
        f"needs: {_needs_text(method)}",
        *([f"formula: {method.formula}"] if method.formula else []),
        *([f"options: {', '.join(f'mix.{field}' for field in method.options)}"] if method.options else []),
        f"paper: {method.paper}",
    ]
    return "\n".join([f"{name}: {METHODS.summary(name)}", *(f"  {line}" for line in lines)])


def _needs_text(method: Method) -> str:
    """Return what a method reads of the cache by default, mode by mode where they differ."""
    found = {mode: method.needs(mode, MixConfig()) for mode in method.modes}
    words = {
        mode: ", ".join(["images", "masks", *["superpixels"] * needed.superpixels, *["saliency"] * needed.saliency])
        for mode, needed in found.items()
    }
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{mode}: {text}" for mode, text in words.items())
