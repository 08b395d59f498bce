"""Whether there is a GPU decides the name of the cache: torch is asked, and only where its answer matters."""

import pytest

from hsmix_gen.pipeline.jobs.run import make_runner
from tests.pipeline.jobs.plans import configured


def test_torch_is_asked_for_gpus_where_grad_cam_is_wanted() -> None:
    """The environment may hide a GPU that the machine has."""
    config = configured(run={"backend": "serial"}, saliency={"backend": "gradcam"})

    assert make_runner(config, sees_gpu=lambda: True).has_gpu
    assert not make_runner(config, sees_gpu=lambda: False).has_gpu


def test_a_run_without_a_network_does_not_ask_torch() -> None:
    """That takes seconds."""

    def ask() -> bool:
        raise AssertionError

    config = configured(run={"backend": "serial"}, saliency={"backend": "fine_grained"})

    assert not make_runner(config, sees_gpu=ask).has_gpu


def test_hidden_gpus_count_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    assert not make_runner(configured(run={"backend": "serial"}, saliency={"backend": "gradcam"})).has_gpu
