"""Settings of torch that decide whether a result can be had again; each is put back afterwards."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many CPU threads: sums are split among them, so their number is part of the result."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic_algorithms(device: torch.device) -> Iterator[None]:
    """Keep torch on a GPU from algorithms whose result varies, as far as it can: some have no twin.

    On a CPU all that is used here gives the same result each time, and the setting imports torch's compiler.
    """
    if device.type == "cpu":
        yield
        return
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            # Equal bytes are promised on the CPU only; the user cannot act on this warning.
            warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Seed the CPU generator that initialises network layers, and put its state back afterwards."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed the GPUs as well, which fork_rng does not put back here.
        torch.default_generator.manual_seed(seed)
        yield
