"""Networks for Grad-CAM: those of the user, by name, and the fitted one, in a file."""

import hashlib
import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hsmix_gen.pipeline.features.weight_files import is_torchscript, load_weights
from hsmix_gen.pipeline.files.atomic_files import write_whole
from hsmix_gen.schemas.digests import canonical_json
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.fitting import Fitted, build_unet
from hsmix_gen.stages.saliency.network_io import input_size, logits_of
from hsmix_gen.stages.saliency.network_layers import refuse_torchscript

_FORMAT = "hsmix-gen fitted U-Net 1"


def best_device() -> torch.device:
    """Return the GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_user_network(spec: str, weights: Path | None = None, *, folder: Path | None = None) -> nn.Module:
    """Make the network that a user names; it is on the CPU, in evaluation mode.

    `spec` is ``MODULE:CALLABLE``, a callable that returns the network when called without arguments, or the path of a
    ``.pt2`` file of ``torch.export.save``. Both run code of the user. `weights` are loaded into it, see `load_weights`;
    None keeps what the callable made. Modules are searched in `folder`, by default the current one, before the
    installed ones. Raises ModelError if it cannot be imported, made or loaded.
    """
    folder = folder or Path.cwd()
    if spec.endswith(".pt2"):
        network = _exported(folder / spec, weights)
    else:
        with _searched_first(folder):
            network = _call(_find_callable(spec, folder), spec)
    refuse_torchscript(network)
    if weights is not None:
        load_weights(network, weights)
    return network.eval()


def check_network(
    network: nn.Module,
    *,
    n_channels: int,
    n_classes: int,
    size: tuple[int, int],
    multilabel: bool = False,
    side: int | None = None,
    output_key: str | None = None,
) -> tuple[int, int, int]:
    """Try a network on two empty images before any work depends on it; it is put in evaluation mode.

    `size` is that of the images, height and width in pixels. With `multilabel` each of the `n_classes` is a channel of
    its own, without background. `side` and `output_key` are those of `CamOptions`. Returns the shape (K, h, w) of the
    logits of one image. Raises ModelError if it fails, or its logits have another number of channels than the masks
    have classes; one channel is accepted for two classes.
    """
    refuse_torchscript(network)
    shape = (2, n_channels, *input_size(*size, side=side))
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    with torch.no_grad():
        try:
            output = network.eval()(torch.zeros(shape, device=device))
        except Exception as error:  # code of the user may raise anything
            raise ModelError(
                f"{type(network).__name__} must take an input of shape {shape}, got {_first_line(error)}; "
                "choose --channels, --size or saliency.side for this network"
            ) from error
    logits = logits_of(output, key=output_key)
    expected = {n_classes, 1} if n_classes == 2 and not multilabel else {n_classes}
    if len(logits) != shape[0] or logits.shape[1] not in expected:
        wanted = " or ".join(f"({shape[0]}, {channels}, h, w)" for channels in sorted(expected, reverse=True))
        raise ModelError(
            f"{type(network).__name__} must give logits of shape {wanted} for {n_classes} classes, "
            f"got {tuple(logits.shape)}; use a network of that many classes, --output-key or --mask-values"
        )
    return logits.shape[1], logits.shape[2], logits.shape[3]


def weights_digest(network: nn.Module) -> str:
    """Return the sha256, in hexadecimal, of the names, types, shapes and bytes of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        # Seen as bytes because numpy lacks some of torch's types.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_fitted(path: Path, fitted: Fitted) -> None:
    """Write a fitted U-Net, whole or absent; equal networks give equal bytes."""
    record = {
        "n_channels": fitted.n_channels,
        "n_classes": fitted.n_classes,
        "config": asdict(fitted.config),
        "seed": fitted.seed,
        # repr keeps all digits and NaN, which JSON lacks.
        "validation_dice": repr(fitted.validation_dice),
        "losses": fitted.losses,
    }
    content = {
        "format": _FORMAT,
        "record": canonical_json(record),
        "state_dict": {name: tensor.cpu() for name, tensor in fitted.network.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_fitted(path: Path) -> nn.Module:
    """Return the network that `save_fitted` wrote, on the CPU and in evaluation mode.

    Raises ModelError if the file is missing or of another kind.
    """
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports a damaged file by many kinds of error
        raise ModelError(f"{path} must be a fitted U-Net, got {_first_line(error)}; remove it to fit again") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ModelError(f"{path} must be of the format {_FORMAT!r}, got another; remove it to fit again")
    record: dict[str, Any] = json.loads(content["record"])
    shape = {name: record[name] for name in ("n_channels", "n_classes", "seed")}
    network = build_unet(**shape, features=record["config"]["features"])
    network.load_state_dict(content["state_dict"])
    return network.eval()


def _find_callable(spec: str, folder: Path) -> Callable[[], object]:
    """Return the callable behind ``MODULE:CALLABLE``."""
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise ModelError(
            f"--model must be MODULE:CALLABLE or a .pt2 file, got {spec!r}; "
            "write nets:make_unet for make_unet() in nets.py"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"model {spec!r} needs the module {error.name!r}, which is neither in {folder} nor installed; "
            "install it or start in its folder"
        ) from error
    except Exception as error:  # code of the user may raise anything
        raise ModelError(f"model {spec!r} cannot be imported: {_first_line(error)}; mend {module_name}") from error
    found = getattr(module, name, None)
    if not callable(found):
        known = ", ".join(sorted(key for key, value in vars(module).items() if callable(value))[:5])
        raise ModelError(f"model {spec!r} must name a callable of {module_name}, got {name}; it has {known or 'none'}")
    return found  # type: ignore[no-any-return]


def _call(make: Callable[[], object], spec: str) -> nn.Module:
    """Return the network that a callable makes."""
    try:
        network = make()
    except Exception as error:  # code of the user may raise anything
        raise ModelError(
            f"model {spec!r} must make a network when called without arguments, got {_first_line(error)}; "
            "wrap it in a function that needs none"
        ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"model {spec!r} must return a torch.nn.Module, got {type(network).__name__}; return one")
    return network


def _exported(path: Path, weights: Path | None) -> nn.Module:
    """Return the network of a torch.export file with its layers, which the library's own module inlines."""
    if weights is not None:
        raise ModelError(f"--model {path} brings its weights, got --weights {weights} as well; drop --weights")
    if not path.is_file():
        raise ModelError(f"model {path} does not exist; check --model")
    if is_torchscript(path):
        raise ModelError(f"model {path} is TorchScript, whose layers Grad-CAM cannot watch; use torch.export.save")
    try:
        return torch.export.unflatten(torch.export.load(path))
    except Exception as error:  # torch reports a damaged file by many kinds of error
        raise ModelError(
            f"model {path} must be a file of torch.export.save, got {_first_line(error)}; export it again"
        ) from error


@contextmanager
def _searched_first(folder: Path) -> Iterator[None]:
    """Search a folder for modules before all others."""
    entry = str(folder)
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def _first_line(error: BaseException) -> str:
    """Return kind and first line of an error, which fit into a message of one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
