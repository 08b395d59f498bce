"""The loops that were compiled with the package, if they were: libraries and Python give the same without them."""

try:
    from hsmix_gen.stages.kernels import _native
except ImportError:  # there was no compiler
    _native = None  # type: ignore[assignment]

native = _native
"""Whatever was compiled, see ``_native.pyi``; None where nothing could be."""
COMPILED = native is not None
"""Whether the loops were compiled."""


def has(loop: str) -> bool:
    """Return whether a loop is there: those that were compiled before it was written lack it."""
    return hasattr(native, loop)
