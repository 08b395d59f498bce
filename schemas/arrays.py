"""What an image, a mask, a label map and a saliency map is."""

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
"""(H, W, C), channels last; uint8, uint16 or float32."""
Mask = npt.NDArray[np.uint8]
"""(H, W) uint8 class ids; 255 is ignore."""
AnyMask = npt.NDArray[np.uint8]
"""A `Mask`, or (H, W, K) uint8, multi-label: channel k is 1 where region k is, else 0; 255 in all channels is ignore.
No channel is the background; of nested regions the outer one comes first."""
Labels = npt.NDArray[np.uint16]
"""(H, W) uint16 superpixel labels 0 to R - 1."""
Saliency = npt.NDArray[np.uint8]
"""(H, W) uint8; 0 to 255 stands for 0 to 1."""

IMAGE_DTYPES = (np.uint8, np.uint16, np.float32)
