"""Run a script of another codebase, unedited, on a processor: ``run_on_cpu.py LOG CODEBASE SCRIPT ARGUMENT…``.

What is adapted is the machine and not the code: ``.cuda()`` stays where it is, weights that would be downloaded are
left as they were drawn, networks are small, loaders work in this process. Every file that is opened is noted in LOG.
"""

import functools
import importlib.util
import os
import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader


def main() -> None:
    log, codebase, script, *arguments = sys.argv[1:]
    note_files(Path(log))
    stay_on_the_processor()
    sys.path.insert(0, str(Path(script).resolve().parent))
    sys.argv = [script, *arguments]
    ADAPT[codebase]()
    runpy.run_path(script, run_name="__main__")


def note_files(log: Path) -> None:
    """Write the path of each file that is opened for reading, also by libraries in C."""
    stream = log.open("a", buffering=1)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and not set(str(arguments[1] or "r")) & set("wax"):
            stream.write(os.path.realpath(arguments[0]) + "\n")

    sys.addaudithook(note)
    read_picture, open_hdf5 = cv2.imread, h5py.File

    def imread(path: str, *more: Any) -> Any:
        stream.write(os.path.realpath(path) + "\n")
        return read_picture(path, *more)

    class File(open_hdf5):  # type: ignore[misc, valid-type]
        def __init__(self, name: Any, *more: Any, **named: Any) -> None:
            if isinstance(name, str):
                stream.write(os.path.realpath(name) + "\n")
            super().__init__(name, *more, **named)

    cv2.imread, h5py.File = imread, File


def stay_on_the_processor() -> None:
    """Let CUDA calls do nothing, and loaders fork no processes."""

    def stay(self: Any, *_: Any, **__: Any) -> Any:
        return self

    torch.Tensor.cuda = torch.nn.Module.cuda = stay  # type: ignore[method-assign, assignment]
    load, start = torch.load, DataLoader.__init__
    torch.load = lambda file, *_, **__: load(file, map_location="cpu", weights_only=False)

    def without_workers(self: Any, *arguments: Any, **named: Any) -> None:
        start(self, *arguments, **{**named, "num_workers": 0, "pin_memory": False})

    DataLoader.__init__ = without_workers  # type: ignore[method-assign]
    torch.set_num_threads(1)
    torch.set_num_threads = lambda _: None  # nnU-Net asks for 0 without processes for augmentation


def transunet() -> None:
    """No weights of ImageNet, and one block of each kind."""
    from networks import vit_seg_modeling as networks

    config = networks.CONFIGS["R50-ViT-B_16"]
    config.transformer.num_layers, config.resnet.num_layers = 1, (1, 1, 1)
    networks.VisionTransformer.load_from = lambda *_, **__: None
    load = np.load
    np.load = lambda file, *more, **named: {} if "imagenet21k" in str(file) else load(file, *more, **named)


def swin_unet() -> None:
    """No weights of ImageNet."""
    from networks.vision_transformer import SwinUnet

    SwinUnet.load_from = lambda *_, **__: None


def hiformer() -> None:
    """No weights of ImageNet: where they are loaded, those that its own network was drawn with are."""
    sys.modules["wget"] = types.ModuleType("wget")
    sys.modules["wget"].download = lambda *_, **__: None
    import torchvision
    from models import Encoder

    for name in ("resnet34", "resnet50"):
        make = getattr(torchvision.models, name)
        setattr(torchvision.models, name, lambda make=make, **_: make(weights=None))
    load = torch.load

    def load_or_draw(file: Any, *more: Any, **named: Any) -> Any:
        if "swin_tiny" in str(file):
            return {"model": drawn_weights(Encoder)}
        return load(file, *more, **named)

    torch.load = load_or_draw


def drawn_weights(encoder: Any) -> dict[str, torch.Tensor]:
    """Return what HiFormer takes of the weights of Swin: its blocks, and the merging of patches between them."""
    weights: dict[str, torch.Tensor] = encoder.SwinTransformer(224, in_chans=3).state_dict()
    for level, width in enumerate((96, 192)):
        merging = encoder.PatchMerging((56 >> level, 56 >> level), width).state_dict()
        weights |= {f"layers.{level}.downsample.{name}": value for name, value in merging.items()}
    return weights


def unext() -> None:
    """A newer albumentations has its flip in another module; of mmcv one name is imported and not used."""
    if importlib.util.find_spec("mmcv") is None:
        sys.modules["mmcv"], sys.modules["mmcv.cnn"] = types.ModuleType("mmcv"), types.ModuleType("mmcv.cnn")
        sys.modules["mmcv.cnn"].ConvModule = None
    import albumentations
    from albumentations.augmentations import transforms

    if not hasattr(transforms, "Flip"):
        transforms.Flip = albumentations.Flip


def udtransnet() -> None:
    """The settings are a module; folders were named by the network before it is chosen here."""
    import Config

    for name in ("save_path", "model_path", "tensorboard_folder", "logger_path", "visualize_path"):
        setattr(Config, name, getattr(Config, name).replace(Config.model_name, "UNet"))

    Config.model_name, Config.epochs, Config.batch_size = "UNet", 3, 4
    Config.img_size = Config.img_size2 = 32
    Config.test_session = os.environ.get("TEST_SESSION", Config.session_name)


def medsam() -> None:
    """A small encoder that sees windows alone, without the weights of SAM."""
    import segment_anything
    from segment_anything.build_sam import _build_sam
    from segment_anything.modeling import Sam

    def small(checkpoint: str) -> Any:
        return _build_sam(32, 1, 2, [], checkpoint=os.devnull)

    segment_anything.sam_model_registry["vit_b"] = small
    Sam.load_state_dict = lambda *_, **__: None
    torch.load = lambda *_, **__: {}


def nnunet() -> None:
    """Epochs of five iterations; their trainer reads the signature of its own start."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    start = nnUNetTrainer.__init__

    @functools.wraps(start)
    def short(self: Any, *arguments: Any, **named: Any) -> None:
        start(self, *arguments, **named)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 3, 5, 1

    nnUNetTrainer.__init__ = short


ADAPT: dict[str, Callable[[], None]] = {
    "transunet": transunet,
    "swin_unet": swin_unet,
    "hiformer": hiformer,
    "unext": unext,
    "udtransnet": udtransnet,
    "medsam": medsam,
    "nnunet": nnunet,
}

if __name__ == "__main__":
    main()
