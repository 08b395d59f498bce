"""WebDataset as a source: tar shards whose members of one key are an image and its mask.

A tar file, or a folder of them, also one folder for each split; nothing is unpacked to disk. The key of a sample is the
name of its members up to the first dot after the last ``/``; what follows distinguishes image (``jpg``, ``image.png``,
``img.npy`` and so on) from mask (``mask.png``, ``seg.png``, ``label.npy``).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from hsmix_gen.pipeline.decoders.packed_members import read_tar_index
from hsmix_gen.pipeline.decoders.picture_codec import IMAGE_ENDINGS
from hsmix_gen.pipeline.readers.colour_tables import with_colours
from hsmix_gen.pipeline.readers.paths.ids import Found, parted, safe_id
from hsmix_gen.pipeline.readers.paths.split_words import split_of_folder, split_of_name
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import SourceError
from hsmix_gen.schemas.records import Content, Refusal, SourceItem

OPTIONS = frozenset({"colours", "image_key", "mask_key"})
TRIED = 30
READS = "tar shards; nothing is unpacked to disk; coloured masks as in `folder`"
RECOGNISED_BY = "`.tar` files"
REFUSES = "compressed tar, links, samples that lack a member"

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_FORMS = frozenset({ending[1:] for ending in IMAGE_ENDINGS} | {"npy"})
_IMAGE_WORDS = frozenset({"", "image", "img", "input", "photo", "picture"})
_MASK_WORDS = frozenset(
    {"mask", "seg", "segmentation", "label", "labels", "annotation", "gt", "ground_truth", "target", "semantic"}
)
_LOSSY = frozenset({"jpg", "jpeg"})
_BESIDE = frozenset({".tar", ".json", ".jsonl", ".txt", ".md", ".csv", ".yaml", ".yml", ".idx", ".index", ""})
"""Endings of files that may lie beside shards."""


def recognises(source: Path) -> bool:
    """Return whether the source is a tar file, or a folder that holds tar files and no pictures."""
    if not source.is_dir():
        return source.is_file() and source.name.lower().endswith((".tar", *_COMPRESSED))
    files = [path for folder in _folders(source) for path in folder.iterdir() if path.is_file()]
    endings = {".tar" if path.name.lower().endswith(_COMPRESSED) else path.suffix.lower() for path in files}
    return ".tar" in endings and endings <= _BESIDE


def find(source: Path, config: SourceConfig) -> Found:
    """Return the samples of all shards.

    Raises
    ------
    SourceError
        If there is no shard, or one is compressed or no tar file, or a colour table cannot be read.
    """
    shards = _shards(source)
    if not shards:
        raise SourceError(f"{source} holds no .tar file; give a folder of WebDataset shards")
    opened: list[_Shard] = []
    refusals: list[Refusal] = []
    for path in shards:
        try:
            opened.append(_Shard(path, config))
        except SourceError as error:
            if len(shards) == 1:
                raise
            refusals.append(Refusal(safe_id(path.stem), str(path), "discover", str(error)))
    keys = Counter(key.casefold() for shard in opened for key in shard.samples)
    clash = len(shards) > 1 and max(keys.values(), default=0) > 1
    items: list[SourceItem] = []
    for shard in opened:
        found = shard.found(f"{shard.path.relative_to(source).with_suffix('').as_posix()}-" if clash else "")
        items += found.items
        refusals += found.refusals
    return with_colours(Found(tuple(items), tuple(refusals)), source, config)


class _Shard:
    """One plain tar file, others are refused: the members of each sample by key."""

    def __init__(self, path: Path, config: SourceConfig) -> None:
        self.path = path
        self.samples: dict[str, list[str]] = defaultdict(list)
        self._config = config
        self._index = read_tar_index(str(path))
        self._split = split_of_name(path.stem) or split_of_folder(path.parent.name)
        strange, twice = self._index.strange, self._index.twice
        self._unusable = {**dict.fromkeys(strange, _STRANGE), **dict.fromkeys(twice, _TWICE)}
        for name in dict.fromkeys((*self._index.members, *self._index.strange)):
            key, ending = _parted(name)
            if key and ending:
                self.samples[key].append(name)

    def found(self, prefix: str) -> Found:
        """Return the items, and what cannot be used."""
        found = [self._sample(f"{prefix}{key}", names) for key, names in self.samples.items()]
        if self._index.problem:
            reason = f"{self._index.problem}; the {len(self._index.members)} members before it are used"
            found.append(Refusal(safe_id(self.path.stem), str(self.path), "discover", reason))
        return Found(*parted(found))

    def _sample(self, name: str, names: Sequence[str]) -> SourceItem | Refusal:
        item_id = safe_id(name)
        sides = _sides({_parted(name)[1]: name for name in names}, self._config)
        problem = next((f"member {one} {self._unusable[one]}" for one in names if one in self._unusable), "")
        problem = problem or _problem(sides)
        if problem:
            return Refusal(item_id, f"{self.path}#{names[0]}", "discover", problem)
        image, mask = (Content("member", (str(self.path),), members[0]) for members in sides)
        return SourceItem(item_id, image, mask, split=self._split)


_STRANGE = "is a link, a device or sparse; pack the file itself"
_TWICE = "occurs twice; give each sample a key of its own"


def _folders(source: Path) -> list[Path]:
    """Return a folder and those directly in it that are named by a split."""
    return [source, *sorted(path for path in source.iterdir() if path.is_dir() and split_of_folder(path.name))]


def _shards(source: Path) -> list[Path]:
    if source.is_file():
        files = [source]
    else:
        files = [path for folder in _folders(source) for path in sorted(folder.iterdir()) if path.is_file()]
    packed = [path for path in files if path.name.lower().endswith(_COMPRESSED)]
    if packed:
        raise SourceError(f"{packed[0]} is compressed, and no member of it can be found; unpack it to a plain .tar")
    return [path for path in files if path.suffix.lower() == ".tar" and not path.name.startswith(".")]


def _parted(name: str) -> tuple[str, str]:
    """Return the key of a member and its ending in lower case: ``a/b.mask.png`` is ``a/b`` and ``mask.png``."""
    path = PurePosixPath(name)
    stem, _, ending = path.name.partition(".")
    return ((path.parent / stem).as_posix() if stem else ""), ending.lower()


def _sides(by_ending: Mapping[str, str], config: SourceConfig) -> tuple[list[str], list[str]]:
    """Return the members that may be the image, and those that may be the mask."""
    images = _chosen(by_ending, _IMAGE_WORDS, config.image_key)
    masks = _chosen(by_ending, _MASK_WORDS, config.mask_key)
    if not masks and len(images) == 2:
        # A photograph and a lossless picture of one key: the second is its mask.
        lossy = [name for name in images if _parted(name)[1] in _LOSSY]
        if len(lossy) == 1:
            return lossy, [name for name in images if name not in lossy]
    return images, masks


def _chosen(by_ending: Mapping[str, str], words: Iterable[str], key: str | None) -> list[str]:
    if key is not None:
        wanted = key.lower().lstrip(".")
        return [name for ending, name in by_ending.items() if ending == wanted or ending.rpartition(".")[0] == wanted]
    parts = ((name, *ending.rpartition(".")) for ending, name in by_ending.items())
    return [name for name, word, _, form in parts if form in _FORMS and word in words]


def _problem(sides: tuple[Sequence[str], Sequence[str]]) -> str:
    ways = ("name it KEY.image.png or KEY.jpg, or give --image-key", "name it KEY.mask.png, or give --mask-key")
    for side, names, way in zip(("image", "mask"), sides, ways, strict=True):
        if not names:
            return f"sample has no {side}; {way}"
        if len(names) > 1:
            return f"sample has {len(names)} members that may be its {side}: {', '.join(names)}; {way}"
    return ""
