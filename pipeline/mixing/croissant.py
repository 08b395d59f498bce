"""``croissant.json``: the dataset for machines, in Croissant 1.1 [1]_, with what it was made from and by what.

It names every file with its checksum, every source with the checksums of its image and mask, and the configuration, so
that ``hsmix-gen rebuild`` makes the dataset again from this file and the sources. What only the owner of the images can
say is a blank that is named, never invented.

References
----------
.. [1] MLCommons, "Croissant Format Specification", version 1.1; "Croissant RAI Specification", version 1.0.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from hsmix_gen.schemas.records import FileRecord, SourceRecord

CROISSANT = "croissant.json"
BLANK = "Not stated."
"""How blanks begin; the rest says how to fill them."""
_BLANKS = {
    "license": f"{BLANK} The licence of the source images holds; name it with --license.",
    "citation": f"{BLANK} Cite the source images and the method (see README.md); name it with --citation.",
    "creator": f"{BLANK} Name who made the dataset with --creator.",
}
_OWNER = f"{BLANK} Only the owner of the source images can say it."
_OF_CROISSANT = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
    "subField", "transform",
)  # fmt: skip
"""Words that mean in Croissant what they are called."""
_CONTEXT = {
    **{name: f"cr:{name}" for name in _OF_CROISSANT},
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "prov": "http://www.w3.org/ns/prov#",
    "hsmix": "urn:hsmix-gen:",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "sc": "https://schema.org/",
    "configuration": {"@id": "hsmix:configuration", "@type": "@json"},
    "versions": {"@id": "hsmix:versions", "@type": "@json"},
}
_KINDS = {
    ".tar": "application/x-tar",
    ".parquet": "application/x-parquet",
    ".json": "application/json",
    ".png": "image/png",
}
_COLUMNS = {
    "key": "sc:Text", "split": "sc:Text", "mode": "sc:Text", "source_a": "sc:Text", "source_b": "sc:Text",
    "group_a": "sc:Text", "group_b": "sc:Text", "area_b": "sc:Float", "seed": "sc:Integer", "shard": "sc:Text",
    "sha256": "sc:Text",
}  # fmt: skip
_MEMBER_KINDS = {"image": "sc:ImageObject", "mask": "sc:ImageObject"}
MANIFEST_ID = "manifest.parquet"


def croissant(
    dataset: Mapping[str, Any], run: Mapping[str, Any], sources: Sequence[SourceRecord], manifest: FileRecord
) -> dict[str, Any]:
    """Return the metadata of a dataset.

    `dataset` and `run` are ``dataset.json`` and ``run.json``, the sources are the usable ones.
    """
    stated = run["config"]["run"]
    files = [_file(manifest.path, manifest.sha256, manifest.bytes)]
    # Files of a folder are too many to be named here: the manifest has the checksum of every image.
    for form, listed in dataset["formats"].items():
        if form != "folder":
            files += [_file(file["path"], file["sha256"], file["bytes"]) for file in listed]
    members, records = _members(dataset)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": dataset["name"],
        "description": _description(dataset, run),
        "version": f"{dataset['contract']}.0.0+{dataset['config_digest'][:12]}",
        "datePublished": run["finished"],
        "license": stated["license"] or _BLANKS["license"],
        "citeAs": stated["citation"] or _BLANKS["citation"],
        "creator": {"@type": "sc:Organization", "name": stated["creator"] or _BLANKS["creator"]},
        "keywords": ["medical imaging", "segmentation", "augmentation", "synthetic data", dataset["method"]],
        "rai:dataCollection": _OWNER,
        "rai:dataBiases": _OWNER,
        "rai:dataLimitations": (
            "Hard and soft samples are mixtures of two images and show nothing that exists; they are for training, "
            f"and for no diagnosis. Limits of the source images: {_OWNER}"
        ),
        "rai:personalSensitiveInformation": f"Consent and identifiers: {_OWNER}",
        "rai:dataUseCases": "Training of segmentation networks with soft labels.",
        "rai:dataManipulationProtocol": _protocol(dataset, run),
        "rai:hasSyntheticData": True,
        "prov:wasDerivedFrom": {
            "@type": "prov:Entity",
            "description": f"{len(sources)} images with masks; the record set 'sources' has their checksums.",
        },
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "name": f"hsmix-gen {run['versions']['hsmix-gen']}",
            "configuration": {"values": run["config"], "fold": run["fold"], "generations": run["generations"]},
            "versions": run["versions"],
        },
        "distribution": [*files, *members],
        "recordSet": [_manifest_records(), *records, _source_records(sources)],
    }


def _description(dataset: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{split['samples']} {name}" for name, split in dataset["splits"].items())
    return (
        f"Images of {dataset['size'][0]} x {dataset['size'][1]} pixels with masks and soft labels of "
        f"{', '.join(dataset['classes'])}, mixed by {dataset['method']}: {counts} samples of {run['sources']} sources. "
        "Validation and test images are passed through."
    )


def _protocol(dataset: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    modes = ", ".join(f"{count} {mode}" for mode, count in run["modes"].items())
    return (
        f"Training images were mixed in pairs by {dataset['method']} ({modes}), seed {run['seed']}; each sample's "
        "parents and draws stand in the manifest."
    )


def _file(path: str, sha256: str, size: int) -> dict[str, Any]:
    form = _KINDS.get(PurePosixPath(path).suffix, "application/octet-stream")
    return _node("FileObject", path, contentUrl=path, contentSize=f"{size} B", encodingFormat=form, sha256=sha256)


def _members(dataset: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return sets of the pictures inside of tar files, and the records that are read from them by their keys."""
    tars = [file["path"] for file in dataset["formats"].get("webdataset", ())]
    sets, records = [], []
    for part, kind in _MEMBER_KINDS.items():
        member = f"{part}.png"
        if not tars or member not in dataset["members"]:
            continue
        within = [{"@id": path} for path in tars]
        sets.append(
            _node("FileSet", f"{part}-files", containedIn=within, encodingFormat="image/png", includes=f"*.{member}")
        )
        key = _field(
            f"{part}s/key", "sc:Text", {"fileSet": {"@id": f"{part}-files"}, "extract": {"fileProperty": "filename"}}
        )
        key["source"]["transform"] = {"regex": r"^([^.]+)"}
        key["references"] = {"field": {"@id": "samples/key"}}
        content = {"fileSet": {"@id": f"{part}-files"}, "extract": {"fileProperty": "content"}}
        records.append(_node("RecordSet", f"{part}s", field=[key, _field(f"{part}s/{part}", kind, content)]))
    return sets, records


def _manifest_records() -> dict[str, Any]:
    fields = [
        _field(f"samples/{name}", kind, {"fileObject": {"@id": MANIFEST_ID}, "extract": {"column": name}})
        for name, kind in _COLUMNS.items()
    ]
    return _node("RecordSet", "samples", key={"@id": "samples/key"}, field=fields)


def _source_records(sources: Sequence[SourceRecord]) -> dict[str, Any]:
    names = ("id", "split", "image_sha256", "mask_sha256")
    return _node(
        "RecordSet",
        "sources",
        description="The images that the dataset was made from, with the sha256 of the files of image and mask.",
        field=[_field(f"sources/{name}", "sc:Text") for name in names],
        data=[{f"sources/{name}": getattr(record, name) for name in names} for record in sources],
    )


def _field(name: str, kind: str, source: dict[str, Any] | None = None) -> dict[str, Any]:
    return _node("Field", name, dataType=kind, **({} if source is None else {"source": source}))


def _node(kind: str, name: str, **said: Any) -> dict[str, Any]:
    """Return an object of Croissant, which has its name as its id."""
    return {"@type": f"cr:{kind}", "@id": name, "name": name, **said}
