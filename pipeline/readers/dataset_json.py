"""``dataset.json`` of the Medical Segmentation Decathlon and of nnU-Net: names of channels, labels and regions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import IGNORE, Labelling

FILE = "dataset.json"
# Lists of a hundred thousand cases take less.
_MAX_BYTES = 64 << 20
_IGNORE_NAME = "ignore"


@dataclass(frozen=True)
class Description:
    """What a dataset says of itself; all of it may be absent."""

    channels: tuple[str, ...] = ()
    """Names by number."""
    ending: str = ""
    """End of all names of files, in lower case."""
    labelling: Labelling = field(default_factory=Labelling)


def read_description(folder: Path) -> Description:
    """Return what ``dataset.json`` of a folder states, nothing if there is none.

    Raises
    ------
    SourceError
        If the file is there and cannot be understood.
    """
    path = folder / FILE
    if not path.is_file():
        return Description()
    content = _read_object(path)
    channels = content.get("channel_names", content.get("modality", {}))
    if not isinstance(channels, dict):
        raise SourceError(
            f"{path} has channel_names {channels!r:.60}, expected an object of number and name; correct it"
        )
    return Description(
        channels=tuple(str(channels[key]) for key in sorted(channels, key=lambda key: _number(key, path))),
        ending=str(content.get("file_ending", "")).lower(),
        labelling=_labelling(content.get("labels", {}), path),
    )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(
                f"{path} has more than {_MAX_BYTES} bytes; it is no description of a dataset, take it out"
            )
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no valid JSON ({error}); correct it or take it out") from None
    if not isinstance(content, dict):
        raise SourceError(f"{path} holds a {type(content).__name__}, expected an object; correct it or take it out")
    return content


def _labelling(labels: Any, path: Path) -> Labelling:
    if not isinstance(labels, dict):
        raise SourceError(f"{path} has labels {labels!r:.60}, expected an object of names and numbers; correct it")
    if labels and all(key.isdecimal() for key in labels):
        return _exclusive({str(name): _number(key, path) for key, name in labels.items()}, len(labels), path)
    if any(isinstance(values, list) for values in labels.values()):
        return _regions(labels, path)
    return _exclusive({name: _number(value, path) for name, value in labels.items()}, len(labels), path)


def _exclusive(values: Mapping[str, int], count: int, path: Path) -> Labelling:
    """Return classes by rising value; a background of 0 is added where it is not named."""
    names = {value: name for name, value in values.items() if name != _IGNORE_NAME}
    ignored = {value for name, value in values.items() if name == _IGNORE_NAME}
    if len(names) + len(ignored) != count or ignored & names.keys():
        raise SourceError(f"{path} gives a name or a number to two labels; give each label its own")
    if not names:
        return Labelling()
    names = dict(sorted(({0: "background"} | names).items()))
    pairs = [(value, class_id) for class_id, value in enumerate(names)]
    return Labelling(classes=tuple(names.values()), values=(*pairs, *((value, IGNORE) for value in sorted(ignored))))


def _regions(labels: Mapping[str, Any], path: Path) -> Labelling:
    """Return regions, which may share values; background and ignored voxels are none."""
    members = {
        name: tuple(_number(value, path) for value in (values if isinstance(values, list) else [values]))
        for name, values in labels.items()
    }
    ignored = members.pop(_IGNORE_NAME, ())
    regions = tuple((name, values) for name, values in members.items() if set(values) != {0})
    values = ((0, 0), *((value, IGNORE) for value in ignored)) if ignored else ()
    return Labelling(values=values, regions=regions)


def _number(value: Any, path: Path) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0 or isinstance(value, bool | float):
        raise SourceError(f"{path} has the number {value!r:.40}, expected a whole number from 0; correct it")
    return number
