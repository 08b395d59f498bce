"""Uniform: all pixels count alike (a control)."""

import numpy as np

from hsmix_gen.stages.saliency.backend import Backend

BACKEND = Backend(lambda subject: np.ones(subject.size, np.float32))
