"""The network layers that Grad-CAM can use."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.stages.saliency.network_io import logits_of

_LEAST_SIDE = 4
# Deeper levels hold parts of the blocks above them; they are opened only for want of candidates.
_ENOUGH = 8
_MOST = 16


@dataclass(frozen=True, slots=True)
class _Call:
    """One run of a module in a forward pass; the output is kept so that it can be distinguished from others."""

    name: str
    module: nn.Module
    output: torch.Tensor


def candidate_layers(network: nn.Module, example: torch.Tensor, *, output_key: str | None = None) -> list[str]:
    """Find network layers worth trying for Grad-CAM by one forward pass.

    A candidate runs once, puts out one (N, C, h, w) tensor with sides of 4 pixels or more, and is neither the
    head that makes the logits nor behind it. Blocks come before the leaves inside them: the levels of the
    module tree are opened from above until there are 8 candidates; of more than 16 an even selection stays.

    Parameters
    ----------
    network : Module
        Put in evaluation mode.
    example : (N, C, H, W) float32
        An input, on the network's device; one image is enough.
    output_key : str or None
        See `logits_of`.

    Returns
    -------
    list of str
        Dotted names, in the order in which the layers finish.

    Raises
    ------
    ModelError
        If there is none.
    """
    refuse_torchscript(network)
    calls, logits = _record_calls(network, example, output_key=output_key)
    chosen = _pick_levels(_before_head(_called_once(calls), logits))
    if not chosen:
        raise ModelError(
            f"{type(network).__name__} must have a layer with an output of shape (N, C, h, w) and h, w of "
            f"{_LEAST_SIDE} or more before its head, got none; use larger images or another --saliency"
        )
    return chosen


def require_layer(network: nn.Module, name: str, *, candidates: Sequence[str] = ()) -> nn.Module:
    """Return the network layer of a dotted name.

    Parameters
    ----------
    network : Module
        Any network but TorchScript.
    name : str
        As in ``network.named_modules()``.
    candidates : sequence of str
        Names to propose if there is no such layer; by default the network's children.

    Raises
    ------
    ModelError
        If there is no such layer; it names the nearest ones and the candidates.
    """
    refuse_torchscript(network)
    modules: dict[str, nn.Module] = dict(network.named_modules())
    module = modules.get(name) if name else None
    if module is not None:
        return module
    near = difflib.get_close_matches(name, [known for known in modules if known], n=3, cutoff=0.5)
    offered = list(candidates) or [child for child, _ in network.named_children()]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(
        f"layer {name!r} does not exist in {type(network).__name__}; {hint}choose --layer among {', '.join(offered)}"
    )


def refuse_torchscript(network: nn.Module) -> None:
    """Raise a `ModelError` for a scripted or traced network: its layers cannot be watched."""
    if isinstance(network, torch.jit.ScriptModule):
        raise ModelError(
            f"the network is TorchScript ({type(network).__name__}), whose layers Grad-CAM cannot watch; "
            "give the Python network with --model MODULE:CALLABLE, a torch.export file (.pt2), "
            "or another --saliency"
        )


def _record_calls(
    network: nn.Module, example: torch.Tensor, *, output_key: str | None
) -> tuple[list[_Call], torch.Tensor]:
    """Run the network once and return each module's runs, in the order they end, and the logits."""
    calls: list[_Call] = []

    def recorder(name: str) -> object:
        def record(module: nn.Module, _inputs: object, output: object) -> None:
            calls.append(_Call(name, module, output if isinstance(output, torch.Tensor) else torch.empty(0)))

        return record

    network.eval()
    handles = [module.register_forward_hook(recorder(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            output: object = network(example)
    finally:
        for handle in handles:
            handle.remove()
    # The logits are compared by identity with the outputs of modules; a copy in float32 would be no one's.
    return calls, logits_of(output, key=output_key)


def _called_once(calls: list[_Call]) -> list[_Call]:
    """Return the runs that put out a large enough float map, of modules that ran only once."""
    runs = Counter(call.name for call in calls)
    return [
        call
        for call in calls
        if runs[call.name] == 1
        and call.output.ndim == 4
        and call.output.is_floating_point()
        and min(call.output.shape[-2:]) >= _LEAST_SIDE
    ]


def _before_head(calls: list[_Call], logits: torch.Tensor) -> list[_Call]:
    """Leave out the logits, the convolutions that make logits, and what only resizes or activates them."""
    n_logits = logits.shape[1]
    convolutions = [index for index, call in enumerate(calls) if _is_convolution(call.module)]
    last = max(convolutions, default=len(calls))
    return [
        call
        for index, call in enumerate(calls)
        if call.output is not logits
        and (call.output.shape[1] != n_logits or (index < last and not _is_convolution(call.module)))
    ]


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))


def _pick_levels(calls: list[_Call]) -> list[str]:
    """Open the levels of the module tree, blocks first and leaves last, until there are enough candidates."""
    blocks = [call for call in _outermost(calls) if next(call.module.children(), None) is not None]
    names = {call.name for call in blocks}
    leaves = [call for call in _outermost(calls) if call.name not in names]
    chosen: set[str] = set()
    for group in (blocks, leaves):
        for depth in sorted({_depth(call) for call in group}):
            if len(chosen) >= _ENOUGH:
                break
            level = [call.name for call in group if _depth(call) == depth]
            chosen.update(_spread(level, _MOST - len(chosen)))
    return [call.name for call in calls if call.name in chosen]


def _outermost(calls: list[_Call]) -> list[_Call]:
    """Of modules that hand on one and the same tensor, as a block and its last part do, keep the highest."""
    kept: dict[int, _Call] = {}
    for call in sorted(calls, key=_depth):
        kept.setdefault(id(call.output), call)
    return list(kept.values())


def _depth(call: _Call) -> int:
    return call.name.count(".")


def _spread(names: list[str], most: int) -> list[str]:
    """Return at most so many names, evenly spread, the last one among them."""
    if len(names) <= most:
        return names
    return [names[(index + 1) * len(names) // most - 1] for index in range(most)]
