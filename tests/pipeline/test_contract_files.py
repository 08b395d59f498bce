"""What a run promises, read from its files alone: no code of the product is imported here.

Parents are taken from the cache, turned with numpy, and every sample is computed anew from the published formulas.
"""

import csv
import hashlib
import io
import itertools
import json
import re
import subprocess
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import zarr
from PIL import Image as Pillow

Array = npt.NDArray[Any]

TRAIN, VAL, TEST, COPIES, BATCH, SELECT = 6, 2, 1, 5, 4, 0.3
N_CLASSES = 3
MANIFEST_COLUMNS = (
    "key", "split", "fold", "mode", "source_a", "source_b", "group_a", "group_b", "variant_a", "variant_b",
    "transform_a", "transform_b", "seed", "select_p", "area_b", "lambda_min", "lambda_mean", "lambda_max", "regions",
    "flags", "shard", "index", "bytes", "sha256", "spacing_a", "spacing_b",
)  # fmt: skip
PLACE = ("shard", "index", "bytes", "sha256")
MEMBERS = {"image.png", "mask.png", "soft.npz", "json"}
POLICIES = ("per-sample", "per-batch", "paired")
# For lambda there is no draw to read: which superpixels of B entered is searched, 2 ** this is affordable.
MOST_OPEN_REGIONS = 14


@dataclass(frozen=True)
class Sample:
    """A sample as it lies in a tar file, with its row of the manifest."""

    row: dict[str, Any]
    members: dict[str, bytes]

    @property
    def image(self) -> Array:
        """(H, W, C) pixels."""
        return np.asarray(Pillow.open(io.BytesIO(self.members["image.png"])))

    @property
    def mask(self) -> Array:
        """(H, W) class ids."""
        return np.asarray(Pillow.open(io.BytesIO(self.members["mask.png"])))

    @property
    def soft(self) -> Array:
        """(C, H, W) float16."""
        with np.load(io.BytesIO(self.members["soft.npz"]), allow_pickle=False) as archive:
            assert archive.files == ["soft"]
            soft: Array = archive["soft"]
        return soft


@dataclass(frozen=True)
class Parent:
    """Features of one parent, turned as its row says."""

    image: Array
    mask: Array
    labels: Array
    saliency: Array


