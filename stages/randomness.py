"""Generators of random numbers that depend on what is drawn, never on who draws it or when."""

import hashlib
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

_FIELD_END = b"\x1f"


def derive_key(seed: int, purpose: str, *key: str | int) -> int:
    """Return the 63-bit key of a generator, a function of its arguments alone.

    Parameters
    ----------
    seed : int
        Seed of the run.
    purpose : str
        What is drawn, for example ``"mode"``. Two purposes never share numbers.
    *key : str or int
        What it is drawn for, for example the key of a sample.

    Returns
    -------
    int
        0 to 2**63 - 1, so that it fits a signed 64-bit column.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, purpose, *key):
        digest.update(f"{type(part).__name__}:{part}".encode() + _FIELD_END)
    return int.from_bytes(digest.digest(), "big") >> 1


def generator(key: int) -> np.random.Generator:
    """Return the counter-based generator (Philox [1]_) that belongs to a key of `derive_key`.

    References
    ----------
    .. [1] Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, doi:10.1145/2063384.2063405.
    """
    return np.random.Generator(np.random.Philox(_Key(key)))  # type: ignore[arg-type]


class _Key(ISeedSequence):
    """Gives a generator its key. Handed over as ``key`` it takes three times as long: chance is asked of the system."""

    def __init__(self, key: int) -> None:
        self._words = np.array([key, 0], np.uint64)

    def generate_state(self, n_words: int, dtype: npt.DTypeLike = np.uint32) -> npt.NDArray[Any]:
        """Return the words of the key, as many as there are and of the type in which they are asked for."""
        if (n_words, dtype) != (2, np.uint64):
            raise ValueError(f"a generator must ask for 2 words of uint64, got {n_words} of {dtype}")
        return self._words


class _Own(threading.local):
    """One generator for each thread, and its state before the first number."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(0)
        self.rng = np.random.Generator(self.bits)
        self.state = self.bits.state
        self.state["state"]["key"][:] = 0


_OWN = _Own()


def passing_generator(seed: int, purpose: str, *key: str | int) -> np.random.Generator:
    """Return what `generator_for` does, good until its thread asks for the next: a new one takes twice as long."""
    _OWN.state["state"]["key"][0] = derive_key(seed, purpose, *key)
    _OWN.bits.state = _OWN.state
    return _OWN.rng


def generator_for(seed: int, purpose: str, *key: str | int) -> np.random.Generator:
    """Return the generator keyed by (seed, purpose, key); equal arguments give equal numbers anywhere."""
    return generator(derive_key(seed, purpose, *key))


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw an integer from `low` to `high`, both included.

    Only ``Generator.random`` is used for draws: unlike the integer and permutation methods, its stream has a
    one-line definition (53 bits of one 64-bit word), so that datasets do not change with the version of numpy.
    """
    return low + min(int(rng.random() * (high - low + 1)), high - low)


def permutation(rng: np.random.Generator, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Draw a permutation of 0 to ``size - 1``, an (size,) int64 array, as the ranks of uniform numbers."""
    return np.argsort(rng.random(size), kind="stable").astype(np.int64)
