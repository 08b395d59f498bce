"""Networks of the user by name, weights without code, and the fitted network in a file."""

import json
import math
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from hsmix_gen.pipeline.features import gradcam_units
from hsmix_gen.pipeline.features.layers import Layers
from hsmix_gen.pipeline.features.networks import (
    check_network,
    load_fitted,
    load_user_network,
    save_fitted,
    weights_digest,
)
from hsmix_gen.schemas.config import SaliencyConfig
from hsmix_gen.schemas.errors import ModelError
from hsmix_gen.schemas.records import DatasetFacts
from hsmix_gen.stages.saliency.fitting import FitConfig, Fitted, build_unet

MODULE = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

def make_late():
    import user_nets_part
    return user_nets_part.make()

def needs_argument(width):
    return nn.Conv2d(3, width, 1)

def no_network():
    return 3

def scripted():
    return torch.jit.script(make())

CONSTANT = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the user's modules, which other tests shall not find in memory."""
    (tmp_path / "user_nets.py").write_text(MODULE)
    (tmp_path / "user_nets_part.py").write_text("from user_nets import make\n")
    (tmp_path / "user_broken.py").write_text("1 / 0\n")
    (tmp_path / "user_lacking.py").write_text("import no_such_library\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("user_")]:
        del sys.modules[name]


def network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def fitted(*, dice: float = 0.75) -> Fitted:
    config = FitConfig(features=(4, 4, 4, 4, 4, 4), steps=2, learning_rate=0.1 + 0.2)
    unet = build_unet(n_channels=1, n_classes=3, features=config.features, seed=3)
    return Fitted(unet.eval(), 1, 3, config, 3, dice, (1.5, 1 / 3))


class RunsCode:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return pytest.fail, ("code in a weights file was run",)


def test_a_network_is_made_by_its_name(folder: Path) -> None:
    made = load_user_network("user_nets:make", folder=folder)

    assert isinstance(made, nn.Sequential)
    assert not made.training
    assert str(folder) not in sys.path


def test_the_current_folder_is_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    assert isinstance(load_user_network("user_nets:make"), nn.Sequential)


def test_a_callable_may_import_its_neighbours_when_called(folder: Path) -> None:
    assert isinstance(load_user_network("user_nets:make_late", folder=folder), nn.Sequential)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("user_nets", "must be MODULE:CALLABLE or a .pt2 file, got 'user_nets'"),
        (":make", "must be MODULE:CALLABLE"),
        ("user_gone:make", "needs the module 'user_gone', which is neither in"),
        ("user_lacking:make", "needs the module 'no_such_library'"),
        ("user_broken:make", "ZeroDivisionError: division by zero; mend user_broken"),
        ("user_nets:mak", "must name a callable of user_nets, got mak; it has make, make_late"),
        ("user_nets:CONSTANT", "must name a callable"),
        ("user_nets:needs_argument", "called without arguments, got TypeError: needs_argument"),
        ("user_nets:no_network", "must return a torch.nn.Module, got int"),
        ("user_nets:scripted", "is TorchScript"),
        ("gone.pt2", "gone.pt2 does not exist"),
    ],
)
def test_names_that_give_no_network_are_refused_in_one_line(spec: str, words: str, folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_user_network(spec, folder=folder)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    "pack",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model_state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    ],
)
def test_weights_are_found_in_what_training_scripts_save(pack: Callable[[Any], Any], folder: Path) -> None:
    torch.save(pack(network().state_dict()), folder / "w.pth")

    loaded = load_user_network("user_nets:make", folder / "w.pth", folder=folder)

    assert weights_digest(loaded) == weights_digest(network())


def test_weights_that_do_not_fit_name_the_first_differences(folder: Path) -> None:
    state = network().state_dict()
    state["extra.weight"] = state.pop("0.bias")
    state["2.weight"] = torch.zeros(5, 4, 1, 1)
    torch.save(state, folder / "w.pth")

    with pytest.raises(ModelError) as caught:
        load_user_network("user_nets:make", folder / "w.pth", folder=folder)

    assert (
        "do not fit Sequential: 1 missing (0.bias); 1 not in the network (extra.weight); "
        "1 of another shape (2.weight (5, 4, 1, 1) instead of (2, 4, 1, 1))"
    ) in str(caught.value)


