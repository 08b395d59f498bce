"""What may be meant by an image without a mask, or a mask without an image: its partner under another name."""

import difflib
import re
from collections.abc import Iterable, Sequence

from hsmix_gen.pipeline.decoders.picture_codec import UNREAD_ENDINGS
from hsmix_gen.pipeline.readers.paths.name_pairing import Candidate
from hsmix_gen.pipeline.readers.paths.stems import ending_of, stem_of

# Each look takes as long as there are names; a person reads the first few.
_LOOKED_AT = 20
_MOST_NAMES = 5000
_LIKENESS = 0.6
_NUMBERS = re.compile(r"\d+")
_LISTED = "is no picture, name the pairs in a list with columns image and mask"
_TOGETHER = "move both into folders images and masks, or name the pairs in a list with columns image and mask"
OTHER_FORMS = {
    **{ending: f"is not read, {way}" for ending, way in UNREAD_ENDINGS.items()},
    **dict.fromkeys((".mha", ".mhd", ".nrrd", ".nhdr"), "is not read, convert it and its mask to NIfTI"),
    **dict.fromkeys((".nii", ".nii.gz"), "is a volume, whose mask has to be a volume too"),
    **dict.fromkeys((".npy", ".npz", ".h5", ".hdf5"), _LISTED),
    ".dcm": "is DICOM, whose mask is DICOM-SEG or NIfTI; or convert it to PNG or TIFF",
}
"""What to say of files that may be the images of picture masks, by their endings."""


class LoneFiles:
    """Files without partner of one source; `hint` names what is near each of the first.

    Parameters
    ----------
    candidates : sequence of Candidate
    files : iterable of str
        All files of the source, as relative paths.
    """

    def __init__(self, candidates: Sequence[Candidate], files: Iterable[str]) -> None:
        # Each side by stem, where it is alone.
        self._masks = {one.stem: one.masks[0].path for one in candidates if one.masks and not one.images}
        self._images = {one.stem: one.images[0].path for one in candidates if one.images and not one.masks}
        opened = {file.path for one in candidates for file in (*one.images, *one.masks)}
        self._others: dict[str, str] = {
            stem_of(path).casefold(): path for path in files if ending_of(path) in OTHER_FORMS and path not in opened
        }
        self._hinted = 0

    def hint(self, one: Candidate) -> str:
        """Return what to say of a candidate that lacks one side; nothing where no name is near."""
        other = self._others.get(one.stem.casefold())
        if other is not None:
            return f"{other} {OTHER_FORMS[ending_of(other)]}"
        if self._hinted >= _LOOKED_AT:
            return ""
        self._hinted += 1
        near = self._nearest(one.stem, self._masks if one.images else self._images)
        if stem_of(near) == one.stem:
            return f"{near} has its name, in a folder that is called otherwise; {_TOGETHER}"
        return f"the nearest name is {near}, rename one of them" if near else ""

    def _nearest(self, stem: str, others: dict[str, str]) -> str:
        """Return the path whose stem holds this one, is held by it, has its number, or is most like it."""
        names = list(others)[:_MOST_NAMES]
        holding = [name for name in names if _is_inside(name, stem) or _is_inside(stem, name)]
        if holding:
            return others[max(holding, key=lambda name: (len(name), name))]
        numbers = _numbers(stem)
        same = [name for name in names if numbers and _numbers(name) == numbers]
        alike = difflib.get_close_matches(stem, same or names, n=1, cutoff=0.0 if len(same) == 1 else _LIKENESS)
        return others[alike[0]] if alike else ""


def _is_inside(inner: str, outer: str) -> bool:
    """Return whether a stem stands in another one as a whole word: ``7`` in ``lesion_7``, but not in ``17``."""
    at = outer.casefold().find(inner.casefold())
    if at < 0 or not inner or inner == outer:
        return False
    before, after = outer[:at][-1:], outer[at + len(inner) :][:1]
    return not (before.isalnum() and before.isdigit() == inner[0].isdigit()) and not (
        after.isalnum() and after.isdigit() == inner[-1].isdigit()
    )


def _numbers(stem: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(stem)[:8])
