"""A source in an object store becomes local: which of its objects are needed."""

from collections.abc import Callable
from pathlib import Path

from hsmix_gen.pipeline.files.local_mirror import address_of, fetch, listed, present, remove_others, staged_path
from hsmix_gen.pipeline.files.store_paths import is_remote, location
from hsmix_gen.pipeline.readers import list_reader
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import SourceError


def stage(source: Path, config: RunConfig, note: Callable[[str], None]) -> tuple[Path, RunConfig]:
    """Return a source as a local path, and the configuration with its folder of data as one.

    Of an address all files are fetched that are new or have changed since: those in the folder; those that a list
    names; of a JSON table those beside it.

    Raises
    ------
    SourceError
        If nothing lies there, or there is no room for it.
    StoreError
        If the store refuses.
    """
    root = location(config.source.root) if config.source.root else None
    if is_remote(root):
        mirrored = config.source.model_copy(update={"root": str(staged_path(root))})
        config = config.model_copy(update={"source": mirrored})
    if not is_remote(source):
        return source, config
    try:
        wanted = listed(source)
    except FileNotFoundError:
        wanted = []  # not even the bucket
    if not wanted:
        raise SourceError(f"{source} holds nothing, or is not there; check bucket, name and endpoint")
    is_one = wanted[0].address == source
    if is_one and source.suffix.lower() == ".json":
        wanted = listed(source.parent)
    fetch(wanted, note)
    path = staged_path(source)
    if not is_one:
        remove_others(path, wanted)
    elif list_reader.recognises(path):
        items = list_reader.find(path, config.source).items
        texts = {text: None for item in items for content in (item.image, item.mask) for text in content.paths}
        fetch(present(address for address in map(address_of, texts) if address is not None), note)
    return path, config
