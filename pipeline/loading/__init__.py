"""Datasets of plain torch over a finished output: the public reading helper."""

from hsmix_gen.pipeline.loading.torch_datasets import HsmixDataset, HsmixStream

__all__ = ["HsmixDataset", "HsmixStream"]
