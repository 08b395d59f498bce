"""AugMix: three chains of photometric operations, blended with each other and with the image; labels stay."""

from dataclasses import replace

import numpy as np

from hsmix_gen.stages.augmentation import operations
from hsmix_gen.stages.augmentation.augment import Augmentation, Augmented
from hsmix_gen.stages.mixing.mixing import Mixed
from hsmix_gen.stages.randomness import integer

_CHAINS, _DEEPEST = 3, 3
_SEVERITY = 3
_MOST_SEVERE = 10
_SPACE = operations.of_image(share=0.9, bits=4)


class AugMix(Augmentation):
    """AugMix without its geometric operations: chains that are blended have to show one and the same place."""

    paper = "Hendrycks et al., AugMix: A Simple Data Processing Method to Improve Robustness, arXiv:1912.02781"
    libraries = operations.LIBRARIES
    of_pictures = True

    def apply(self, mixed: Mixed, rng: np.random.Generator) -> Augmented:
        """Return the sample with a blended image."""
        lengths = -np.log1p(-rng.random(_CHAINS))
        shares, own = lengths / lengths.sum(), float(rng.random())  # Dirichlet and Beta with alpha 1
        total = own * mixed.image.astype(np.float64)
        words = []
        for share in shares:
            image = mixed.image
            chain: list[str] = []
            for _ in range(integer(rng, 1, _DEEPEST)):
                name = operations.draw_name(_SPACE, rng)
                level = (0.1 + (_SEVERITY - 0.1) * float(rng.random())) / _MOST_SEVERE
                strength = operations.draw_strength(_SPACE, name, level, rng)
                image = operations.changed_image(image, name, strength)
                chain.append(operations.words_of(name, strength))
            total += (1 - own) * share * image
            words.append(f"{(1 - own) * share:.4g} of {', '.join(chain)}")
        blended = np.clip(np.rint(total), 0, 255).astype(np.uint8)
        return Augmented(replace(mixed, image=blended), "; ".join(words))


AUGMENTATION = AugMix()