class Dataset:
    """The files of one finished output."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root, self.source = root, source
        self.described: dict[str, Any] = json.loads((root / "dataset.json").read_text())
        self.run: dict[str, Any] = json.loads((root / "run.json").read_text())
        self.table = pq.read_table(root / "manifest.parquet")
        self.rows: list[dict[str, Any]] = self.table.to_pylist()
        self.cache = root / ".hsmix" / "cache"
        self.records: list[dict[str, Any]] = pq.read_table(self.cache / "sources.parquet").to_pylist()
        self.row_of = {record["id"]: number for number, record in enumerate(self.records)}
        self.images = self._layer("images", "image")
        self.masks = self._layer("images", "mask")
        self.labels = self._layer("superpixels", "labels")
        self.counts = self._layer("superpixels", "count")
        self.saliency = self._layer("saliency", "saliency")
        self.in_tars = self._in_tars()
        self.samples = [Sample(row, self.in_tars[row["shard"]][row["index"]][1]) for row in self.rows]

    def _layer(self, layer: str, name: str) -> Array:
        return np.asarray(zarr.open_array(str(self.cache / f"{self.run['layers'][layer]}.zarr"), path=name, mode="r"))

    def _in_tars(self) -> dict[str, list[tuple[str, dict[str, bytes]]]]:
        """Return key and members of each sample, in order, by shard."""
        found: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        for path in sorted((self.root / "webdataset").glob("*.tar")):
            samples: list[tuple[str, dict[str, bytes]]] = []
            with tarfile.open(path) as tar:
                for info in tar:
                    key, _, member = info.name.partition(".")
                    file = tar.extractfile(info)
                    assert file is not None
                    if not samples or samples[-1][0] != key:
                        samples.append((key, {}))
                    samples[-1][1][member] = file.read()
            found[path.stem] = samples
        return found

    def of(self, *modes: str, split: str = "train") -> list[Sample]:
        """Return the samples of some modes in a split."""
        return [s for s in self.samples if s.row["split"] == split and s.row["mode"] in modes]

    def parent(self, row: dict[str, Any], which: str) -> Parent:
        """Return parent ``a`` or ``b`` of a sample."""
        number = self.row_of[row[f"source_{which}"]]
        turn = row[f"transform_{which}"]
        variant = row[f"variant_{which}"]
        features = (
            self.images[number],
            self.masks[number],
            self.labels[number, variant if variant is not None else 0],
            self.saliency[number],
        )
        return Parent(*(turned(array, turn) for array in features))


def turned(array: Array, number: int) -> Array:
    """Apply transform r + 4f as the contract words it."""
    result = np.rot90(array, number % 4)
    return np.fliplr(result) if number // 4 == 1 else result


def one_hot(mask: Array) -> Array:
    """Return (C, H, W) float64 of 0 and 1."""
    return np.stack([mask == class_id for class_id in range(N_CLASSES)]).astype(np.float64)


def blended(a: Array, b: Array, level: Array) -> Array:
    """Return round((1 - k/255) A + k/255 B) for levels k of each pixel."""
    k = level[..., None].astype(np.float64)
    return np.rint(((255 - k) * a + k * b) / 255)


def mixed_grid(a: Parent, b: Parent, from_b: Array) -> Array:
    """Return the superpixels of the mixed image, any numbers (section 1.5 of the method)."""
    grid: Array = np.where(from_b, b.labels.astype(np.int64), a.labels.astype(np.int64) + 10_000)
    return grid


def levels(a: Parent, b: Parent, from_b: Array) -> Array:
    """Return lambda of each pixel in 255ths, one region after the other (section 1.6 of the method)."""
    s_a, s_b = a.saliency / 255.0, b.saliency / 255.0
    relative = s_b / (s_a + s_b + 1e-4)
    relative[(a.saliency == 0) & (b.saliency == 0)] = 0.5
    grid = mixed_grid(a, b, from_b)
    value = {region: relative[grid == region].sum() / grid.size for region in np.unique(grid)}
    low, high = min(value.values()), max(value.values())
    result = np.zeros(grid.shape, dtype=np.int64)
    for region, found in value.items():
        result[grid == region] = int(np.rint(255 * (found - low) / (high - low + 1e-5)))
    return result


def chosen_regions(sample: Sample, a: Parent, b: Parent) -> Array:
    """Return where a hard sample took B, (H, W) bool, after checking that it took whole superpixels."""
    image = sample.image
    from_b = np.zeros(b.labels.shape, dtype=bool)
    for region in np.unique(b.labels):
        inside = b.labels == region
        is_a, is_b = ((image[inside] == parent.image[inside]).all() for parent in (a, b))
        assert is_a != is_b, f"{sample.row['key']}: superpixel {region} of B is neither A's nor B's as a whole"
        from_b[inside] = is_b
    return from_b


def explained(sample: Sample, a: Parent, b: Parent) -> tuple[Array, Array] | None:
    """Search the superpixels of B whose choice gives a soft sample's image: return the choice and the levels."""
    image = sample.image.astype(np.int64)
    k = np.arange(256)[:, None, None, None]
    fits = (np.rint(((255 - k) * a.image.astype(np.float64) + k * b.image) / 255) == image).all(axis=-1)
    # A superpixel that entered has one lambda; most others are cut by the superpixels of A and have several.
    may_enter = [region for region in np.unique(b.labels) if fits[:, b.labels == region].all(axis=1).any()]
    assert len(may_enter) <= MOST_OPEN_REGIONS
    for count in range(len(may_enter) + 1):
        for entered in itertools.combinations(may_enter, count):
            from_b = np.isin(b.labels, entered)
            level = levels(a, b, from_b)
            if (blended(a.image, b.image, level) == image).all():
                return from_b, level
    return None


def check_soft(sample: Sample, a: Parent, b: Parent, from_b: Array, level: Array) -> None:
    """Check image, labels and provenance of a soft sample whose choice and lambda are known."""
    row, share = sample.row, level / 255.0
    soft = ((1 - share) * one_hot(a.mask) + share * one_hot(b.mask)).astype(np.float16)

    assert (sample.image == blended(a.image, b.image, level)).all()
    assert (sample.soft == soft).all()
    assert (sample.mask == soft.argmax(axis=0)).all()
    assert row["lambda_min"] == pytest.approx(share.min(), abs=1e-12)
    assert row["lambda_mean"] == pytest.approx(share.mean(), abs=1e-12)
    assert row["lambda_max"] == pytest.approx(share.max(), abs=1e-12)
    assert row["area_b"] == pytest.approx(share.mean(), abs=1e-12)
    assert row["regions"] == len(np.unique(mixed_grid(a, b, from_b)))