def test_code_in_a_weights_file_is_refused_and_not_run(folder: Path) -> None:
    (folder / "pickled.pth").write_bytes(pickle.dumps({"state_dict": RunsCode()}))
    torch.save({"state_dict": RunsCode()}, folder / "zipped.pth")
    torch.save(network(), folder / "whole.pth")

    for name in ("pickled.pth", "zipped.pth", "whole.pth"):
        with pytest.raises(ModelError, match=r"must hold tensors only, got pickled objects.*torch.save\(network.state"):
            load_user_network("user_nets:make", folder / name, folder=folder)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_torchscript_files_are_refused(folder: Path) -> None:
    torch.jit.save(torch.jit.script(network()), folder / "script.pt")
    (folder / "script.pt2").write_bytes((folder / "script.pt").read_bytes())

    with pytest.raises(ModelError, match="are TorchScript"):
        load_user_network("user_nets:make", folder / "script.pt", folder=folder)
    with pytest.raises(ModelError, match="is TorchScript"):
        load_user_network(str(folder / "script.pt2"))


def test_files_that_hold_no_weights_are_refused(folder: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, folder / "no_state.pth")
    torch.save([1, 2], folder / "list.pth")
    (folder / "text.pth").write_text("hello")
    torch.save(network().state_dict(), folder / "half.pth")
    (folder / "half.pth").write_bytes((folder / "half.pth").read_bytes()[:500])

    for name, words in {
        "gone.pth": "do not exist",
        "no_state.pth": r"must hold a state_dict.*got \['epoch', 'lr'\]",
        "list.pth": "got list",
        "text.pth": "must be a file of torch.save",
        "half.pth": "must be a file of torch.save",
    }.items():
        with pytest.raises(ModelError, match=words):
            load_user_network("user_nets:make", folder / name, folder=folder)


def test_an_exported_network_keeps_its_layers(folder: Path) -> None:
    exported = torch.export.export(network(), (torch.zeros(2, 3, 8, 8),))
    torch.export.save(exported, folder / "net.pt2")

    loaded = load_user_network(str(folder / "net.pt2"))

    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(loaded(images), network()(images))
    assert loaded.get_submodule("0") is not None
    with pytest.raises(ModelError, match="drop --weights"):
        load_user_network(str(folder / "net.pt2"), folder / "w.pth")


def test_a_damaged_export_is_refused(folder: Path) -> None:
    (folder / "net.pt2").write_text("hello")

    with pytest.raises(ModelError, match=r"must be a file of torch.export.save, got .*; export it again"):
        load_user_network(str(folder / "net.pt2"))


def test_a_fitting_network_passes_the_check() -> None:
    assert check_network(network(), n_channels=3, n_classes=2, size=(16, 24)) == (2, 16, 24)
    assert check_network(network(), n_channels=3, n_classes=2, size=(64, 64), side=32) == (2, 32, 32)


def test_one_channel_is_enough_for_two_classes() -> None:
    assert check_network(nn.Conv2d(3, 1, 1), n_channels=3, n_classes=2, size=(8, 8)) == (1, 8, 8)


