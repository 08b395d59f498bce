"""What the first reading of all images shows together and no single one does: axes that differ, masks left unturned."""

from collections import Counter
from collections.abc import Sequence

from hsmix_gen.schemas.config import RunConfig
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
    return [*_axis_notes(axes_of(scans, items)), *_turn_notes(scans, config)]


def _axis_notes(axes: dict[str, int]) -> list[str]:
    if len(axes) < 2:
        return []
    shown = ", ".join(f"{count} {axis}" for axis, count in axes.items())
    return [
        f"volumes are cut across different axes ({shown} slices); choose one for all with --axis {next(iter(axes))}"
    ]


def _turn_notes(scans: Sequence[ScanResult], config: RunConfig) -> list[str]:
    unclear = [
        scan
        for scan in scans
        if scan.problem is None and (scan.unturned in _SAME_SIZE or (scan.unturned != 1 and scan.height == scan.width))
    ]
    if not unclear or config.source.turn_masks:
        return []
    return [
        f"{len(unclear)} images were turned upright by their EXIF orientation and their masks, which have none, were "
        f"not, first {unclear[0].id}; if masks were drawn on the pixels as stored, add --turn-masks"
    ]
