"""Random: independent uniform numbers, blind to the image (a control)."""

import numpy as np

from hsmix_gen.stages.randomness import generator_for
from hsmix_gen.stages.saliency.backend import Backend

# Numbers depend on the id alone: a new seed of the run keeps them.
BACKEND = Backend(lambda subject: generator_for(0, "saliency", subject.id).random(subject.size).astype(np.float32))