@pytest.mark.parametrize(
    ("channels", "classes", "words"),
    [
        (3, 4, "must give logits of shape (2, 4, h, w) for 4 classes, got (2, 2, 8, 8)"),
        (3, 3, "must give logits of shape (2, 3, h, w) for 3 classes"),
        (1, 2, "must take an input of shape (2, 1, 8, 8), got RuntimeError"),
    ],
)
def test_a_network_for_other_data_fails_the_check(channels: int, classes: int, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_network(network(), n_channels=channels, n_classes=classes, size=(8, 8))

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_message_for_two_classes_offers_one_channel() -> None:
    with pytest.raises(ModelError, match=r"\(2, 2, h, w\) or \(2, 1, h, w\) for 2 classes"):
        check_network(nn.Conv2d(3, 5, 1), n_channels=3, n_classes=2, size=(8, 8))


def test_a_network_that_mixes_up_the_batch_fails_the_check() -> None:
    class First(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images)[:1]

    with pytest.raises(ModelError, match=r"got \(1, 2, 8, 8\)"):
        check_network(First(3, 2, 1), n_channels=3, n_classes=2, size=(8, 8))


def test_the_check_uses_the_output_key() -> None:
    class Two(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
            logits = super().forward(images)
            return {"aux": logits[:, :1], "seg": logits}

    two = Two(3, 3, 1)

    assert check_network(two, n_channels=3, n_classes=3, size=(8, 8), output_key="seg") == (3, 8, 8)
    with pytest.raises(ModelError, match="choose one with --output-key"):
        check_network(two, n_channels=3, n_classes=3, size=(8, 8))


def test_the_digest_sees_names_types_shapes_and_values() -> None:
    def digest(**buffers: torch.Tensor) -> str:
        module = nn.Module()
        for name, buffer in buffers.items():
            module.register_buffer(name, buffer)
        return weights_digest(module)

    two = torch.tensor([1.0, 2.0])
    digests = [
        digest(a=two),
        digest(b=two),
        digest(a=two[None]),
        digest(a=two.view(torch.int32)),  # the same bytes
        digest(a=two.to(torch.bfloat16)),
        digest(a=two.flip(0)),
        digest(a=two, b=torch.tensor(3)),
    ]

    assert len(set(digests)) == len(digests)
    assert digest(a=two, b=torch.tensor(3)) == digest(b=torch.tensor(3), a=two)


@pytest.mark.parametrize("dice", [0.1 + 0.2, math.nan])
def test_a_fitted_network_comes_back_from_its_file(dice: float, tmp_path: Path) -> None:
    before = fitted(dice=dice)

    save_fitted(tmp_path / "unet.pt", before)
    after = load_fitted(tmp_path / "unet.pt")
    record = json.loads(torch.load(tmp_path / "unet.pt", weights_only=True)["record"])

    assert weights_digest(after) == weights_digest(before.network)
    assert not after.training
    assert record["validation_dice"] == repr(dice)
    assert (record["n_channels"], record["n_classes"], record["seed"]) == (1, 3, 3)
    assert record["losses"] == list(before.losses)


def test_equal_fitted_networks_give_equal_files_under_any_name(tmp_path: Path) -> None:
    for name in ("a.pt", "other/b.pt"):
        save_fitted(tmp_path / name, fitted())

    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "other/b.pt").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.pt"]


def test_other_files_are_no_fitted_networks(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"format": "another"}, tmp_path / "format.pt")
    torch.save({"format": RunsCode()}, tmp_path / "code.pt")

    for name in ("gone.pt", "text.pt", "format.pt", "code.pt"):
        with pytest.raises(ModelError, match="remove it to fit again"):
            load_fitted(tmp_path / name)


def test_the_network_before_is_given_up_before_another_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two networks of a user need not fit into the memory of a worker."""
    at_once: list[int] = []
    alive: weakref.WeakSet[object] = weakref.WeakSet()

    class Worker:
        def __init__(self, *_: object) -> None:
            alive.add(self)
            at_once.append(len(alive))

        def process(self, task: object) -> object:
            return task

    monkeypatch.setattr(gradcam_units, "GradCamWorker", Worker)
    monkeypatch.setattr(gradcam_units, "_kept", {})
    (tmp_path / "networks").mkdir()
    for saliency in ("a", "a", "b"):
        (tmp_path / "networks" / f"{saliency}.json").write_text("{}")
        facts = DatasetFacts((8, 8), 1, "uint8", ("background", "lesion"), ((0, 0), (1, 1)))
        task: Any = SimpleNamespace(layers=Layers(tmp_path, "images", "superpixels", saliency, facts, 1, 1))
        gradcam_units.map_block(task, config=SaliencyConfig(), folder=tmp_path)

    assert at_once == [1, 1]
