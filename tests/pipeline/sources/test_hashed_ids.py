"""Where ids are hashes, no name of a patient is in anything that a dataset holds; the map is written apart."""

import csv
import json
import stat
from pathlib import Path

import pytest
from PIL import Image as Pillow

from hsmix_gen.pipeline.sources.hashed_ids import hash_of, hidden_items, hidden_refusals, read_key
from hsmix_gen.schemas.config import SourceConfig
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.records import Refusal, SourceItem, picture
from tests.command_line import TINY, run_cli
from tests.small_sources import make_source

ITEM = SourceItem("Doe-1", picture("/data/Doe/1.png"), picture("/data/Doe/1_mask.png"), "Doe", "train")


def test_a_hash_is_the_same_everywhere_and_another_for_each_kind_and_key() -> None:
    one = hash_of("Doe-1", "source", b"")

    assert one == hash_of("Doe-1", "source", b"")
    assert one.startswith("s")
    assert len(one) == 13
    assert (
        len({one, hash_of("Doe-1", "group", b""), hash_of("Doe-1", "source", b"k"), hash_of("Doe-2", "source", b"")})
        == 4
    )


def test_an_item_keeps_its_files_and_states_hashes() -> None:
    (hidden,) = hidden_items([ITEM], b"")

    assert (hidden.image, hidden.split) == (ITEM.image, "train")
    assert hidden.group == hash_of("Doe", "group", b"")
    stated = hidden.without_hidden("/data/Doe/1.png is torn; see 1_mask.png of Doe-1 and Doe")
    assert stated == f"{hidden.id} is torn; see {hidden.id} of {hidden.id} and {hidden.id}"


def test_an_item_with_names_states_them() -> None:
    assert ITEM.without_hidden("/data/Doe/1.png is torn") == "/data/Doe/1.png is torn"


def test_a_refusal_keeps_its_rule_and_loses_its_names() -> None:
    refusal = Refusal("Doe-2", "/data/Doe/2.png", "discover", "image has no mask; name it like 2.png of Doe-2")

    (hidden,) = hidden_refusals([refusal], b"")

    assert hidden.path == hidden.id == hash_of("Doe-2", "source", b"")
    assert hidden.reason == f"image has no mask; name it like {hidden.id} of {hidden.id}"


def test_a_key_is_read_and_an_empty_one_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")

    assert read_key(SourceConfig(id_key=str(key))) == read_key(SourceConfig(id_key=str(key))) != b""
    assert read_key(SourceConfig()) == b""
    key.write_text(" \n")
    with pytest.raises(ConfigError, match="is empty; put a secret"):
        read_key(SourceConfig(id_key=str(key)))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(SourceConfig(id_key=str(tmp_path / "none")))


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A source whose files carry the name of a patient; one image is torn, one has no mask."""
    source = make_source(tmp_path / "source", splits=False)
    for path in sorted(source.rglob("case_*.png")):
        path.rename(path.with_name(path.name.replace("case", "Erika_Mustermann")))
    (source / "images" / "Erika_Mustermann_00.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    Pillow.new("RGB", (64, 48)).save(source / "images" / "Erika_Mustermann_99.png")
    return source


def test_no_name_is_in_the_dataset_and_the_map_undoes_the_hashes(named: Path, tmp_path: Path) -> None:
    output, id_map, cache = tmp_path / "output", tmp_path / "map.csv", tmp_path / "cache"
    options = ("--ids", "hashed", "--id-map", id_map, "--cache", cache, "--copies", 2, "--split", "0.5/0.25/0.25")

    result = run_cli("run", named, output, *TINY, *options, "--format", "webdataset", "--format", "parquet")

    assert "Mustermann" not in result.stdout + result.stderr
    for path in output.rglob("*"):
        assert "Mustermann" not in path.name
        if path.is_file():
            assert b"Mustermann" not in path.read_bytes(), path
    with (output / "refused.csv").open(newline="") as file:
        refused = {row["id"] for row in csv.DictReader(file)}
    with id_map.open(newline="") as file:
        names = {row["hash"]: row["id"] for row in csv.DictReader(file)}
    assert {names[one] for one in refused} == {"Erika_Mustermann_00", "Erika_Mustermann_99"}
    assert stat.S_IMODE(id_map.stat().st_mode) == 0o600
    run_cli("verify", output, "--replay", 2)


def test_inspect_states_hashes_too(named: Path) -> None:
    result = run_cli("inspect", named, "--ids", "hashed", "--json", "--progress", "none")

    found = json.loads(result.stdout)
    assert len(found["problems"]) == 2
    assert "Mustermann" not in result.stdout
