"""The features of a dataset that is extended: those of what is added, beside those that are there."""

from collections.abc import Sequence
from pathlib import Path

from hsmix_gen.pipeline.dataset.run_history import EXTENSION, LAYER, OTHERWISE_MADE, RunIdentity
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.execution.units import Runner
from hsmix_gen.pipeline.features.cache_description import Prepared
from hsmix_gen.pipeline.features.layer_keys import name_layers
from hsmix_gen.pipeline.features.prepare import FeatureGeneration, prepare
from hsmix_gen.pipeline.sources.earlier_sources import Known, Retry, without_fold_view
from hsmix_gen.pipeline.sources.inventory import Inventory, of_records
from hsmix_gen.pipeline.sources.source_records import content_digest
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.digests import digest_of
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.records import SourceRecord


def link_features(
    cache: Path, folds: Sequence[Sequence[RunIdentity]], inventory: Inventory, config: RunConfig, *, gpu: bool
) -> FeatureGeneration:
    """Return where the features of a source lie, after those of all generations before it.

    Parameters
    ----------
    cache : Path
        Features of the first generation; those of later ones lie in folders inside of it.
    folds : sequence of sequence of RunIdentity
        What the output of each fold is bound to.
    inventory : Inventory
        What the source holds now.
    config : RunConfig
    gpu : bool
        Whether Grad-CAM is computed on a GPU.
    """
    n_generations = min(len(bounds) for bounds in folds)
    generations = [
        (without_fold_view([bounds[number].records for bounds in folds]), folds[0][number].features)
        for number in range(n_generations)
    ]
    link: FeatureGeneration | None = None
    root = cache
    for records, folder in [*generations, (inventory.records, None)]:
        if link is not None:
            if _features_of(records) == _features_of(link.records):
                continue
            # What is refused while features are made is not known before: an output that is bound names the folder.
            root = cache / (folder or EXTENSION + digest_of([content_digest(records), _features_of(records)]))
        layers = name_layers(root, records, inventory, config, gpu=gpu, earlier=link.layers if link else None)
        link = FeatureGeneration(layers, records, link)
    assert link is not None
    return link


def compute_features(
    link: FeatureGeneration, inventory: Inventory, config: RunConfig, runner: Runner, reporter: Reporter
) -> list[Prepared]:
    """Fill the cache with the features of a source, first those that are to be taken over if they are not there."""
    if link.earlier is not None and not link.is_whole and not link.earlier.is_whole:
        reporter.note("the features that are to be taken over are made again")
        compute_features(link.earlier, of_records(inventory, link.earlier.records), config, runner, reporter)
    return prepare(inventory, link, config, runner, reporter)


def check_kept(root: Path, folds: Sequence[Sequence[RunIdentity]], link: FeatureGeneration) -> None:
    """Refuse to add samples to a dataset whose own would be made from other features now.

    Parameters
    ----------
    root : Path
        Folder of the dataset, for messages.
    folds : sequence of sequence of RunIdentity
        What the output of each fold is bound to.
    link : FeatureGeneration
        What `link_features` returned for them.

    Raises
    ------
    OutputError
    """
    chain = [link]
    while chain[-1].earlier is not None:
        chain.append(chain[-1].earlier)
    for bounds in zip(*folds, strict=False):
        mixed = _features_of(without_fold_view([bound.records for bound in bounds]))
        (made,) = (one for one in chain if _features_of(one.records) == mixed)
        for bound, layers in zip(bounds, made.layers, strict=True):
            for kind, name in layers.names.items():
                if bound.identity.get(LAYER + kind) != name:
                    raise OutputError(
                        f"{root} was mixed from other {kind} than would be made now, so that nothing can be added "
                        f"to it: {OTHERWISE_MADE}; choose another folder, or start anew with run --fresh"
                    )


def _features_of(records: Sequence[SourceRecord]) -> list[tuple[str, str, str, bool]]:
    return [(r.id, r.image_sha256, r.mask_sha256, r.refusal is None) for r in records]


def known_of(folds: Sequence[Sequence[RunIdentity]], retry: Retry) -> Known | None:
    """Return what is known of the sources of an output; nothing of a new one.

    Parameters
    ----------
    folds : sequence of sequence of RunIdentity
        What each fold is bound to, or what an output without folds is bound to.
    retry : str
    """
    if not all(folds):
        return None
    last, first = ([bounds[place].records for bounds in folds] for place in (-1, 0))
    return Known(without_fold_view(last), without_fold_view(first), retry)
