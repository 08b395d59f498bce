"""Datasets of plain torch: over a finished output, or mixed fresh from a cache; and the mixing of a batch."""

from hsmix_gen.pipeline.loading.batch_mixing import mix_batch
from hsmix_gen.pipeline.loading.fresh_samples import HsmixFresh
from hsmix_gen.pipeline.loading.torch_datasets import HsmixDataset, HsmixStream, as_floats

__all__ = ["HsmixDataset", "HsmixFresh", "HsmixStream", "as_floats", "mix_batch"]
