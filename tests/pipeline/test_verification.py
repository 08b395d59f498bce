"""`verify`: what each depth finds, and what it does not look at."""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.verification import verify_output

Cli = Callable[..., click.testing.Result]
Spoil = Callable[[Path], None]

DEPTHS = ("names", "checksums", "samples")
FORMATS = ("--format", "webdataset", "--format", "parquet", "--format", "folder")
TRAIN, COPIES, SHARDS = 6, 2, 3
SAMPLES = TRAIN * COPIES + 2
TAR = "webdataset/train-000001.tar"
TABLE = "parquet/val-00000-of-00001.parquet"
RECORD = ".hsmix/shards/train-000001.json"
MASK = "folder/masks/train-case_00-001.png"


@pytest.fixture(scope="module")
def made(
    make_source: Callable[..., Path], run_cli: Cli, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished dataset in all formats, of which tests take a copy."""
    folder = tmp_path_factory.mktemp("verified")
    source = make_source(folder / "source", train=TRAIN)
    result = run_cli("run", source, folder / "output", *tiny, *FORMATS, "--copies", COPIES, "--shards", SHARDS)
    assert result.exit_code == 0, result.stderr
    return folder / "output"


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy that can be spoiled; the cache is left out, as only samples that are made again need it."""
    return Path(shutil.copytree(made, tmp_path / "output", ignore=shutil.ignore_patterns("cache")))


def found_at(output: Path, depth: str, run_cli: Cli) -> list[str]:
    """Return the problems that a depth finds, after checking that exit status and report agree."""
    result = run_cli("verify", output, "--depth", depth, "--json")
    report = json.loads(result.stdout)
    problems: list[str] = report["problems"]
    assert result.exit_code == bool(problems)
    assert report["sound"] is (not problems)
    return problems


# Editing


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def facts(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def forge(output: Path) -> None:
    """Let all sizes and checksums tell of the files as they lie there, whatever was done to them."""
    dataset = read(output / "dataset.json")
    for file in (*(file for files in dataset["formats"].values() for file in files), *dataset["indexes"]):
        file.update(facts(output / file["path"]))
    write(output / "dataset.json", dataset)
    for path in (output / ".hsmix" / "shards").iterdir():
        record = read(path)
        for file in record["files"]:
            file.update(facts(output / file["path"]))
        write(path, record)
    described = read(output / ".hsmix" / "described.json")
    for file in described:
        file.update(facts(output / file["path"]))
    write(output / ".hsmix" / "described.json", described)


def change_json(output: Path, name: str, change: Callable[[Any], object]) -> None:
    value = read(output / name)
    change(value)
    write(output / name, value)


def rewrite_table(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def forge_manifest(output: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rewrite_table(output / "manifest.parquet", change)
    forge(output)


def forge_tar(output: Path, change: Callable[[list[tuple[str, bytes]]], object]) -> None:
    """Edit the members of a tar file; each sample has four: image, json, mask and soft label."""
    with tarfile.open(output / TAR) as tar:
        members = [(info.name, (tar.extractfile(info) or io.BytesIO()).read()) for info in tar]
    change(members)
    with tarfile.open(output / TAR, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in members:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    forge(output)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# What names finds


def delete_a_tar(output: Path) -> None:
    (output / TAR).unlink()


def delete_a_table(output: Path) -> None:
    (output / TABLE).unlink()


def delete_a_loose_mask(output: Path) -> None:
    (output / MASK).unlink()


def truncate_a_tar(output: Path) -> None:
    data = (output / TAR).read_bytes()
    (output / TAR).write_bytes(data[: len(data) // 2])


def rename_a_tar(output: Path) -> None:
    (output / TAR).rename(output / "webdataset" / "train-000007.tar")


def add_a_tar(output: Path) -> None:
    shutil.copy(output / TAR, output / "webdataset" / "train-000003.tar")


def add_a_loose_file(output: Path) -> None:
    (output / "folder" / "soft" / "stranger.npz").write_bytes(b"")


def drop_a_format(output: Path) -> None:
    change_json(output, "dataset.json", lambda dataset: dataset["formats"].pop("parquet"))
    forge(output)


def lengthen_an_index(output: Path) -> None:
    with (output / "webdataset" / "train-index.json").open("a") as file:
        file.write(" ")


def remove(name: str) -> Spoil:
    def lose(output: Path) -> None:
        (output / name).unlink()

    lose.__name__ = f"lose_{name.rpartition('/')[2]}"
    return lose


def shorten_run_json(output: Path) -> None:
    change_json(output, "run.json", lambda run: run.pop("versions"))


def forget_a_row(output: Path) -> None:
    forge_manifest(output, lambda rows: rows.pop())


def forge_a_checksum_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["files"][0].update(sha256="0" * 64))


def forge_a_size_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["files"][0].update(bytes=7))


def forget_a_sample_in_a_record(output: Path) -> None:
    change_json(output, RECORD, lambda record: record["rows"].pop())


def add_a_file_to_a_record(output: Path) -> None:
    change_json(
        output, RECORD, lambda record: record["files"].append({"path": "parquet/x", "bytes": 1, "sha256": "0" * 64})
    )


def copy_a_record(output: Path) -> None:
    shutil.copy(output / RECORD, output / ".hsmix" / "shards" / "train-000099.json")


def truncate_a_record(output: Path) -> None:
    (output / RECORD).write_text((output / RECORD).read_text()[:200])


def forget_a_description(output: Path) -> None:
    change_json(output, ".hsmix/described.json", lambda files: files.pop(-1))


def describe_an_index_otherwise(output: Path) -> None:
    def forge_index(files: list[dict[str, Any]]) -> None:
        next(file for file in files if file["path"] == "webdataset/val-index.json").update(sha256="0" * 64)

    change_json(output, ".hsmix/described.json", forge_index)


# What checksums finds


def flip_in_a_tar(output: Path) -> None:
    flip(output / TAR)


def flip_in_a_table(output: Path) -> None:
    flip(output / TABLE)


def flip_in_a_loose_mask(output: Path) -> None:
    flip(output / MASK)


def flip_in_an_index(output: Path) -> None:
    flip(output / "webdataset" / "train-index.json")


def flip_in_refused_csv(output: Path) -> None:
    flip(output / "refused.csv")


def first(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    return next(row for row in rows if all(row[name] == value for name, value in values.items()))


def name_a_sample_twice(output: Path) -> None:
    forge_manifest(output, lambda rows: rows[1].update(key=rows[0]["key"]))


def move_a_row_to_another_shard(output: Path) -> None:
    forge_manifest(output, lambda rows: first(rows, shard="train-000001").update(shard="train-000002"))


def name_a_shard_that_is_not_there(output: Path) -> None:
    forge_manifest(output, lambda rows: first(rows, shard="train-000001").update(shard="train-000008"))


def call_a_training_sample_test(output: Path) -> None:
    forge_manifest(output, lambda rows: first(rows, split="train").update(split="test"))


def use_a_validation_parent(output: Path) -> None:
    def use(rows: list[dict[str, Any]]) -> None:
        val = first(rows, split="val")
        mixed = next(row for row in rows if row["split"] == "train" and row["source_b"])
        mixed.update(source_b=val["source_a"], group_b=val["group_a"])

    forge_manifest(output, use)


def share_a_group(output: Path) -> None:
    forge_manifest(output, lambda rows: first(rows, split="train").update(group_a=first(rows, split="val")["group_a"]))


def mix_with_itself(output: Path) -> None:
    def same(rows: list[dict[str, Any]]) -> None:
        mixed = next(row for row in rows if row["source_b"])
        mixed.update(source_b=mixed["source_a"])

    forge_manifest(output, same)


def share_a_picture(output: Path) -> None:
    def share(rows: list[dict[str, Any]]) -> None:
        first(rows, split="val").update(image_sha256=first(rows, split="train")["image_sha256"])

    (stored,) = (output / ".hsmix").glob("sources*.parquet")
    rewrite_table(stored, share)


# What samples finds


def repeat_a_sample(output: Path) -> None:
    forge_tar(output, lambda members: members.extend(members[:4]))


def add_a_stranger(output: Path) -> None:
    forge_tar(
        output,
        lambda members: members.extend([("stranger." + name.partition(".")[2], data) for name, data in members[:4]]),
    )


def lose_a_sample(output: Path) -> None:
    forge_tar(output, lambda members: members.__delitem__(slice(-4, None)))


def lose_a_member(output: Path) -> None:
    forge_tar(output, lambda members: members.pop(1))


def exchange_two_images(output: Path) -> None:
    def exchange(members: list[tuple[str, bytes]]) -> None:
        (one, data_one), (other, data_other) = members[0], members[4]
        members[0], members[4] = (one, data_other), (other, data_one)

    forge_tar(output, exchange)


def change_a_soft_label(output: Path, change: Callable[[Any], object]) -> None:
    def spoil(members: list[tuple[str, bytes]]) -> None:
        name, data = members[3]
        with np.load(io.BytesIO(data)) as archive:
            soft = archive["soft"]
        change(soft)
        buffer = io.BytesIO()
        np.savez(buffer, soft=soft)
        members[3] = (name, buffer.getvalue())

    forge_tar(output, spoil)


def halve_a_soft_label(output: Path) -> None:
    change_a_soft_label(output, lambda soft: np.divide(soft[:, :4, :4], 2, out=soft[:, :4, :4]))


def let_a_soft_label_be_no_number(output: Path) -> None:
    change_a_soft_label(output, lambda soft: soft[0].fill(np.nan))


def exchange_two_classes(output: Path) -> None:
    def exchange(members: list[tuple[str, bytes]]) -> None:
        name, data = members[2]
        buffer = io.BytesIO()
        Pillow.fromarray(2 - np.asarray(Pillow.open(io.BytesIO(data)))).save(buffer, "PNG")
        members[2] = (name, buffer.getvalue())

    forge_tar(output, exchange)


def write_a_mask_that_is_no_picture(output: Path) -> None:
    forge_tar(output, lambda members: members.__setitem__(2, (members[2][0], b"not a picture")))


def write_a_tar_that_is_none(output: Path) -> None:
    (output / TAR).write_bytes(b"not a tar file" * 1000)
    forge(output)


def write_a_table_that_is_none(output: Path) -> None:
    (output / TABLE).write_bytes(b"not a table" * 1000)
    forge(output)


def shift_lambda(output: Path) -> None:
    def shift(rows: list[dict[str, Any]]) -> None:
        first(rows, mode="soft")["lambda_mean"] += 0.01

    forge_manifest(output, shift)


def forge_the_checksum_of_an_image(output: Path) -> None:
    forge_manifest(output, lambda rows: rows[0].update(sha256="0" * 64))


FOUND: dict[str, dict[Spoil, tuple[str, ...]]] = {
    "names": {
        delete_a_tar: (f"{TAR} is missing; run",),
        delete_a_table: (f"{TABLE} is missing",),
        delete_a_loose_mask: (f"{MASK} is missing",),
        truncate_a_tar: (f"{TAR} has a size of", "dataset.json says"),
        rename_a_tar: (f"{TAR} is missing", "webdataset/train-000007.tar is not of this dataset"),
        add_a_tar: ("webdataset/train-000003.tar is not of this dataset, but loaders read it; remove it",),
        add_a_loose_file: ("folder/soft/stranger.npz is not of this dataset",),
        drop_a_format: (f"{TABLE} is not of this dataset", f"{RECORD} tells of parquet/train-00001-of-00003.parquet"),
        lengthen_an_index: ("webdataset/train-index.json has a size of",),
        remove("webdataset/val-index.json"): ("webdataset/val-index.json is missing",),
        remove("README.md"): ("README.md is missing; run",),
        remove("preview.png"): ("preview.png is missing; run",),
        remove("refused.csv"): ("refused.csv is missing",),
        remove("run.json"): ("run.json is missing",),
        shorten_run_json: ("run.json has a size of", ".hsmix/described.json says"),
        forget_a_row: (f"manifest.parquet has {SAMPLES - 1} rows, the splits of dataset.json have {SAMPLES} samples",),
        forge_a_checksum_in_a_record: (f"{RECORD} gives", f"the sha256 {'0' * 64}, dataset.json"),
        forge_a_size_in_a_record: (f"{RECORD} gives", "the bytes 7, dataset.json"),
        forget_a_sample_in_a_record: (f"{RECORD} has 3 samples, dataset.json gives {TAR} 4", "tell of 13 samples"),
        add_a_file_to_a_record: (f"{RECORD} tells of parquet/x, which dataset.json does not list",),
        remove(RECORD): ("14 files of dataset.json are in no record of .hsmix/shards, first folder/images/train-",),
        copy_a_record: (".hsmix/shards/train-000099.json tells of shard train-000001",),
        truncate_a_record: (f"{RECORD} is damaged",),
        remove(".hsmix/described.json"): (".hsmix/described.json is missing or damaged",),
        forget_a_description: (".hsmix/described.json lacks manifest.parquet",),
        describe_an_index_otherwise: ("webdataset/val-index.json is told differently by .hsmix/described.json",),
    },
    "checksums": {
        flip_in_a_tar: (f"{TAR} does not match its checksum",),
        flip_in_a_table: (f"{TABLE} does not match its checksum",),
        flip_in_a_loose_mask: (f"{MASK} does not match its checksum",),
        flip_in_an_index: ("webdataset/train-index.json does not match its checksum",),
        flip_in_refused_csv: ("refused.csv does not match its checksum",),
        name_a_sample_twice: ("manifest.parquet has 2 rows of sample test-case_07",),
        move_a_row_to_another_shard: (
            f"{TAR} has 4 samples, manifest.parquet has 3 rows of it",
            "parquet/train-00002-of-00003.parquet has 4 samples, manifest.parquet has 5 rows of it",
        ),
        name_a_shard_that_is_not_there: ("webdataset has no shard train 8, of which manifest.parquet has 1 rows",),
        call_a_training_sample_test: ("manifest.parquet has 11 train samples, dataset.json says 12",),
        use_a_validation_parent: ("leakage: source", "train and val"),
        share_a_group: ("leakage: group", "train and val"),
        share_a_picture: ("leakage: image content", "train and val"),
        mix_with_itself: ("both parents are case_0",),
    },
    "samples": {
        repeat_a_sample: (f"{TAR}: sample", "occurs twice in webdataset"),
        add_a_stranger: (f"{TAR}: sample stranger is not in the manifest",),
        lose_a_sample: ("webdataset lacks 1 samples of the manifest, first train-",),
        lose_a_member: (f"{TAR}: sample", "has no member json"),
        exchange_two_images: (f"{TAR}: sample", "image does not match size and checksum of the manifest"),
        halve_a_soft_label: (f"{TAR}: sample", "channels of the soft label do not sum to 1"),
        let_a_soft_label_be_no_number: (f"{TAR}: sample", "channels of the soft label do not sum to 1"),
        exchange_two_classes: (f"{TAR}: sample", "mask is not the argmax of the soft label"),
        write_a_mask_that_is_no_picture: (f"{TAR}: sample", "mask cannot be decoded"),
        write_a_tar_that_is_none: (f"{TAR} cannot be read",),
        write_a_table_that_is_none: (f"{TABLE} cannot be read",),
        shift_lambda: ("provenance differs from the manifest",),
        forge_the_checksum_of_an_image: ("image does not match size and checksum of the manifest",),
    },
}
CASES = [
    pytest.param(depth, spoil, told, id=f"{depth}-{spoil.__name__}")
    for depth, spoils in FOUND.items()
    for spoil, told in spoils.items()
]


@pytest.mark.parametrize(("depth", "spoil", "told"), CASES)
def test_each_damage_is_found_at_its_depth_and_deeper(
    output: Path, run_cli: Cli, depth: str, spoil: Spoil, told: tuple[str, ...]
) -> None:
    """A lesser depth does not look at it, or it would be no cheaper; each problem names its file or sample."""
    spoil(output)

    found = {each: "\n".join(found_at(output, each, run_cli)) for each in DEPTHS}

    first = DEPTHS.index(depth)
    assert [each for each in DEPTHS[:first] if found[each]] == [], found
    assert [part for each in DEPTHS[first:] for part in told if part not in found[each]] == [], found


def test_one_damage_is_one_problem(output: Path, run_cli: Cli) -> None:
    """What a file lacks is not told again by everything that would have been in it."""
    flip_in_an_index(output)
    add_a_tar(output)

    assert [problem.split()[0] for problem in found_at(output, "checksums", run_cli)] == [
        "webdataset/train-000003.tar",
        "webdataset/train-index.json",
    ]


# What is told


def test_default_is_the_whole_check_and_tells_what_it_checked(made: Path, run_cli: Cli) -> None:
    """Sound is only worth something with the numbers of what was looked at."""
    text = run_cli("verify", made, "--replay", 4)
    data = run_cli("verify", made, "--replay", 4, "--json")

    report = json.loads(data.stdout)
    assert (text.exit_code, data.exit_code) == (0, 0), text.stdout
    assert f"{made} is sound at depth samples: {SAMPLES} manifest rows, " in text.stdout
    assert (report["sound"], report["problems"], report["depth"]) == (True, [], "samples")
    assert report["checked"] == {
        "manifest rows": SAMPLES,
        "files": 2 * (SHARDS + 1 + 1) + 3 * SAMPLES,
        "indexes": 3 + 1,
        "describing files": 6,
        "records": SHARDS + 1 + 1,
        "checksums": 2 * (SHARDS + 1 + 1) + 3 * SAMPLES + 3 + 1 + 4,
        "parents for leakage": TRAIN + 1 + 1,
        "samples": 3 * SAMPLES,
        "replays": 3 * 4,
    }


@pytest.mark.parametrize(
    ("depth", "left_out", "unread"),
    [
        ("names", "; no shard was opened", {"checksums", "parents for leakage", "samples"}),
        ("checksums", "; no sample was decoded", {"samples"}),
        ("samples", "", set()),
    ],
)
def test_report_names_its_depth_and_what_was_left_out(
    made: Path, run_cli: Cli, depth: str, left_out: str, unread: set[str]
) -> None:
    """Sound means less at a lesser depth; who reads the line alone should know."""
    text = run_cli("verify", made, "--depth", depth)
    report = json.loads(run_cli("verify", made, "--depth", depth, "--json").stdout)

    assert text.exit_code == 0, text.stdout
    assert text.stdout.startswith(f"{made} is sound at depth {depth}: ")
    assert text.stdout.endswith(f" checked{left_out}\n")
    assert report["depth"] == depth
    assert {"checksums", "parents for leakage", "samples"} - report["checked"].keys() == unread


def test_problems_are_told_with_the_depth_that_found_them(output: Path, run_cli: Cli) -> None:
    delete_a_tar(output)

    result = run_cli("verify", output, "--depth", "names")

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0] == f"problem: {TAR} is missing; run the same command again"
    assert lines[1].startswith(f"{output} has 1 problem at depth names; {SAMPLES} manifest rows, ")


@pytest.mark.parametrize("depth", ["names", "checksums"])
def test_samples_made_again_at_a_lesser_depth_are_a_usage_error(run_cli: Cli, tmp_path: Path, depth: str) -> None:
    """Nobody should believe that they were, and the line names the way out before anything is read."""
    result = run_cli("verify", tmp_path / "nowhere", "--depth", depth, "--replay", 3)

    line = result.stderr.splitlines()[-1]
    assert result.exit_code == 2
    assert f"--replay 3 decodes samples, which --depth {depth} does not" in line
    assert "take --depth samples, or leave out --replay" in line
    with pytest.raises(ValueError, match="replays need the depth samples"):
        verify_output(tmp_path, depth=depth, replays=3)  # type: ignore[arg-type]


def test_no_sample_made_again_is_no_usage_error(made: Path, run_cli: Cli) -> None:
    assert run_cli("verify", made, "--depth", "names", "--replay", 0).exit_code == 0


# What is no damage


def test_names_reads_no_content_of_a_shard(output: Path, run_cli: Cli) -> None:
    """Files of nothing but zeros have the right sizes."""
    for path in (path for form in ("webdataset", "parquet", "folder") for path in (output / form).rglob("*")):
        if path.is_file() and path.suffix != ".json":
            size = path.stat().st_size
            with path.open("wb") as file:
                file.truncate(size)

    assert found_at(output, "names", run_cli) == []
    assert len(found_at(output, "checksums", run_cli)) == 2 * (SHARDS + 1 + 1) + 3 * SAMPLES


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("left", ["nothing", "only sources"])
def test_a_copy_without_state_is_sound(output: Path, run_cli: Cli, depth: str, left: str) -> None:
    """The state serves runs; who trains takes the dataset alone."""
    shutil.rmtree(output / ".hsmix" / "shards")
    (output / ".hsmix" / "described.json").unlink()
    if left == "nothing":
        shutil.rmtree(output / ".hsmix")

    assert found_at(output, depth, run_cli) == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_is_for_people_may_be_edited(output: Path, run_cli: Cli, depth: str) -> None:
    """The card is theirs to complete, and `preview` draws the picture anew."""
    (output / "README.md").write_text("our card")
    (output / "preview.png").write_bytes(b"another picture")
    (output / "notes.txt").write_text("not read by loaders")

    assert found_at(output, depth, run_cli) == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_folders_may_lie_on_another_disk(output: Path, run_cli: Cli, tmp_path: Path, depth: str) -> None:
    """Loaders follow links, and so does the check."""
    for number, name in enumerate(("webdataset", "folder/images")):
        (output / name).symlink_to((output / name).rename(tmp_path / f"disk-{number}"))

    assert found_at(output, depth, run_cli) == []


# Folds


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_fold_is_looked_at(made: Path, run_cli: Cli, tmp_path: Path, depth: str) -> None:
    """A problem tells its fold, and what was checked is counted over all."""
    for fold in ("fold-0", "fold-1", "fold-2"):
        shutil.copytree(made, tmp_path / fold, ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "fold-2" / "preview.png").unlink()

    report = json.loads(run_cli("verify", tmp_path, "--depth", depth, "--json").stdout)

    assert report["problems"] == ["fold-2: preview.png is missing; run the same command again"]
    assert report["checked"]["manifest rows"] == 3 * SAMPLES
    assert report["checked"].get("samples", 0) == (3 * 3 * SAMPLES if depth == "samples" else 0)


# Descriptions that cannot be read


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["manifest.parquet", "dataset.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "emptied"])
def test_verify_of_a_damaged_description_is_told_in_one_line(
    output: Path, run_cli: Cli, name: str, damage: str, depth: str
) -> None:
    """Without them nothing can be checked; the line tells which file and what to do."""
    data = (output / name).read_bytes()
    (output / name).unlink()
    if damage != "missing":
        (output / name).write_bytes(data[: len(data) // 2] if damage == "truncated" else b"{}")

    result = run_cli("verify", output, "--depth", depth)

    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert line.startswith("error: ")
    assert name in line
    assert "run" in line


def test_damaged_sources_are_a_problem_and_the_rest_is_checked(output: Path, run_cli: Cli) -> None:
    (stored,) = (output / ".hsmix").glob("sources*.parquet")
    stored.write_bytes(b"not a table")
    flip_in_a_tar(output)

    problems = "\n".join(found_at(output, "checksums", run_cli))

    assert f"{stored} is damaged" in problems
    assert f"{TAR} does not match its checksum" in problems
    assert found_at(output, "names", run_cli) == []


# Replay


def test_verify_replay_finds_a_sample_that_its_provenance_does_not_give(made: Path, run_cli: Cli, output: Path) -> None:
    """A picture exchanged together with its checksums everywhere is still not what the recipe makes."""
    key = ""

    def brighten(members: list[tuple[str, bytes]]) -> None:
        nonlocal key
        name, data = members[0]
        key = name.partition(".")[0]
        buffer = io.BytesIO()
        Pillow.fromarray(255 - np.asarray(Pillow.open(io.BytesIO(data)))).save(buffer, "PNG")
        members[0] = (name, buffer.getvalue())
        picture = {"bytes": len(members[0][1]), "sha256": hashlib.sha256(members[0][1]).hexdigest()}
        rewrite_table(output / "manifest.parquet", lambda rows: first(rows, key=key).update(picture))
        (output / "folder" / "images" / f"{key}.png").write_bytes(members[0][1])
        for path in (output / "parquet").iterdir():
            rewrite_table(
                path, lambda rows: [row["image"].update(bytes=members[0][1]) for row in rows if row["key"] == key]
            )

    forge_tar(output, brighten)
    cache = made / ".hsmix" / "cache"

    fooled = run_cli("verify", output)
    found = run_cli("verify", output, "--replay", SAMPLES, "--cache", cache)

    assert fooled.exit_code == 0, fooled.stdout
    assert found.exit_code == 1
    told = re.findall(rf"problem: (\w+)/\S+: sample {key} differs from what its provenance gives", found.stdout)
    assert sorted(told) == ["folder", "parquet", "webdataset"]


def test_a_parent_that_the_cache_does_not_hold_is_a_problem(made: Path, run_cli: Cli, output: Path) -> None:
    """A forged provenance is found, not stumbled over."""
    forge_manifest(output, lambda rows: first(rows, split="val").update(source_a="nobody"))

    result = run_cli("verify", output, "--replay", SAMPLES, "--cache", made / ".hsmix" / "cache")

    assert result.exit_code == 1
    assert "the unknown source nobody" in result.stdout
