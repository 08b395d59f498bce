"""Columns of the tables: sources, manifest and Parquet shards (pyarrow schemas, no files)."""

import json
from typing import Any

import pyarrow as pa

SOURCES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("fold", pa.int16()),
        pa.field("image", pa.string(), nullable=False),
        pa.field("mask", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("mask_sha256", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("plane", pa.int32(), nullable=False),
        pa.field("spacing", pa.list_(pa.float64())),
        pa.field("refusal", pa.string()),
        pa.field("chosen", pa.bool_()),
        pa.field("blank", pa.bool_()),
    ]
)
"""``CACHE/sources.parquet``: row i describes row i of every array."""

_PROVENANCE = [
    pa.field("key", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("fold", pa.int16()),
    pa.field("mode", pa.string(), nullable=False),
    pa.field("source_a", pa.string(), nullable=False),
    pa.field("source_b", pa.string()),
    pa.field("group_a", pa.string(), nullable=False),
    pa.field("group_b", pa.string()),
    pa.field("variant_a", pa.int16()),
    pa.field("variant_b", pa.int16()),
    pa.field("transform_a", pa.int8(), nullable=False),
    pa.field("transform_b", pa.int8()),
    pa.field("seed", pa.int64(), nullable=False),
    pa.field("select_p", pa.float64()),
    pa.field("area_b", pa.float64(), nullable=False),
    pa.field("lambda_min", pa.float64()),
    pa.field("lambda_mean", pa.float64()),
    pa.field("lambda_max", pa.float64()),
    pa.field("regions", pa.int32()),
    pa.field("flags", pa.list_(pa.string()), nullable=False),
]

_SPACING = [pa.field("spacing_a", pa.list_(pa.float64())), pa.field("spacing_b", pa.list_(pa.float64()))]

_MIXED_BY = [pa.field("method", pa.string()), pa.field("selection", pa.string()), pa.field("scale_b", pa.float64())]

_MEASURES = [
    pa.field("pixels_a", pa.list_(pa.int64())),
    pa.field("pixels_b", pa.list_(pa.int64())),
    pa.field("pixels", pa.list_(pa.float64())),
    pa.field("fragments", pa.int32()),
    pa.field("fragments_before", pa.int32()),
    pa.field("objects", pa.int32()),
    pa.field("cut", pa.int32()),
    pa.field("small", pa.int32()),
    pa.field("small_cut", pa.int32()),
    pa.field("appearance", pa.float64()),
    pa.field("contour", pa.float64()),
    pa.field("contour_chance", pa.float64()),
    pa.field("auc_a", pa.float64()),
    pa.field("auc_b", pa.float64()),
    pa.field("lambda_std", pa.float64()),
]

MANIFEST_SCHEMA = pa.schema(
    [
        *_PROVENANCE,
        pa.field("shard", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        *_SPACING,
        *_MIXED_BY,
        *_MEASURES,
        pa.field("augment", pa.string()),
    ]
)
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
    fields = [
        _PROVENANCE[0],
        pa.field("image", _PICTURE if image_is_png else pa.binary()),
        pa.field("mask", _PICTURE),
        pa.field("soft", pa.binary(), nullable=False),
        *_PROVENANCE[1:],
        *_SPACING,
        *(_MIXED_BY if names_methods else ()),
        *([pa.field("preview", _PICTURE)] if has_previews else ()),
    ]
    features = {field.name: _hf_feature(field.type) for field in fields}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    return pa.schema(fields, metadata=metadata)


def _hf_feature(dtype: pa.DataType) -> dict[str, Any]:
    if dtype == _PICTURE:
        return {"_type": "Image"}
    if pa.types.is_list(dtype):
        return {"feature": _hf_feature(dtype.value_type), "_type": "Sequence"}
    name = "float64" if pa.types.is_float64(dtype) else str(dtype)
    return {"dtype": name, "_type": "Value"}
