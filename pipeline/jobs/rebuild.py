"""A dataset made again from its own ``croissant.json`` and its sources, with every checksum compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, Output, read_dataset
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import SerialRunner
from hsmix_gen.pipeline.execution.versions import environment
from hsmix_gen.pipeline.files import atomic_files
from hsmix_gen.pipeline.jobs.run import Finished, run_all
from hsmix_gen.pipeline.sources.inventory import take_inventory
from hsmix_gen.schemas.config import RunConfig, named_key
from hsmix_gen.schemas.errors import ConfigError, OutputError, SourceError
from hsmix_gen.schemas.records import SourceRecord

_SHOWN = 5


@dataclass(frozen=True)
class Recipe:
    """What the metadata of a dataset says of how it was made."""

    config: RunConfig
    fold: int | None
    sources: dict[str, tuple[str, str]]
    """sha256 of image and mask by id."""
    files: dict[str, str]
    """sha256 by path."""
    versions: dict[str, Any]


def read_recipe(path: Path) -> Recipe:
    """Return what a ``croissant.json`` of ours says.

    Raises
    ------
    OutputError
        If it is missing, damaged, of another program, or of a dataset that was extended.
    """
    try:
        raw = atomic_files.read_json(path)
        made = raw["prov:wasGeneratedBy"]
        stated = made["configuration"]
        sets = {one["@id"]: one for one in raw["recordSet"]}
        rows = [{name.rpartition("/")[2]: value for name, value in row.items()} for row in sets["sources"]["data"]]
        recipe = Recipe(
            config=RunConfig.model_validate(stated["values"]),
            fold=stated["fold"],
            sources={row["id"]: (row["image_sha256"], row["mask_sha256"]) for row in rows},
            files={one["@id"]: one["sha256"] for one in raw["distribution"] if "sha256" in one},
            versions=made["versions"],
        )
        extensions = len(stated["generations"]) - 1
    except FileNotFoundError:
        raise OutputError(f"{path} is missing; name the croissant.json of a dataset") from None
    except IsADirectoryError:
        raise OutputError(f"{path} is a folder; name the croissant.json of a dataset") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        lacking = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise OutputError(
            f"{path} is no croissant.json of hsmix-gen ({lacking}); name the croissant.json of a dataset"
        ) from None
    if extensions:
        raise OutputError(
            f"{path} is of a dataset that was extended {extensions} times, which one run does not "
            "make again; run and extend it as run.json lists"
        )
    return recipe


def rebuild(recipe: Recipe, source: Path, output: Output, config: RunConfig, reporter: Reporter) -> Finished:
    """Make a dataset again and compare the checksums of all of its files.

    Parameters
    ----------
    recipe : Recipe
    source : Path
        The sources, wherever they lie now.
    output : Output
        A new or empty folder, or that of a rebuild that was stopped.
    config : RunConfig
        That of the recipe; where the work is done may be another.
    reporter : Reporter

    Raises
    ------
    ConfigError
        If options would give other bytes.
    SourceError
        If a source has changed, is missing or new; nothing is written then.
    OutputError
        If a file differs.
    """
    known, now = recipe.config.of_bytes(), config.of_bytes()
    other = [name for name in now if now[name] != known[name]]
    if other:
        raise ConfigError(
            f"{named_key(other[0])} is {known[other[0]]} of what is made again, got {now[other[0]]}; leave it out"
        )
    check_sources(recipe, source, config, reporter)
    finished = run_all(source, output, config, reporter)
    roots = (part.root for part, _ in finished.outcomes)
    _compare(recipe, next(root for root in roots if recipe.fold in (None, read_dataset(root)["fold"])))
    return finished


def check_sources(recipe: Recipe, source: Path, config: RunConfig, reporter: Reporter) -> None:
    """Refuse sources that are not those of the recipe, by name."""
    inventory = take_inventory(source, config, SerialRunner(has_gpu=False), reporter)
    found = {record.id: record for record in inventory.records if record.refusal is None}
    wrong = [
        *(text for name, record in found.items() for text in _changes(recipe.sources.get(name), record)),
        *(f"{name} is missing" for name in sorted(recipe.sources.keys() - found.keys())),
        *(f"{name} is new" for name in sorted(found.keys() - recipe.sources.keys())),
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise SourceError(
            f"{source} is not what the dataset was made from: {'; '.join(wrong[:_SHOWN])}{more}; "
            "put back those files, or make a new dataset with hsmix-gen run"
        )


def _changes(stated: tuple[str, str] | None, record: SourceRecord) -> list[str]:
    """Return which file of a source has changed, the image first, if one has; a new source has not."""
    now = (record.image_sha256, record.mask_sha256)
    if stated is None or stated == now:
        return []
    kind, path = ("image", record.image) if stated[0] != now[0] else ("mask", record.mask)
    return [f"the {kind} of {record.id} ({path}) has changed"]


def _compare(recipe: Recipe, root: Path) -> None:
    dataset = read_dataset(root)
    made = {file["path"]: file["sha256"] for listed in dataset["formats"].values() for file in listed}
    made[MANIFEST] = atomic_files.file_record(root / MANIFEST, root).sha256
    different = sorted(path for path, sha256 in recipe.files.items() if made.get(path) != sha256)
    if different:
        now = environment()
        versions = [
            f"{name} {was} is {now.get(name)} now" for name, was in recipe.versions.items() if now.get(name) != was
        ]
        why = f" ({', '.join(versions)}; install those versions)" if versions else ""
        raise OutputError(
            f"{root} differs from the metadata in {len(different)} of {len(recipe.files)} files, first "
            f"{different[0]}{why}"
        )