@pytest.fixture(scope="module")
def source(make_source: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source at the size of the output, so that nothing is resampled."""
    return make_source(tmp_path_factory.mktemp("contract") / "source", train=TRAIN, val=VAL, test=TEST)


@pytest.fixture(scope="module")
def datasets(
    source: Path, command: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Dataset]:
    """One run for each policy, made by the installed command in all formats, side by side."""
    folder = tmp_path_factory.mktemp("policies")
    common = [*tiny, "--copies", str(COPIES), "--select", str(SELECT), "-o", f"mix.batch_size={BATCH}"]
    common += ["--format", "webdataset", "--format", "parquet", "--format", "folder"]
    common += ["--shards", "3", "--seed", "11"]
    running = {
        policy: subprocess.Popen(
            [str(command), "run", str(source), str(folder / policy), *common, "--policy", policy],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for policy in POLICIES
    }
    for process in running.values():
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return {policy: Dataset(folder / policy, source) for policy in POLICIES}


@pytest.fixture(params=POLICIES)
def dataset(request: pytest.FixtureRequest, datasets: dict[str, Dataset]) -> Dataset:
    """Each of the datasets."""
    return datasets[request.param]


def test_cached_image_and_mask_are_those_of_the_files(dataset: Dataset) -> None:
    """At the native size nothing is resampled: the cache holds the very pixels, and greys became class ids."""
    assert [record["id"] for record in dataset.records] == [f"case_{i:02d}" for i in range(TRAIN + VAL + TEST)]
    for number, record in enumerate(dataset.records):
        name = f"{record['id']}.png"
        image = np.asarray(Pillow.open(dataset.source / "images" / name))
        mask = np.asarray(Pillow.open(dataset.source / "masks" / name))
        assert (dataset.images[number] == image).all()
        assert (np.array([0, 128, 255])[dataset.masks[number]] == mask).all()
        for kind in ("image", "mask"):
            data = (dataset.source / f"{kind}s" / name).read_bytes()
            assert record[f"{kind}_sha256"] == hashlib.sha256(data).hexdigest()
            assert Path(record[kind]) == dataset.source / f"{kind}s" / name
        assert (record["height"], record["width"], record["refusal"]) == (48, 64, None)


def test_cached_superpixels_are_numbered_without_gaps(dataset: Dataset) -> None:
    """Labels are 0 to R - 1 and `count` is R, so that tables by label need no search."""
    assert [str(array.dtype) for array in (dataset.labels, dataset.counts, dataset.saliency)] == [
        *("uint16", "uint16", "uint8")
    ]
    for maps, counts in zip(dataset.labels, dataset.counts, strict=True):
        for labels, count in zip(maps, counts, strict=True):
            assert np.unique(labels).tolist() == list(range(count))
            assert 2 <= count <= 40


def test_manifest_has_the_promised_columns_sorted_by_key(dataset: Dataset) -> None:
    """Other programs read these names; the order makes equal runs equal files."""
    keys = [row["key"] for row in dataset.rows]

    assert tuple(dataset.table.column_names) == MANIFEST_COLUMNS
    assert keys == sorted(set(keys))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)


def test_every_sample_has_the_same_members_in_the_order_of_its_row(dataset: Dataset) -> None:
    """A loader that maps members to tensors must not meet a sample without one, or another sample."""
    assert sum(map(len, dataset.in_tars.values())) == len(dataset.rows)
    for row in dataset.rows:
        key, members = dataset.in_tars[row["shard"]][row["index"]]
        assert key == row["key"]
        assert members.keys() == MEMBERS


def test_rows_tell_size_and_checksum_of_the_image_member(dataset: Dataset) -> None:
    """A damaged picture can be found without decoding anything."""
    for sample in dataset.samples:
        image = sample.members["image.png"]
        assert sample.row["bytes"] == len(image)
        assert sample.row["sha256"] == hashlib.sha256(image).hexdigest()


def test_json_member_repeats_the_row(dataset: Dataset) -> None:
    """A shard alone tells how its samples came about."""
    for sample in dataset.samples:
        provenance = json.loads(sample.members["json"])
        assert provenance == {name: value for name, value in sample.row.items() if name not in PLACE}


def test_parquet_rows_equal_the_tar_members(dataset: Dataset) -> None:
    """Both formats hold the same samples, byte for byte, with the metadata by which pictures decode."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted((dataset.root / "parquet").glob("*.parquet")):
        table = pq.read_table(path)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["image"]["_type"] == features["mask"]["_type"] == "Image"
        rows |= {row["key"]: row for row in table.to_pylist()}

    assert rows.keys() == {row["key"] for row in dataset.rows}
    for sample in dataset.samples:
        row = rows[sample.row["key"]]
        assert row["image"]["bytes"] == sample.members["image.png"]
        assert row["mask"]["bytes"] == sample.members["mask.png"]
        assert (np.load(io.BytesIO(row["soft"])) == sample.soft).all()
        assert {name: row[name] for name in MANIFEST_COLUMNS if name not in PLACE} == {
            name: value for name, value in sample.row.items() if name not in PLACE
        }


def test_soft_label_sums_to_one_and_mask_is_its_argmax(dataset: Dataset) -> None:
    """Losses take the soft label as probabilities; consumers of class ids see the most probable class."""
    for sample in dataset.samples:
        soft = sample.soft
        assert (soft.shape, str(soft.dtype)) == ((N_CLASSES, 48, 64), "float16")
        assert np.abs(soft.astype(np.float64).sum(axis=0) - 1).max() < 1e-3
        assert (sample.mask == soft.argmax(axis=0)).all()
        assert sample.mask.dtype == np.uint8


def test_hard_sample_takes_whole_superpixels_of_b_and_the_rest_of_a(dataset: Dataset) -> None:
    """Image and labels follow one choice, and the row tells its area and the number of regions."""
    samples = dataset.of("hard")
    assert samples
    for sample in samples:
        row = sample.row
        a, b = dataset.parent(row, "a"), dataset.parent(row, "b")
        from_b = chosen_regions(sample, a, b)
        mask = np.where(from_b, b.mask, a.mask)

        assert (sample.image == np.where(from_b[..., None], b.image, a.image)).all()
        assert (sample.mask == mask).all()
        assert (sample.soft == one_hot(mask)).all()
        assert row["area_b"] == pytest.approx(from_b.mean(), abs=1e-12)
        assert row["regions"] == len(np.unique(mixed_grid(a, b, from_b)))
        assert row["select_p"] == SELECT
        assert row["lambda_min"] is row["lambda_mean"] is row["lambda_max"] is None
        assert row["flags"] == (["hard_identity"] if from_b.all() or not from_b.any() else [])


def test_share_of_superpixels_taken_is_near_the_probability(datasets: dict[str, Dataset]) -> None:
    """Each superpixel of B enters by an independent draw of probability `select_p`."""
    taken, seen = 0, 0
    for dataset in datasets.values():
        for sample in dataset.of("hard"):
            a, b = dataset.parent(sample.row, "a"), dataset.parent(sample.row, "b")
            from_b = chosen_regions(sample, a, b)
            taken += len(np.unique(b.labels[from_b]))
            seen += len(np.unique(b.labels))

    deviation = np.sqrt(seen * SELECT * (1 - SELECT))
    assert abs(taken - seen * SELECT) < 4 * deviation


@pytest.mark.parametrize("policy", ["per-sample", "per-batch"])
def test_soft_sample_follows_the_published_lambda(datasets: dict[str, Dataset], policy: str) -> None:
    """For some choice of B's superpixels the formulas give every pixel, label and number of a soft sample."""
    dataset = datasets[policy]
    samples = dataset.of("soft")
    assert samples
    for sample in samples:
        a, b = dataset.parent(sample.row, "a"), dataset.parent(sample.row, "b")
        found = explained(sample, a, b)

        assert found is not None, f"no choice of superpixels explains {sample.row['key']}"
        check_soft(sample, a, b, *found)
        assert (sample.row["select_p"], sample.row["flags"]) == (SELECT, [])


def test_paired_samples_share_parents_turns_and_selection(datasets: dict[str, Dataset]) -> None:
    """The soft sample of a pair follows the superpixels that its hard sample took; no search is needed."""
    dataset = datasets["paired"]
    pairs: dict[str, dict[str, Sample]] = defaultdict(dict)
    for sample in dataset.of("hard", "soft"):
        pairs[sample.row["key"].removesuffix(f"-{sample.row['mode']}")][sample.row["mode"]] = sample

    assert len(pairs) == TRAIN * COPIES
    shared = (
        "source_a", "source_b", "variant_a", "variant_b", "transform_a", "transform_b", "seed", "regions", "shard",
    )  # fmt: skip
    for pair in pairs.values():
        hard, soft = pair["hard"], pair["soft"]
        a, b = dataset.parent(hard.row, "a"), dataset.parent(hard.row, "b")
        from_b = chosen_regions(hard, a, b)
        assert {name: hard.row[name] for name in shared} == {name: soft.row[name] for name in shared}
        assert abs(hard.row["index"] - soft.row["index"]) == 1
        check_soft(soft, a, b, from_b, levels(a, b, from_b))


def test_unmixed_training_sample_is_its_parent_turned(datasets: dict[str, Dataset]) -> None:
    """Mode none keeps the picture; there is no B, no region, no lambda to tell."""
    samples = [(dataset, s) for dataset in datasets.values() for s in dataset.of("none")]
    assert samples
    empty = ("source_b", "group_b", "variant_b", "transform_b", "select_p", "regions", "lambda_min", "lambda_mean")
    for dataset, sample in samples:
        a = dataset.parent(sample.row, "a")
        assert (sample.image == a.image).all()
        assert (sample.soft == one_hot(a.mask)).all()
        assert [sample.row[name] for name in empty] == [None] * len(empty)
        assert sample.row["area_b"] == 0


def test_validation_and_test_images_pass_through_once_and_unchanged(dataset: Dataset) -> None:
    """What is measured on must be the real pictures, each exactly once."""
    for split, count in (("val", VAL), ("test", TEST)):
        samples = dataset.of("none", split=split)
        expected = {record["id"] for record in dataset.records if record["split"] == split}
        assert len(samples) == count
        assert {sample.row["source_a"] for sample in samples} == expected
        assert dataset.of("hard", "soft", split=split) == []
        for sample in samples:
            number = dataset.row_of[sample.row["source_a"]]
            assert sample.row["transform_a"] == 0
            assert (sample.image == dataset.images[number]).all()
            assert (sample.mask == dataset.masks[number]).all()


def test_parents_are_two_images_of_the_split_of_the_sample(dataset: Dataset) -> None:
    """No pixel of a validation or test image reaches training, and no image is mixed with itself."""
    split_of = {record["id"]: record["split"] for record in dataset.records}
    group_of = {record["id"]: record["group"] for record in dataset.records}
    for row in dataset.rows:
        parents = [row[name] for name in ("source_a", "source_b") if row[name] is not None]
        assert {split_of[parent] for parent in parents} == {row["split"]}
        assert len(set(parents)) == len(parents)
        assert row["group_a"] == group_of[row["source_a"]]
        assert row["source_b"] is None or row["group_b"] == group_of[row["source_b"]]


def test_each_training_image_leads_as_often_as_copies_say(dataset: Dataset) -> None:
    """`--copies` counts mixed samples per image (pairs under the paired policy); partners are spread evenly."""
    per_image = COPIES * (2 if dataset.root.name == "paired" else 1)
    train = [sample.row for sample in dataset.of("none", "hard", "soft")]
    leads = Counter(row["source_a"] for row in train)

    assert leads == {record["id"]: per_image for record in dataset.records if record["split"] == "train"}
    follows = Counter(row["source_b"] for row in train if row["source_b"])
    assert max(follows.values()) <= per_image


def test_turns_keep_a_non_square_size_and_all_of_them_occur(dataset: Dataset) -> None:
    """Of the eight transforms four keep 48 x 64; each parent draws its own."""
    train = [sample.row for sample in dataset.of("none", "hard", "soft")]
    used = {row["transform_a"] for row in train} | {row["transform_b"] for row in train if row["source_b"]}

    assert used == {0, 2, 4, 6}
    assert any(row["transform_a"] != row["transform_b"] for row in train if row["source_b"])


def test_batches_of_the_per_batch_policy_have_one_mode_and_one_shard(datasets: dict[str, Dataset]) -> None:
    """A loader that reads shards in order, a batch at a time, sees one mode in each batch."""
    dataset = datasets["per-batch"]
    modes: dict[str, dict[int, str]] = defaultdict(dict)
    for sample in dataset.of("none", "hard", "soft"):
        modes[sample.row["shard"]][sample.row["index"]] = sample.row["mode"]
    cut = 0
    for by_index in modes.values():
        ordered = [by_index[index] for index in range(len(by_index))]
        groups = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
        assert all(len(set(group)) == 1 for group in groups)
        cut += sum(len(group) < BATCH for group in groups)

    assert cut <= 1  # only the last batch of all may be short
    assert len({mode for by_index in modes.values() for mode in by_index.values()}) > 1


def test_modes_of_the_per_sample_policy_all_occur(datasets: dict[str, Dataset]) -> None:
    """With equal chances thirty samples hold each mode."""
    modes = Counter(sample.row["mode"] for sample in datasets["per-sample"].of("none", "hard", "soft"))

    assert modes.keys() == {"none", "hard", "soft"}


def test_shard_names_count_without_gaps(dataset: Dataset) -> None:
    """Brace patterns such as train-{000000..000002}.tar have to hit every file."""
    tars = sorted(path.name for path in (dataset.root / "webdataset").iterdir() if path.suffix != ".json")
    tables = sorted(path.name for path in (dataset.root / "parquet").iterdir())

    assert tars == sorted(["test-000000.tar", "val-000000.tar", *(f"train-{number:06d}.tar" for number in range(3))])
    assert tables == sorted(
        [
            "test-00000-of-00001.parquet",
            "val-00000-of-00001.parquet",
            *(f"train-{number:05d}-of-00003.parquet" for number in range(3)),
        ]
    )


def test_tar_members_carry_no_time_and_no_owner(dataset: Dataset) -> None:
    """Clock and user would make equal runs differ."""
    for path in (dataset.root / "webdataset").glob("*.tar"):
        with tarfile.open(path) as tar:
            for info in tar:
                assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
                assert info.isreg()


def test_dataset_json_tells_what_is_there(dataset: Dataset) -> None:
    """A trainer takes classes, size, counts and files from here, so they have to be true."""
    described = dataset.described
    counts = Counter(row["split"] for row in dataset.rows)

    assert isinstance(described["contract"], int)
    assert len(described["classes"]) == N_CLASSES
    assert (described["size"], described["channels"], described["dtype"]) == ([48, 64], 3, "uint8")
    assert described["label_mode"] == "exclusive"
    assert {name: split["samples"] for name, split in described["splits"].items()} == counts
    assert {name: split["images"] for name, split in described["splits"].items()} == {
        "train": TRAIN,
        "val": VAL,
        "test": TEST,
    }
    for form in ("webdataset", "parquet", "folder"):
        indexes = [file for file in described["indexes"] if file["path"].startswith(f"{form}/")]
        listed = {file["path"]: file for file in (*described["formats"][form], *indexes)}
        files = [path for path in (dataset.root / form).rglob("*") if path.is_file()]
        there = {str(path.relative_to(dataset.root)): path for path in files}
        assert listed.keys() == there.keys()
        for name, path in there.items():
            assert listed[name]["bytes"] == path.stat().st_size
            assert listed[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert described["config_digest"] == dataset.run["config_digest"]


def test_files_of_the_folder_are_the_tar_members(dataset: Dataset) -> None:
    """Nothing is mixed twice: all formats hold the same bytes."""
    folder = dataset.root / "folder"
    for sample in dataset.samples:
        key = sample.row["key"]
        found = {
            "image.png": (folder / "images" / f"{key}.png").read_bytes(),
            "mask.png": (folder / "masks" / f"{key}.png").read_bytes(),
            "soft.npz": (folder / "soft" / f"{key}.npz").read_bytes(),
        }
        assert found == {name: sample.members[name] for name in found}


def test_datalist_names_every_sample_once_in_the_order_of_the_shards(dataset: Dataset) -> None:
    """Decathlon readers take training, validation and test from it, with paths relative to the list."""
    listed = json.loads((dataset.root / "folder" / "dataset.json").read_text())
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        rows = [row for row in dataset.rows if row["split"] == split]
        keys = [row["key"] for row in sorted(rows, key=lambda row: (row["shard"], row["index"]))]
        assert listed[name] == [
            {"image": f"images/{key}.png", "label": f"masks/{key}.png", "soft": f"soft/{key}.npz"} for key in keys
        ]
    assert (listed["numTraining"], listed["numTest"]) == (len(listed["training"]), TEST)
    assert list(listed["labels"]) == ["0", "1", "2"]
    assert listed["labels"]["0"] == "background"


def test_index_of_a_split_tells_place_count_and_checksum_of_its_tar_files(dataset: Dataset) -> None:
    """Readers with random access (wids) know from it which file holds the n-th sample."""
    counts = Counter(row["shard"] for row in dataset.rows)
    for split in ("train", "val", "test"):
        index = json.loads((dataset.root / "webdataset" / f"{split}-index.json").read_text())
        tars = sorted((dataset.root / "webdataset").glob(f"{split}-*.tar"))
        assert (index["__kind__"], index["wids_version"]) == ("wids-shard-index-v1", 1)
        assert index["shardlist"] == [
            {
                "url": path.name,
                "nsamples": counts[path.stem],
                "md5sum": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
                "filesize": path.stat().st_size,
            }
            for path in tars
        ]


def test_dataset_json_tells_how_many_samples_a_shard_holds(dataset: Dataset) -> None:
    """Trainers set the length of an epoch from it."""
    counts = Counter(row["shard"] for row in dataset.rows)

    for split, described in dataset.described["splits"].items():
        held = [count for shard, count in counts.items() if shard.startswith(f"{split}-")]
        assert described["samples_per_shard"] == [min(held), max(held)]
    for file in (*dataset.described["formats"]["webdataset"], *dataset.described["formats"]["parquet"]):
        split, number = re.findall(r"/(\w+)-0*(\d+)", file["path"])[0]
        assert file["samples"] == counts[f"{split}-{int(number):06d}"]


def test_run_json_tells_how_it_came_about(dataset: Dataset) -> None:
    """Configuration, versions, layers and counts are enough to make the same dataset again."""
    run = dataset.run
    mix = run["config"]["mix"]

    assert (mix["policy"], mix["copies"], mix["select"]) == (dataset.root.name, COPIES, SELECT)
    assert (run["seed"], run["config"]["seed"]) == (11, 11)
    assert run["layers"].keys() == {"images", "superpixels", "saliency"}
    assert all((dataset.cache / f"{name}.zarr").is_dir() for name in run["layers"].values())
    assert {"hsmix-gen", "numpy", "scikit-image", "zarr"} <= run["versions"].keys()
    assert run["samples"] == Counter(row["split"] for row in dataset.rows)
    assert run["modes"] == Counter(row["mode"] for row in dataset.rows if row["split"] == "train")
    assert (run["sources"], run["refused"]["total"]) == (TRAIN + VAL + TEST, 0)
    assert all(run["seconds"][stage] >= 0 for stage in ("images", "superpixels", "saliency", "mix"))


def test_refusals_are_listed_even_when_there_are_none(dataset: Dataset) -> None:
    """A program that reads refused.csv needs no special case."""
    with (dataset.root / "refused.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["id", "path", "stage", "reason"]]


def test_card_and_preview_are_there(dataset: Dataset) -> None:
    """The card opens with the header that hubs read, names every split, and shows the contact sheet."""
    card = (dataset.root / "README.md").read_text()
    with Pillow.open(dataset.root / "preview.png") as preview:
        preview.load()

    assert card.startswith("---\n")
    assert "\n---\n" in card[4:]
    assert "![preview](preview.png)" in card
    for name, split in dataset.described["splits"].items():
        assert f"| {name} | {split['images']} | {split['samples']} | {split['shards']} |" in card
    assert preview.format == "PNG"


def test_nothing_else_lies_in_the_output(dataset: Dataset) -> None:
    """A file that the contract does not name is debris, or a promise nobody made."""
    assert {path.name for path in dataset.root.iterdir()} == {
        *("dataset.json", "manifest.parquet", "run.json", "refused.csv", "README.md", "preview.png"),
        *("webdataset", "parquet", "folder", ".hsmix"),
    }
