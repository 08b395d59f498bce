"""Which sources of a finished set of features are mixed, and in which split: as prepared, or as options say."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsmix_gen.pipeline.execution.human_units import counted
from hsmix_gen.pipeline.execution.progress import Reporter
from hsmix_gen.pipeline.features.cache_description import HOMES, FeatureSet, Prepared, feature_options
from hsmix_gen.pipeline.features.feature_cache import FeatureCache
from hsmix_gen.pipeline.sources.earlier_sources import without_fold_view
from hsmix_gen.pipeline.sources.hashed_ids import hash_of, read_key
from hsmix_gen.pipeline.sources.source_records import is_evaluated, item_ids, per_fold, with_folds, without_leakage
from hsmix_gen.pipeline.sources.splits import empty_splits, of_every_split, read_lists, spread
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import ConfigError, SourceError
from hsmix_gen.schemas.records import LEFT_OUT, SPLITS, Refusal, ScanResult, SourceRecord, Split
from hsmix_gen.stages.planning.splitting import draw_groups, parse_ratio, split_groups
from hsmix_gen.stages.saliency.backend import backend_of


def choose_sources(made: FeatureSet, config: RunConfig, reporter: Reporter) -> list[Prepared]:
    """Return what is mixed of a set of features, for each fold.

    All records stay, since row i of the cache is record i; those that are not chosen are left out. The split, folds,
    limit and subset of the configuration choose, where they are not those that the set was made with. Raises
    ConfigError or SourceError if what is named is not in the cache, or tests on images that a network was fitted on.
    """
    wanted = feature_options(config)
    if all(wanted[key] == made.options[key] for key in HOMES):
        return made.folds
    choice = _Choice(made, config)
    records = choice.records()
    prepared = choice.prepared(records)
    used = [record for record in records if record.refusal is None]
    counts = ", ".join(f"{split} {sum(record.split == split for record in used)}" for split in SPLITS)
    count = config.source.folds
    folds = "" if count is None else f" in {count} folds"
    reporter.note(f"{len(used)} of the {len(records)} images in the cache are mixed{folds}: {counts}")
    if choice.has_networks and config.source.subset != made.config.source.subset:
        reporter.note(
            "the network behind the saliency was fitted on all training images of the cache; "
            "run --subset fits one on the subset alone"
        )
    for warning in empty_splits(
        list(dict(zip(item_ids(used), used, strict=True)).values()), config.source.split, pooled=count is not None
    ):
        reporter.warn(warning)
    return prepared


@dataclass(frozen=True)
class _Choice:
    """The choice of sources that a configuration makes from a set of features."""

    made: FeatureSet
    config: RunConfig

    @property
    def _root(self) -> Path:
        return self.made.folds[0].layers.root

    @property
    def has_networks(self) -> bool:
        """Whether a network is behind the saliency."""
        return backend_of(self.config.saliency).has_network

    def records(self) -> list[SourceRecord]:
        """Return all records, each with its split and fold, or left out."""
        wanted, before = self.config.source, self.made.config.source
        prepared = without_fold_view([fold.records for fold in self.made.folds])
        records = self._limited(prepared) if wanted.limit != before.limit else self._split(prepared)
        records = without_leakage(records)
        if wanted.subset is not None:
            records = self._few_shot(records)
        if wanted.folds is not None or before.folds is not None:
            records = self._dealt(records)
        self._check_volumes(prepared, records)
        return records

    def _limited(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        """Return the records with their splits, all but those of some pictures or volumes left out."""
        limit, names = self.config.source.limit, item_ids(records)
        reason = f"by --limit {limit}"
        kept = set(spread(sorted(set(names)), limit))
        few = [r if name in kept else _left_out(r, reason) for name, r in zip(names, records, strict=True)]
        divided = self._split(records)
        homes = of_every_split(self._homes(self._split(few)), self._homes(divided))
        return [
            # What stands in no list says so, as without a limit.
            one if one.is_left_out else replace(one, split=homes[name]) if name in homes else _left_out(one, reason)
            for name, one in zip(names, divided, strict=True)
        ]

    def _homes(self, records: Sequence[SourceRecord]) -> dict[str, Split]:
        """Return the split of each picture or volume that is not left out."""
        names = item_ids(records)
        found = {n: record.split for n, record in zip(names, records, strict=True) if not record.is_left_out}
        return dict(sorted(found.items()))

    def _split(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        split = self.config.source.split
        if split == self.made.config.source.split:
            return list(records)
        if split == "auto":
            raise ConfigError(
                "--split auto is what the source itself says, which generate does not read; "
                "name lists or a ratio, or leave --split out"
            )
        ratio, names = parse_ratio(split), item_ids(records)
        if ratio is None:
            homes: Mapping[str, Split] = self._listed(set(names))
        else:
            groups = {n: record.group for n, record in zip(names, records, strict=True) if not record.is_left_out}
            of_group = split_groups(list(groups.values()), ratio, seed=self.made.config.seed)
            homes = {name: of_group[group] for name, group in groups.items()}
        return [
            replace(record, split=homes[name]) if name in homes else _left_out(record, f"stands in no list of {split}")
            for name, record in zip(names, records, strict=True)
        ]

    def _check_volumes(self, prepared: Sequence[SourceRecord], records: Sequence[SourceRecord]) -> None:
        """Refuse to evaluate on volumes that lack slices: those that training does not take, or that were refused."""
        volume, names = self.made.config.volume, item_ids(prepared)
        if not self.made.folds[0].layers.facts.volumes or self.made.config.source.folds is not None:
            return
        takes_all = volume.every == 1 and not volume.min_foreground
        lacking = {
            name
            for name, one in zip(names, prepared, strict=True)
            if one.refusal is not None or not (takes_all or one.whole)
        }
        torn = [
            name
            for name, before, now in zip(names, prepared, records, strict=True)
            if before.split == "train" and name in lacking and now.refusal is None and is_evaluated(now)
        ]
        if torn:
            raise SourceError(
                f"{counted(len(set(torn)), 'volume')}, first {min(torn)}, would be validated or tested on, but the "
                f"cache {self._root} lacks slices of them (refused, or by --every {volume.every} and --min-foreground "
                f"{volume.min_foreground}); run prepare with that split, or with --every 1 --min-foreground 0"
            )

    def _few_shot(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        """Return the records with so many groups for training, drawn as `run` draws (of hashed ids by the hashes)."""
        source = self.config.source
        training = [record.group for record in records if record.split == "train" and not record.is_left_out]
        drawn = draw_groups(training, source.subset or 0, seed=source.subset_seed)
        reason = f"by --subset {source.subset} --subset-seed {source.subset_seed}"
        return [
            _left_out(record, reason) if record.split == "train" and record.group not in drawn else record
            for record in records
        ]

    def _listed(self, there: set[str]) -> dict[str, Split]:
        """Return the split of each id that lists name, by its name or hash; all of them are in the cache."""
        split = self.config.source.split
        refused = {refusal.id for refusal in self.made.folds[0].unpaired}
        lists, id_of = self._lists({*there, *refused})
        named = {name: id_of(name) for name in lists}
        absent = [name for name, found in named.items() if found not in there and found not in refused]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise SourceError(
                f"{split} names {absent[0]}{more}, which the cache {self._root} does not hold (its "
                f"ids look like {min(there)}); take out what is not there, or run prepare on a source that has it"
            )
        return {found: lists[name] for name, found in named.items()}

    def _lists(self, ids: Collection[str]) -> tuple[dict[str, Split], Callable[[str], str]]:
        """Return the split of each name in the lists, and what gives the id of a name, which may be its hash."""
        key = read_key(self.config.source)

        def id_of(name: str) -> str:
            return name if name in ids else hash_of(name, "source", key)

        return read_lists(Path(self.config.source.split), lambda name: id_of(name) in ids), id_of

    def _dealt(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        """Return the records in as many folds as are wanted, those of the set where they are as many."""
        count, is_kept = self.config.source.folds, self.config.source.folds == self.made.config.source.folds
        known = {record.group: record.fold for record in records if record.fold is not None} if is_kept else None
        plain = [replace(record, fold=None) for record in records]
        if count is None:
            return plain
        held = [] if known else [self._held(row, record) for row, record in enumerate(records)]
        dealt = with_folds(plain, held, count, seed=self.made.config.seed, known=known)
        empty = set(range(count)) - {record.fold for record in dealt}
        if empty:
            raise SourceError(f"fold {min(empty)} of {count} has none of the chosen images; choose more of them")
        return dealt

    def _held(self, row: int, record: SourceRecord) -> ScanResult:
        """Return the classes of a mask in the cache, as far as an image is used."""
        if record.refusal is not None:
            return ScanResult(record.id)
        layers = self.made.folds[0].layers
        mask = FeatureCache(self._root).read(layers.images, "mask", row)
        values = np.flatnonzero(mask.any(axis=(0, 1))) if layers.facts.multilabel else np.unique(mask)
        return ScanResult(record.id, mask_counts=tuple((int(value), 1) for value in values))

    def prepared(self, records: Sequence[SourceRecord]) -> list[Prepared]:
        """Return what is mixed for each fold, with the features of the fold that it comes from."""
        folds = per_fold(records)
        origins = self.made.folds if len(folds) == len(self.made.folds) else self.made.folds[:1] * len(folds)
        if self.has_networks:
            self._check_networks(origins, folds)
        return [
            replace(origin, records=seen, unpaired=self._unpaired(origin.unpaired))
            for origin, seen in zip(origins, folds, strict=True)
        ]

    def _check_networks(self, origins: Sequence[Prepared], folds: Sequence[Sequence[SourceRecord]]) -> None:
        """Refuse to validate or test on images that the network behind the saliency was fitted on."""
        ways = "run prepare with that split, or take features of a --saliency without a network"
        if len(self.made.folds) not in (1, len(folds)):
            raise ConfigError(
                f"the cache {self._root} holds a network for each of its {len(self.made.folds)} folds, which is for "
                f"no other division; leave --folds as it is, or {ways}"
            )
        for origin, seen in zip(origins, folds, strict=True):
            leaked = [
                now.id
                for before, now in zip(origin.records, seen, strict=True)
                if before.split == "train" and before.refusal is None and now.refusal is None and now.split != "train"
            ]
            if leaked:
                raise SourceError(
                    f"{len(leaked)} images that the network of the cache {self._root} was fitted on would be "
                    f"validated or tested on, first {leaked[0]} (leakage); keep them in train or leave them out, {ways}"
                )

    def _unpaired(self, unpaired: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
        """Return the files without a pair; where lists choose, only those that they name."""
        source = self.config.source
        if source.split == self.made.config.source.split or parse_ratio(source.split) is not None:
            return unpaired
        lists, id_of = self._lists({refusal.id for refusal in unpaired})
        listed = set(map(id_of, lists))
        return tuple(refusal for refusal in unpaired if refusal.id in listed)


def _left_out(record: SourceRecord, reason: str) -> SourceRecord:
    """Return a record that is not chosen; its split and group count no more."""
    return replace(record, refusal=LEFT_OUT + reason, fold=None)
