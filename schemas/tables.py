"""Columns of the tables: sources, manifest and Parquet shards (pyarrow schemas, no files)."""

import json
from dataclasses import Field, fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pyarrow as pa

from hsmix_gen.schemas.records import OUTSIDE, UNSAID, ManifestRow, SourceRecord

_WIDTHS = {
    pa.int8(): ("transform_a", "transform_b"),
    pa.int16(): ("fold", "variant_a", "variant_b"),
    pa.int64(): ("seed", "bytes", "pixels_a", "pixels_b"),
}
"""Columns of whole numbers by their width; all others have 32 bits."""
_MAY_LACK = ("chosen", "blank", "whole")
"""Columns without None that caches of earlier versions do not have."""


def _column(field: Field[Any]) -> pa.Field:
    """Return the column of a field of a record; what may be None may be null."""
    is_open = get_origin(field.type) in (Union, UnionType)
    kind = next(one for one in get_args(field.type) if one is not NoneType) if is_open else field.type
    return pa.field(field.name, _stored(field.name, kind), nullable=is_open or field.name in _MAY_LACK)


def _stored(name: str, kind: Any) -> pa.DataType:
    if get_origin(kind) is tuple:
        return pa.list_(_stored(name, get_args(kind)[0]))
    if kind is int:
        return next((width for width, names in _WIDTHS.items() if name in names), pa.int32())
    return {float: pa.float64(), bool: pa.bool_()}.get(kind, pa.string())


SOURCES_SCHEMA = pa.schema([_column(field) for field in fields(SourceRecord)])
"""``CACHE/sources.parquet``: row i describes row i of every array."""

MANIFEST_SCHEMA = pa.schema([_column(field) for field in fields(ManifestRow)])
"""``manifest.parquet``: one row per sample, sorted by key; bytes and sha256 are of the image member.

The measures at its end are new in version 2 of the contract; a manifest without them is read as one without values."""

_PICTURE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def shard_schema(*, image_is_png: bool, names_methods: bool = False, has_previews: bool = False) -> pa.Schema:
    """Return the schema of a Parquet shard, with the metadata by which HF ``datasets`` decodes pictures.

    Parameters
    ----------
    image_is_png : bool
        Whether images are PNG files; else they are npy bytes (H, W, C) in a binary column.
    names_methods : bool
        Whether samples may be mixed otherwise than by hsmix with the Bernoulli draw, which null stands for.
    has_previews : bool
        Whether each row has a small coloured picture of its sample, which comes last.

    Returns
    -------
    pyarrow.Schema
        key, image, mask, soft (npy bytes of the (C, H, W) float16 soft label), then the provenance columns.
    """
    key, *provenance = (column for column in MANIFEST_SCHEMA if column.name not in (*OUTSIDE, *UNSAID))
    columns = [
        key,
        pa.field("image", _PICTURE if image_is_png else pa.binary()),
        pa.field("mask", _PICTURE),
        pa.field("soft", pa.binary(), nullable=False),
        *provenance,
        *(MANIFEST_SCHEMA.field(name) for name in (UNSAID if names_methods else ())),
        *([pa.field("preview", _PICTURE)] if has_previews else ()),
    ]
    features = {column.name: _hf_feature(column.type) for column in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    return pa.schema(columns, metadata=metadata)


def _hf_feature(dtype: pa.DataType) -> dict[str, Any]:
    if dtype == _PICTURE:
        return {"_type": "Image"}
    if pa.types.is_list(dtype):
        return {"feature": _hf_feature(dtype.value_type), "_type": "Sequence"}
    name = "float64" if pa.types.is_float64(dtype) else str(dtype)
    return {"dtype": name, "_type": "Value"}
