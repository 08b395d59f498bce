"""Memory of the GPU: one step of Grad-CAM is measured, and what it is judged to be."""

import sys
from pathlib import Path

import pytest
import torch

from hsmix_gen.pipeline.features.gpu_memory import GpuMemory, gradcam_step, judge, measure_steps
from hsmix_gen.schemas.errors import ModelError
from tests.pipeline.jobs.plans import CONFIG, GB, configured, layers_in


class FakeCuda:
    """A GPU with room for so many images, which counts as ``torch.cuda`` does."""

    class OutOfMemoryError(RuntimeError):
        pass

    def __init__(self, images: int) -> None:
        self.images, self.ooms, self.peak = images, 0, 0

    def mem_get_info(self) -> tuple[int, int]:
        return 6 * GB, 8 * GB

    def empty_cache(self) -> None:
        pass

    def reset_peak_memory_stats(self) -> None:
        self.peak = 0

    def memory_stats(self) -> dict[str, int]:
        return {"num_ooms": self.ooms}

    def max_memory_allocated(self) -> int:
        return self.peak

    def step(self, count: int) -> None:
        """Halve the batch while memory is short, as Grad-CAM does, and give up at one image."""
        if count > self.images:
            self.ooms += 1
            if count == 1:
                raise ModelError("a batch of 1 image exceeds the memory")
            self.step(count // 2)
            return
        self.peak = max(self.peak, count * GB)


@pytest.mark.parametrize(("images", "one", "batch"), [(8, GB, 8 * GB), (5, GB, None), (0, None, None)])
def test_a_step_of_one_image_and_of_a_batch_is_measured(images: int, one: int | None, batch: int | None) -> None:
    """A batch that was halved on the way did not fit, though its step came to an end."""
    cuda = FakeCuda(images)

    assert measure_steps(cuda.step, 8, cuda) == GpuMemory(8 * GB, 6 * GB, one, batch)


@pytest.mark.parametrize("layer", ["body", None])
def test_the_step_passes_batches_of_the_images_size_forward_and_backward(tmp_path: Path, layer: str | None) -> None:
    """On the CPU, as there is no GPU here; the network of the user keeps what it is given, and has a layer unasked."""
    module = f"preflight_nets_{layer}"
    (tmp_path / f"{module}.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.body, self.head = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 1)\n"
        "        self.body.register_forward_hook(self.note)\n"
        "        self.seen, self.backward = [], []\n"
        "    def note(self, _module, _inputs, output):\n"
        "        if output.requires_grad:\n"
        "            output.register_hook(lambda gradient: self.backward.append(tuple(gradient.shape)))\n"
        "    def forward(self, images):\n"
        "        self.seen.append(tuple(images.shape))\n"
        "        return self.head(self.body(images))\n"
        "NET = Net()\n"
        "def make():\n"
        "    return NET\n"
    )
    config = configured(saliency={"model": f"{module}:make", "batch": 2, "layer": layer})

    step = gradcam_step(layers_in(tmp_path), config, tmp_path, torch.device("cpu"))
    network = sys.modules[module].NET
    network.seen.clear()  # of the look for layers
    network.backward.clear()
    step(1)
    step(2)

    assert network.seen == [(1, 3, 40, 50), (2, 3, 40, 50)]
    assert network.backward == [(1, 4, 40, 50), (2, 4, 40, 50)]


def test_a_network_that_fails_for_another_reason_is_reported_as_it_is() -> None:
    def step(_: int) -> None:
        raise ModelError("layer 'x' must run once")

    with pytest.raises(ModelError, match="layer 'x' must run once"):
        measure_steps(step, 8, FakeCuda(8))


def test_a_gpu_too_small_for_one_image_is_refused_and_for_a_batch_is_reported() -> None:
    assert judge(GpuMemory(8 * GB, 6 * GB, GB, 5 * GB), CONFIG) is None
    assert judge(GpuMemory(8 * GB, 6 * GB, GB, None), CONFIG) == (
        "the GPU has 6.0 GB of 8.0 GB free, too little for saliency.batch 8 (one image takes 1.0 GB): batches will be "
        "halved; -o saliency.batch or -o saliency.side lower than this spare the attempts"
    )
    with pytest.raises(
        ModelError, match=r"too little for the network on one image of 224 x 224; lower -o saliency\.side"
    ):
        judge(GpuMemory(8 * GB, 6 * GB, None, None), CONFIG)
