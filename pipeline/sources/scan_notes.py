"""What the first reading of all images shows together and no single one does: axes and depths that differ, turns."""

from collections import Counter
from collections.abc import Sequence

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.schemas.config import ImageConfig, RunConfig
from hsmix_gen.schemas.records import ScanResult, SourceItem

# Of these a picture and its mask have one size however they are turned.
_SAME_SIZE = range(2, 5)


def axes_of(scans: Sequence[ScanResult], items: Sequence[SourceItem]) -> dict[str, int]:
    """Return how many volumes are cut across each axis, the most frequent first.

    Parameters
    ----------
    scans : sequence of ScanResult
        Of all slices.
    items : sequence of SourceItem
        The volume of each slice.
    """
    axes = {item.id: scan.axis for scan, item in zip(scans, items, strict=True) if scan.problem is None and scan.axis}
    return dict(Counter(axes.values()).most_common())


def scan_notes(scans: Sequence[ScanResult], items: Sequence[SourceItem], config: RunConfig) -> list[str]:
    """Return what the user should check before anything is made; parameters as `axes_of`."""
    return [
        *_axis_notes(axes_of(scans, items)),
        *_depth_notes(scans, items, config.image),
        *_turn_notes(scans, config),
    ]


def _axis_notes(axes: dict[str, int]) -> list[str]:
    if len(axes) < 2:
        return []
    shown = ", ".join(f"{count} {axis}" for axis, count in axes.items())
    return [
        f"volumes are cut across different axes ({shown} slices); choose one for all with --axis {next(iter(axes))}"
    ]


def _depth_notes(scans: Sequence[ScanResult], items: Sequence[SourceItem], image: ImageConfig) -> list[str]:
    """Warn of pictures of 8 and of 16 bits in one set, unless each is scaled by its own values.

    How many of the 16 bits are used stands in no file: 12 of them, as of many cameras and detectors, end at 4095.
    """
    pictures = [pair for pair in zip(scans, items, strict=True) if pair[0].problem is None and pair[0].picture]
    wide = [item for scan, item in pictures if scan.dtype == "uint16"]
    narrow = sum(scan.dtype == "uint8" for scan, _ in pictures)
    if not wide or not narrow or image.intensity in ("percentile", "zscore"):
        return []
    if image.window is None:
        why = "65535 of 16 bits is the white of 255, so that 12 bits stored in 16, up to 4095, become nearly black"
    else:
        why = f"the window {image.window[0]:g} to {image.window[1]:g} means another brightness in each depth"
    example = wide[0].without_hidden(wide[0].image.uri)
    return [
        f"{counted(len(wide), 'image')} of 16 bits (such as {example}) beside {counted(narrow, 'image')} of 8 bits: "
        f"{why}; scale each by its own values with --intensity percentile, or convert them to one depth"
    ]


def _turn_notes(scans: Sequence[ScanResult], config: RunConfig) -> list[str]:
    notes = []
    unclear = [scan for scan in scans if _may_lie_otherwise(scan, scan.unturned)]
    if unclear and not config.source.turn_masks:
        notes.append(
            f"{len(unclear)} images were turned upright by their EXIF orientation and their masks, which have none, "
            f"were not, first {unclear[0].id}; if masks were drawn on the pixels as stored, add --turn-masks"
        )
    unclear = [scan for scan in scans if _may_lie_otherwise(scan, scan.turned)]
    if unclear:
        notes.append(
            f"{len(unclear)} masks were turned upright by an EXIF orientation that their images do not have, first "
            f"{unclear[0].id}; if they lie on the pixels of their images as stored, take it out of the masks"
        )
    return notes


def _may_lie_otherwise(scan: ScanResult, number: int) -> bool:
    """Return whether image and mask have one size whether the second is turned by an orientation or not."""
    return scan.problem is None and (number in _SAME_SIZE or (number != 1 and scan.height == scan.width))
