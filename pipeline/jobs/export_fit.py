"""Which exports can hold a dataset to come: said before the work, as soon as images and labels are understood."""

from collections.abc import Iterable

from hsmix_gen.pipeline.exports.base import Export, Shape
from hsmix_gen.schemas.errors import OutputError
from hsmix_gen.schemas.families import EXPORTS
from hsmix_gen.schemas.records import DatasetFacts


def unfit(facts: DatasetFacts, name: str, kinds: Iterable[str]) -> dict[str, str]:
    """Return why exports cannot hold a dataset, by their names; those that can are left out.

    Parameters
    ----------
    facts : DatasetFacts
    name : str
        Of the dataset, for messages.
    kinds : iterable of str
        Names of exports.
    """
    shape = Shape(name, facts.channels, facts.dtype, facts.intensity.kind, facts.n_classes, multilabel=facts.multilabel)
    found = {}
    for kind in kinds:
        export: Export = EXPORTS.module(kind).EXPORT
        try:
            export.check(shape, kind)
        except OutputError as error:
            found[kind] = str(error)
    return found


def check_exports(facts: DatasetFacts, name: str, kinds: Iterable[str]) -> None:
    """Refuse a run for exports that could not hold its dataset.

    Raises
    ------
    OutputError
        With all reasons.
    """
    reasons = unfit(facts, name, kinds)
    if reasons:
        raise OutputError("; ".join(reasons.values()))
