"""Contents opened: which module decodes which format, and whether a mask belongs to its image."""

from typing import Protocol, cast

from hsmix_gen.pipeline.decoders.codecs.pointers import refuse_pointer
from hsmix_gen.pipeline.decoders.geometry.orientation import frames_apart
from hsmix_gen.pipeline.decoders.mask_fit import fitted, is_close, is_unturned
from hsmix_gen.pipeline.decoders.stack import ReadOptions, Stack
from hsmix_gen.pipeline.files.local_mirror import ensure_local
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.extras import load
from hsmix_gen.schemas.records import Content, SourceItem

FORMATS = {
    "picture": "pictures",
    "union": "pictures",
    "classes": "pictures",
    "colours": "pictures",
    "nifti": "nifti_volumes",
    "array": "arrays",
    "polygons": "aperio_xml",
    "coco": "coco_masks",
    "dicom": "dicom_images",
    "dicomseg": "dicom_segmentations",
    "member": "packed_members",
    "colourmember": "packed_members",
}
"""Format of a content and the module that decodes it; modules are imported when first needed (they are heavy)."""

# Formats whose masks are outlines, classes or colours.
_DRAWN = frozenset({"polygons", "coco", "dicomseg", "colours", "colourmember"})


class Decoder(Protocol):
    """A module that opens some formats; errors name the file."""

    def open_image(self, content: Content, how: ReadOptions) -> Stack:
        """Return the image."""
        ...

    def open_mask(self, content: Content, image: Stack, how: ReadOptions) -> Stack:
        """Return the mask of an image that is open; its values are whole numbers, (H, W) a plane."""
        ...


def open_image(content: Content, how: ReadOptions) -> Stack:
    """Open an image.

    Raises
    ------
    SourceError
        If it cannot be decoded; the text names the file.
    """
    return _decoder(content).open_image(content, how)


def open_mask(content: Content, image: Stack, how: ReadOptions) -> Stack:
    """Open the mask of an image.

    Raises
    ------
    SourceError
        If it cannot be decoded or does not fit the image.
    """
    if how.threshold is not None and content.format in _DRAWN:
        raise SourceError(f"{content.uri} holds no grey values that --threshold could cut; leave it away")
    mask = fitted(_decoder(content).open_mask(content, image, how), image, how)
    _check_match(content, image, mask)
    return mask


def open_pair(item: SourceItem, how: ReadOptions) -> tuple[Stack, Stack]:
    """Open both sides of an item; files of a source in a store are fetched where this machine lacks them."""
    paths = [path for path in (*item.image.paths, *item.mask.paths, item.image.body) if path]
    ensure_local(paths)
    for path in paths:
        refuse_pointer(path)
    image = open_image(item.image, how)
    return image, open_mask(item.mask, image, how)


def _decoder(content: Content) -> Decoder:
    return cast(Decoder, load(f"hsmix_gen.pipeline.decoders.{FORMATS[content.format]}", content.uri))


def _check_match(content: Content, image: Stack, mask: Stack) -> None:
    if (*mask.size, mask.n_planes) != (*image.size, image.n_planes):
        raise SourceError(f"{content.uri} is {_size_text(mask)}, its image {_size_text(image)}{_way_out(image, mask)}")
    if image.frame is None or mask.frame is None:
        return
    apart = frames_apart(image.frame, mask.frame, (image.n_planes, *image.size))
    if apart:
        raise SourceError(
            f"{content.uri} lies {apart:.3g} mm beside its image in space; resample the mask onto the image"
        )


def _way_out(image: Stack, mask: Stack) -> str:
    export = "export the mask at the size of the image"
    if is_unturned(mask, image) and mask.size == image.size[::-1]:
        return (
            f", turned by its EXIF orientation {image.orientation}, which the mask lacks; "
            "turn masks alike with --turn-masks"
        )
    return f"; {export}, or have masks fitted with --resize-masks" if is_close(mask, image) else f"; {export}"


def _size_text(stack: Stack) -> str:
    height, width = stack.size
    return f"{width} x {height}" if stack.n_planes == 1 else f"{width} x {height} x {stack.n_planes}"
