"""The columns of the tables are those of the records, in the promised order."""

import json
from dataclasses import asdict, fields, replace

import pyarrow as pa
import pytest

from hsmix_gen.schemas.records import MEASURED, UNSAID, ManifestRow, SourceRecord, record_of
from hsmix_gen.schemas.tables import MANIFEST_SCHEMA, SOURCES_SCHEMA, shard_schema

ROW = ManifestRow(
    key="train-a-000", split="train", fold=None, mode="none", source_a="a", source_b=None, group_a="a", group_b=None,
    variant_a=None, variant_b=None, transform_a=3, transform_b=None, seed=2**63 - 1, select_p=None, area_b=0.0,
    lambda_min=None, lambda_mean=None, lambda_max=None, regions=None, flags=("guarded",), shard="train-000000",
    index=0, bytes=1, sha256="0", spacing_a=(0.5, 0.25),
)  # fmt: skip


def features(*, image_is_png: bool) -> dict[str, object]:
    found: dict[str, object] = json.loads(shard_schema(image_is_png=image_is_png).metadata[b"huggingface"])["info"][
        "features"
    ]
    return found


def test_the_manifest_has_the_fields_of_its_record() -> None:
    assert MANIFEST_SCHEMA.names == [field.name for field in fields(ManifestRow)]


def test_the_sources_have_the_fields_of_their_record() -> None:
    assert SOURCES_SCHEMA.names == [field.name for field in fields(SourceRecord)]


def test_the_manifest_ends_with_the_measures_and_the_augmentation() -> None:
    assert MANIFEST_SCHEMA.names[-len(MEASURED) - 1 :] == [*MEASURED, "augment"]


def test_a_manifest_of_the_first_version_has_no_measures_and_is_read() -> None:
    old = {name: value for name, value in asdict(ROW).items() if name not in MEASURED}
    assert record_of(ManifestRow, old) == ROW
    assert all(getattr(ROW, name) is None for name in MEASURED)


def test_a_source_of_an_earlier_version_is_known_by_what_was_true_of_all() -> None:
    """All images were trained on; of which volumes all slices are there nothing is said."""
    names = ("id", "group", "split", "fold", "image", "mask", "image_sha256", "mask_sha256", "height", "width")
    old = dict.fromkeys(names, "a") | {"split": "train", "fold": None, "height": 4, "width": 5}
    record = record_of(SourceRecord, old)
    assert (record.chosen, record.blank, record.whole) == (True, False, False)


def test_provenance_is_the_row_without_its_measures_its_place_and_its_checksum() -> None:
    """Bytes of samples do not depend on what is measured of them."""
    left_out = ("shard", "index", "bytes", "sha256", *MEASURED, *UNSAID, "augment")
    assert list(ROW.provenance()) == [name for name in MANIFEST_SCHEMA.names if name not in left_out]


def test_provenance_states_how_a_sample_was_mixed_unless_it_is_hsmix_by_the_first_draw() -> None:
    """Samples of hsmix are, byte for byte, what they were before there were other methods and selections."""
    mixed = replace(ROW, mode="hard", method="hsmix", selection="bernoulli")
    other = replace(mixed, method="copy-paste", selection=None, scale_b=0.75)

    assert mixed.provenance().keys() == ROW.provenance().keys()
    assert other.provenance() == {**mixed.provenance(), "method": "copy-paste", "scale_b": 0.75}
    assert replace(mixed, selection="connected").provenance()["selection"] == "connected"


def test_a_row_comes_back_from_plain_values() -> None:
    assert record_of(ManifestRow, json.loads(json.dumps(asdict(ROW)))) == ROW


def test_a_shard_has_the_sample_first_and_then_its_provenance() -> None:
    names = shard_schema(image_is_png=True).names

    assert names == ["key", "image", "mask", "soft", *list(ROW.provenance())[1:]]
    assert shard_schema(image_is_png=True, names_methods=True).names == [*names, "method", "selection", "scale_b"]
    assert shard_schema(image_is_png=True, has_previews=True).names == [*names, "preview"]


def test_a_shard_takes_the_provenance_of_a_sample() -> None:
    row = {**ROW.provenance(), "image": {"bytes": b"i", "path": "i"}, "mask": {"bytes": b"m", "path": "m"}, "soft": b""}

    table = pa.Table.from_pylist([row], schema=shard_schema(image_is_png=True))

    assert table.to_pylist() == [row]


@pytest.mark.parametrize("name", ["source_b", "fold", "lambda_mean", "variant_b"])
def test_what_an_unmixed_sample_lacks_may_be_null(name: str) -> None:
    assert MANIFEST_SCHEMA.field(name).nullable


@pytest.mark.parametrize("name", ["key", "mode", "source_a", "seed", "flags", "sha256"])
def test_what_every_sample_has_is_never_null(name: str) -> None:
    assert not MANIFEST_SCHEMA.field(name).nullable


def test_an_image_that_png_cannot_hold_is_binary() -> None:
    schema = shard_schema(image_is_png=False)

    assert schema.field("image").type == pa.binary()
    assert features(image_is_png=False)["image"] == {"dtype": "binary", "_type": "Value"}


def test_the_hub_is_given_every_column_in_its_own_words() -> None:
    found = features(image_is_png=True)

    assert list(found) == sorted(shard_schema(image_is_png=True).names)
    assert found["select_p"] == {"dtype": "float64", "_type": "Value"}
    assert found["seed"] == {"dtype": "int64", "_type": "Value"}
    assert found["flags"] == {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"}
