"""Folders of arrays: npz and HDF5 files that hold image and mask, or files of one array in pairs.

npz, h5 and npy files, however nested, alone or among each other. A file that holds both image and mask, under the usual
names or those of `image_key` and `mask_key`, is an item; an HDF5 file may hold one pair in each of its groups. Files of
one array belong in pairs: a folder above them or the end of their stem says which is the mask, and the paths are equal
without those words.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.array_containers import ENDINGS, ArrayForm, list_arrays
from hsmix_gen.pipeline.decoders.arrays import array_key, axes_of, is_picture, pair_axes
from hsmix_gen.pipeline.execution.human_units import counted, first_of
from hsmix_gen.pipeline.readers.paths.array_names import IMAGE_KEYS, MASK_KEYS, case_of, choose, read_naming, split_of
from hsmix_gen.pipeline.readers.paths.folder_walk import Walked, visible, walk
from hsmix_gen.pipeline.readers.paths.grouped import grouped
from hsmix_gen.pipeline.readers.paths.ids import Found, safe_id
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Refusal, SourceItem

OPTIONS = frozenset({"image_key", "image_suffix", "mask_key", "mask_suffix", "stacks"})
TRIED = 130
READS = (
    "other npz, npy and h5: one file with both arrays, or files in pairs (`--image-key`, "
    "`--mask-key`); several planes are a volume, or with `--stacks pictures` as many pictures"
)
RECOGNISED_BY = "such files and no pictures"
REFUSES = "pickled objects, links out of an HDF5 file, NaN"

# Where one of these lies beside arrays, another reader knows better; forcing the layout still works.
_OTHER_ENDINGS = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".nii", ".nii.gz", ".dcm", ".parquet", ".tar",
)  # fmt: skip
_LEAST_DIGITS = 4
_LONGEST_FIRST = (".npy.h5", ".npy.hdf5", *ENDINGS)


@dataclass(frozen=True)
class _Array:
    """One array of one file; `path` is relative to the source."""

    path: str
    form: ArrayForm


@dataclass(frozen=True)
class _Pair:
    """An image and its mask; `name` is unique where names of files are."""

    name: str
    image: _Array
    mask: _Array


@dataclass
class _Findings:
    """What has been found so far."""

    pairs: list[_Pair] = field(default_factory=list)
    sides: dict[str, dict[str, list[_Array]]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


def recognises(source: Path) -> bool:
    """Return whether the source is a file of arrays, or a folder with such files and no other images."""
    if not source.is_dir():
        return source.is_file() and source.name.lower().endswith(ENDINGS)
    seen = False
    for _, _, names in visible(source):
        lower = [name.lower() for name in names]
        if any(name.endswith(_OTHER_ENDINGS) for name in lower):
            return False
        seen = seen or any(name.endswith(ENDINGS) for name in lower)
    return seen


def find(source: Path, config: SourceConfig) -> Found:
    """Return the pairs of arrays; only headers are read."""
    base, walked = _files(source)
    findings = _Findings(refusals=list(walked.refusals))
    for path in walked.files:
        try:
            forms = list_arrays(base / path)
            _take_file(path, forms, config, findings)
        except SourceError as error:
            _refuse(findings, base, path, str(error).removeprefix(f"{base / path} "))
    _take_sides(base, findings)
    found = _as_found(base, findings, of_pictures=config.stacks == "pictures")
    return replace(found, notes=found.notes + walked.notes)


def _files(source: Path) -> tuple[Path, Walked]:
    if source.is_dir():
        return source, walk(source, ENDINGS)
    if not source.is_file():
        raise SourceError(f"{source} does not exist or is no folder; check the path")
    return source.parent, Walked((source.name,))


def _take_file(path: str, forms: tuple[ArrayForm, ...], config: SourceConfig, findings: _Findings) -> None:
    """Note the pairs of a file, or the side of a pair that it is."""
    stem = path[: len(path) - len(_ending(path))]
    pairs = list(_inner_pairs(forms, config))
    for parent, image, mask in pairs:
        name = f"{stem}/{parent}" if parent and len(pairs) > 1 else stem
        findings.pairs.append(_Pair(name, _Array(path, image), _Array(path, mask)))
    if pairs:
        return
    if len(forms) != 1:
        raise SourceError(_lacking(forms, config))
    naming = read_naming(path, _ending(path), config)
    named = choose([forms[0].name], config.mask_key, MASK_KEYS) is not None
    side = naming.side or ("mask" if named else "image")
    findings.sides.setdefault(naming.pair, {"image": [], "mask": []})[side].append(_Array(path, forms[0]))


def _inner_pairs(forms: tuple[ArrayForm, ...], config: SourceConfig) -> Iterator[tuple[str, ArrayForm, ArrayForm]]:
    """Yield the pairs inside a file: the two that are named by their whole paths, or one in each group."""
    by_name = {form.name: form for form in forms}
    keys = [key.strip("/") for key in (config.image_key, config.mask_key) if key is not None]
    if len(keys) == 2 and all(key in by_name for key in keys):
        yield "", by_name[keys[0]], by_name[keys[1]]
        return
    groups = grouped((form.name.rpartition("/")[0], form.name) for form in forms)
    for parent, names in groups.items():
        image = choose(names, config.image_key, IMAGE_KEYS)
        mask = choose(names, config.mask_key, MASK_KEYS)
        if image is not None and mask is not None and image != mask:
            yield parent, by_name[image], by_name[mask]


def _lacking(forms: tuple[ArrayForm, ...], config: SourceConfig) -> str:
    if not forms:
        return "holds no arrays; save it again"
    names = [form.name for form in forms]
    shown = first_of(names, 12, more=" ...")
    for side, wanted, usual, option in (
        ("image", config.image_key, IMAGE_KEYS, "--image-key"),
        ("mask", config.mask_key, MASK_KEYS, "--mask-key"),
    ):
        if choose(names, wanted, usual) is None:
            return f"has no {side} array{f' {wanted}' if wanted else ''}, got {shown}; name it with {option}"
    return f"has no image and mask in one group, got {shown}; name them by --image-key and --mask-key"


def _take_sides(base: Path, findings: _Findings) -> None:
    """Pair the files that hold one array."""
    for name, sides in findings.sides.items():
        images, masks = sides["image"], sides["mask"]
        first = (images or masks)[0].path
        if len(images) > 1 or len(masks) > 1:
            several = ", ".join(array.path for array in (images if len(images) > 1 else masks))
            side = "images" if len(images) > 1 else "masks"
            _refuse(findings, base, first, f"several {side} have one name: {several}; keep one")
        elif not masks:
            way = "add one, in a folder masks or with a suffix such as _mask"
            _refuse(findings, base, first, f"image has no mask; {way}")
        elif not images:
            _refuse(findings, base, first, "mask has no image; add it or remove the mask")
        else:
            findings.pairs.append(_Pair(name, images[0], masks[0]))


def _as_found(base: Path, findings: _Findings, *, of_pictures: bool) -> Found:
    stems = [PurePosixPath(pair.name).name for pair in findings.pairs]
    short = len(set(stems)) == len(stems)
    items: dict[str, SourceItem] = {}
    for pair in sorted(findings.pairs, key=lambda pair: pair.name):
        stem = PurePosixPath(pair.name).name
        name = stem if short else pair.name
        try:
            item = _item(base, safe_id(name), stem, pair)
        except SourceError as error:
            _refuse(findings, base, pair.mask.path, str(error))
            continue
        found = _pictures(item, name, pair) if of_pictures else [item]
        clash = next((one.id for one in found if one.id in items), None)
        if clash is not None:
            _refuse(findings, base, pair.image.path, f"has the id {clash} as another file has; rename it")
        else:
            items.update({one.id: one for one in found})
    used = sorted({(pair.image.form.name, pair.mask.form.name) for pair in findings.pairs if pair.image.form.name})
    notes = [f"arrays {image} are images and {mask or 'those beside'} masks" for image, mask in used[:3]]
    contents = [item.image.key for item in items.values()]
    n_volumes = sum("z" in axes_of(key) and not is_picture(key) for key in contents)
    if n_volumes:
        start = f"{counted(n_volumes, 'array')} of several planes taken as volumes, each of one patient"
        notes.append(f"{start}; for stacks of independent pictures there is --stacks pictures")
    return Found(tuple(items.values()), tuple(findings.refusals), tuple(notes))


def _item(base: Path, item_id: str, stem: str, pair: _Pair) -> SourceItem:
    axes = pair_axes(pair.image.form.shape, pair.mask.form.shape)
    image, mask = (
        Content("array", (str(base / array.path),), array_key(array.form.name, letters))
        for array, letters in zip((pair.image, pair.mask), axes, strict=True)
    )
    return SourceItem(item_id, image, mask, case_of(stem), split_of(pair.image.path))


def _pictures(item: SourceItem, name: str, pair: _Pair) -> list[SourceItem]:
    """Return an item for each picture in a stack, or the item of what is one picture."""
    image_axes, mask_axes = axes_of(item.image.key), axes_of(item.mask.key)
    if "z" not in mask_axes:
        return [item]
    count = pair.mask.form.shape[mask_axes.index("z")]
    width = max(_LEAST_DIGITS, len(str(count - 1)))
    return [
        replace(
            item,
            id=safe_id(f"{name}-{number:0{width}}"),
            image=replace(item.image, key=array_key(pair.image.form.name, image_axes, number)),
            mask=replace(item.mask, key=array_key(pair.mask.form.name, mask_axes, number)),
            group=None,
        )
        for number in range(count)
    ]


def _refuse(findings: _Findings, base: Path, path: str, reason: str) -> None:
    name = path[: len(path) - len(_ending(path))]
    findings.refusals.append(Refusal(safe_id(name), str(base / path), "discover", reason))


def _ending(path: str) -> str:
    return next(ending for ending in _LONGEST_FIRST if path.lower().endswith(ending))
