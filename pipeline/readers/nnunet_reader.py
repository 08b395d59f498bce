"""Reader of nnU-Net's raw folders.

``imagesTr/CASE_0000.nii.gz`` and so on for each channel, ``labelsTr/CASE.nii.gz``. ``imagesTs`` with ``labelsTs`` is
the test split. Of pictures (.png, .tif, .bmp) a case has one file.
"""

import re
from collections import Counter
from pathlib import Path

from hsmix_gen.pipeline.decoders.nifti_headers import NIFTI_ENDINGS
from hsmix_gen.pipeline.readers.dataset_json import FILE, read_description
from hsmix_gen.pipeline.readers.msd_reader import Form, as_file, cases_or_none, find_cases
from hsmix_gen.pipeline.readers.paths.case_folders import case_folders, files_by_stem, root_of
from hsmix_gen.pipeline.readers.paths.ids import Found
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError

OPTIONS = frozenset[str]()
TRIED = 100
READS = "`imagesTr` with `_0000` channels + `labelsTr`, NIfTI or pictures; classes and regions from `dataset.json`"
RECOGNISED_BY = "numbers of channels behind the names of labels"
REFUSES = "a missing channel or label"

_PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".bmp")
_KNOWN_ENDINGS = (*NIFTI_ENDINGS, *_PICTURE_ENDINGS)
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def recognises(source: Path) -> bool:
    """Return whether an image has a label of its name without the number of its channel."""
    for folders in case_folders(root_of(source)):
        plain = {case.name for case in cases_or_none(folders, as_file, _KNOWN_ENDINGS) if case.images}
        cases = cases_or_none(folders, _as_channel, _KNOWN_ENDINGS) if folders.split else []
        if any(case.images and case.labels and case.name not in plain for case in cases):
            return True
    return False


def find(source: Path, config: SourceConfig) -> Found:  # noqa: ARG001 - no option changes what is a case
    """Return all cases that have a label and all of their channels."""
    root = root_of(source)
    description = read_description(root)
    if description.ending and description.ending not in _KNOWN_ENDINGS:
        raise SourceError(
            f"{root / FILE} has the file_ending {description.ending}, expected one of {', '.join(_KNOWN_ENDINGS)}; "
            "convert the files"
        )
    ending = description.ending or _usual_ending(root)
    if ending in _PICTURE_ENDINGS:  # the colours of a picture are named as channels, yet share its file
        return find_cases(root, Form((ending,), _as_channel), description)
    return find_cases(
        root, Form(NIFTI_ENDINGS, _as_channel, tuple(range(len(description.channels))) or None), description
    )


def _as_channel(stem: str) -> tuple[str, int]:
    match = _CHANNEL.fullmatch(stem)
    return (match["case"], int(match["channel"])) if match else (stem, 0)


def _usual_ending(root: Path) -> str:
    counts: Counter[str] = Counter()
    for folders in case_folders(root):
        for ending in _KNOWN_ENDINGS:
            counts[ending] += len(files_by_stem(folders.images, (ending,)))
    return counts.most_common(1)[0][0] if counts else NIFTI_ENDINGS[0]
