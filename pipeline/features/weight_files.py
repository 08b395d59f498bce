"""Reading weights of the user: nothing in such a file is run."""

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from hsmix_gen.pipeline.execution.human_units import first_of
from hsmix_gen.schemas.errors import ModelError

# Where training scripts put the weights among optimiser and epoch.
_ENTRIES = ("state_dict", "model_state_dict", "model", "network_weights", "net")
# What DistributedDataParallel and torch.compile write before each name.
_PREFIXES = ("module.", "_orig_mod.")
_SHOWN = 3


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file of weights into a network; names and shapes must fit exactly.

    The network is changed in place. The file was written by ``torch.save``: a state_dict, or a dictionary that holds
    one as ``state_dict``, ``model_state_dict``, ``model``, ``network_weights`` or ``net``. A ``module.`` or
    ``_orig_mod.`` that begins all names is dropped. Raises ModelError if the file is missing, is no such file, holds
    pickled code, or does not fit.
    """
    state = _without_prefix(_state_in(_read(path), path))
    own = network.state_dict()
    problems = [
        *_listed("missing", own.keys() - state.keys()),
        *_listed("not in the network", state.keys() - own.keys()),
        *_listed(
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
                for name in own.keys() & state.keys()
                if own[name].shape != state[name].shape
            ],
        ),
    ]
    if problems:
        raise ModelError(
            f"weights {path} do not fit {type(network).__name__}: {'; '.join(problems)}; "
            "give the weights of this network, or its callable the arguments they were trained with"
        )
    network.load_state_dict(state)


def is_torchscript(path: Path) -> bool:
    """Return whether a file is an archive of ``torch.jit.save``, which holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read(path: Path) -> object:
    """Return what a file of ``torch.save`` holds, if that is data only."""
    if not path.is_file():
        raise ModelError(f"weights {path} do not exist; check --weights")
    if is_torchscript(path):
        raise ModelError(
            f"weights {path} are TorchScript, whose layers Grad-CAM cannot watch; "
            "save the state_dict of the Python network and give it with --model MODULE:CALLABLE"
        )
    try:
        with warnings.catch_warnings():
            # Files of other pickle protocols are warned of and then refused or read well.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights {path} must hold tensors only, got pickled objects, which could run code; "
            "save them again with torch.save(network.state_dict(), path)"
        ) from error
    except (RuntimeError, KeyError, EOFError, ValueError) as error:
        raise ModelError(
            f"weights {path} must be a file of torch.save, got something else or a part of one; copy it again"
        ) from error


def _state_in(content: object, path: Path) -> Mapping[str, torch.Tensor]:
    """Return the state_dict in what was read."""
    if isinstance(content, Mapping):
        for entry in _ENTRIES:
            if isinstance(content.get(entry), Mapping):
                return _state_in(content[entry], path)
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return content
    keys = sorted(map(str, content))[:_SHOWN] if isinstance(content, Mapping) else type(content).__name__
    raise ModelError(
        f"weights {path} must hold a state_dict, alone or as {', '.join(_ENTRIES)}, got {keys}; "
        "save torch.save(network.state_dict(), path)"
    )


def _without_prefix(state: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Return the state with names as the bare network has them."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return state


def _listed(problem: str, names: Iterable[str]) -> list[str]:
    """Return one phrase with the first few names, or none."""
    ordered = sorted(names)
    return [f"{len(ordered)} {problem} ({first_of(ordered, _SHOWN, more=', ...')})"] if ordered else []
