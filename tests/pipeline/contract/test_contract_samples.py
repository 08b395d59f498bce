"""What a run promises of its samples: each is computed anew from the published formulas.

Parents are taken from the cache and turned with numpy; no code of the product is imported here.
"""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.pipeline.contract.outputs import (
    BATCH,
    COPIES,
    N_CLASSES,
    SELECT,
    TEST,
    TRAIN,
    VAL,
    Array,
    Dataset,
    Parent,
    Sample,
)

# For lambda there is no draw to read: which superpixels of B entered is searched, 2 ** this is affordable.
MOST_OPEN_REGIONS = 14


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


def test_soft_label_sums_to_one_and_mask_is_its_argmax(dataset: Dataset) -> None:
    """Losses take the soft label as probabilities; consumers of class ids see the most probable class."""
    for sample in dataset.samples:
        soft = sample.soft
        assert (soft.shape, str(soft.dtype)) == ((N_CLASSES, 48, 64), "float16")
        assert np.abs(soft.astype(np.float64).sum(axis=0) - 1).max() < 1e-3
        assert (sample.mask == soft.argmax(axis=0)).all()
        assert sample.mask.dtype == np.uint8


def test_hard_sample_takes_whole_superpixels_of_b_and_the_rest_of_a(dataset: Dataset) -> None:
    """Image and labels follow one choice, and the row states its area and the number of regions."""
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
    """Mode none keeps the picture; there is no B, no region, no lambda to state."""
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
