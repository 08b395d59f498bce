"""The inventory becomes the Zarr cache: images, superpixels, saliency, once per image."""
