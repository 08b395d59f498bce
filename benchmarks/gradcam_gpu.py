"""Grad-CAM on a GPU against the bare forward and backward of the same network: maps per second, busy share, memory.

Needs torch and numpy alone: stages run without Ray and Zarr. ``make bench-gpu``, some two minutes. Without a CUDA
device it says so and ends with 1; ``--device cpu`` runs the same on the processor, for a look at the table.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from report import print_table
from torch import nn

from hsmix_gen.stages.saliency.fitting import FitConfig, build_unet
from hsmix_gen.stages.saliency.gradcam import CamOptions, GradCam
from hsmix_gen.stages.saliency.network_io import to_input

LARGE = (32, 64, 128, 256, 512, 32)
TOLERANCE = 0.02
"""How far maps of two sizes of a batch may lie apart on a GPU, in [0, 1]."""


@dataclass(frozen=True)
class Setting:
    """A network and what it is given."""

    name: str
    features: tuple[int, ...]
    side: int
    batch: int


SETTINGS = (
    Setting("fitted U-Net, 80 x 80, batch 8", FitConfig().features, 80, 8),
    Setting("fitted U-Net, 80 x 80, batch 64", FitConfig().features, 80, 64),
    Setting("U-Net of 32 to 512 channels, 224 x 224, batch 8", LARGE, 224, 8),
    Setting("U-Net of 32 to 512 channels, 224 x 224, batch 32", LARGE, 224, 32),
)


def main() -> int:
    """Print the table; the exit status is 1 where there is no device, or maps depend on the size of a batch."""
    options = _options()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device is here: nothing was measured; --device cpu shows the table of this processor")
        return 1
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the processor, one thread"
    print(f"Grad-CAM on {name}, torch {torch.__version__}, {options.images} images")
    torch.set_num_threads(1)
    rows, is_same = [], True
    for setting in SETTINGS:
        images = np.random.default_rng(0).integers(0, 256, (options.images, 224, 224, 3)).astype(np.uint8)
        row, largest = _measured(setting, images, device)
        rows.append(row)
        is_same &= largest <= TOLERANCE
    head = ["", "maps/s", "bare/s", "of bare", "GPU busy", "peak MiB", "batch 1 differs"]
    print_table("maps per second against bare forward and backward", head, rows)
    return 0 if is_same else 1


def _measured(setting: Setting, images: np.ndarray, device: torch.device) -> tuple[list[str], float]:
    network = build_unet(n_channels=3, n_classes=2, features=setting.features, seed=0)
    side = None if setting.side == images.shape[1] else setting.side
    options = CamOptions(side=side, batch=setting.batch, precision="bf16")
    cam = GradCam(network, ["upcat_1"], options, device=device)
    bare = _bare(network, images, setting, device)
    for warm_up in (lambda: cam.maps(images[: 2 * setting.batch]), bare):
        warm_up()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = _seconds(lambda: cam.maps(images), device)
    peak = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device.type == "cuda" else "-"
    bare_seconds = _seconds(bare, device)
    busy = f"{_busy_share(lambda: cam.maps(images)):.0%}" if device.type == "cuda" else "-"
    few, one = images[:4], CamOptions(side=side, batch=1, precision="bf16")
    alone = GradCam(network, ["upcat_1"], one, device=device).maps(few)
    largest = float(np.abs(alone - cam.maps(few)).max())
    rates = (len(images) / seconds, len(images) / bare_seconds)
    return [
        setting.name, *(f"{rate:.0f}" for rate in rates), f"{rates[0] / rates[1]:.2f}", busy, peak, f"{largest:.4f}",
    ], largest  # fmt: skip


def _bare(network: nn.Module, images: np.ndarray, setting: Setting, device: torch.device) -> Callable[[], None]:
    """Return a loop of forward and backward over batches that lie on the device already."""
    side = None if setting.side == images.shape[1] else setting.side
    batch = to_input(images[: setting.batch], side=side).to(device)
    if device.type == "cuda":
        batch = batch.to(memory_format=torch.channels_last)

    def loop() -> None:
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        for _ in range(-(-len(images) // setting.batch)):
            given = batch.clone().requires_grad_()
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda"):
                scores = network(given).float().sum()
            torch.autograd.grad(scores, given)

    return loop


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _busy_share(work: Callable[[], object]) -> float:
    """Return the share of the time in which kernels ran, by torch's profiler."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        seconds = _seconds(work, torch.device("cuda"))
    return float(sum(event.self_device_time_total for event in profile.key_averages())) / 1e6 / seconds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--images", type=int, default=512)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
