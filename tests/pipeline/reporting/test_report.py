"""The report of a sound set and of one with planted faults, of a cache, and of two sets side by side."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pyarrow.parquet as pq
import pytest

from hsmix_gen.pipeline.dataset.output_folder import MANIFEST, Output
from hsmix_gen.pipeline.files.tables import manifest_columns, read_table
from hsmix_gen.pipeline.reporting.thresholds import RULES
from hsmix_gen.pipeline.reporting.worst import worst_samples
from tests.command_line import run_cli
from tests.pipeline.reporting.planted import OPTIONS, write_planted

PLANTED = {"torn_groups", "empty_class", "saliency_auc", "object_size", "domains"}
Reports = Callable[[str], tuple[Path, click.testing.Result, dict[str, Any]]]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Make the sound and the planted dataset with their reports, each once."""
    made: dict[str, tuple[Path, click.testing.Result, dict[str, Any]]] = {}

    def make(kind: str) -> tuple[Path, click.testing.Result, dict[str, Any]]:
        if kind not in made:
            root = tmp_path_factory.mktemp(kind)
            source = write_planted(root, sound=kind == "sound")
            regions = ("--regions", "40", "60") if kind == "sound" else ("--regions", "2", "3")
            ran = run_cli("run", source, root / "out", *OPTIONS, *regions, "--saliency-dir", root / "maps")
            run_cli("report", root / "out", "--progress", "none")
            made[kind] = root / "out", ran, json.loads((root / "out" / "report.json").read_text())
        return made[kind]

    return make


def lights(content: dict[str, Any]) -> dict[str, str]:
    return {finding["rule"]: finding["light"] for finding in content["findings"]}


def test_planted_faults_are_named_in_red_with_their_way_out(reports: Reports) -> None:
    """A torn patient, an empty class, a wrong saliency, a too coarse grid and mixed domains, all in one set."""
    _, _, content = reports("planted")
    found = {finding["rule"]: finding for finding in content["findings"]}

    assert {rule for rule in PLANTED if found[rule]["light"] == "red"} == PLANTED
    assert "p00" in found["torn_groups"]["text"] and "train and val" in found["torn_groups"]["text"]
    assert "class_2" in found["empty_class"]["text"]
    assert all(found[rule]["way_out"] for rule in PLANTED)
    assert content["verdict"] == "red"


def test_a_sound_set_has_none_of_them(reports: Reports) -> None:
    """The same drawing, split, maps and number of superpixels as they should be."""
    _, _, content = reports("sound")
    found = lights(content)
    assert {rule: found[rule] for rule in PLANTED} == dict.fromkeys(PLANTED, "green")
    assert "red" not in found.values()


def test_every_rule_is_judged_once_and_the_worst_come_first(reports: Reports) -> None:
    order = ["red", "amber", "green", "grey"]
    for kind in ("sound", "planted"):
        findings = reports(kind)[2]["findings"]
        assert sorted(finding["rule"] for finding in findings) == sorted(rule.name for rule in RULES)
        assert [f["light"] for f in findings] == sorted((f["light"] for f in findings), key=order.index)


def test_a_run_ends_with_the_three_most_important_lines(reports: Reports) -> None:
    _, ran, _ = reports("planted")
    last = ran.stdout.splitlines()[-3:]
    assert all(line.startswith("report: red: ") for line in last), last
    assert "torn patients: 1 group that names show is in several splits, such as p00" in last[0]


def test_strict_ends_with_one_on_red_only(reports: Reports, tmp_path: Path) -> None:
    codes = {}
    for kind in ("sound", "planted"):
        root = reports(kind)[0]
        codes[kind] = run_cli(
            "report", root, "--strict", "--to", tmp_path / kind, "--progress", "none", status=None
        ).exit_code
    assert codes == {"sound": 0, "planted": 1}


def test_the_page_is_one_file_that_asks_for_nothing(reports: Reports) -> None:
    root, _, content = reports("planted")
    page = (root / "report.html").read_text()

    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "http://" not in page.replace("http://www.w3.org/", "") and "https://" not in page
    for finding in content["findings"]:
        assert finding["title"] in page
    assert page.count("<svg") >= 8
    assert "currentColor" in page and "#010203" not in page


def test_the_table_holds_every_sample_with_its_measures(reports: Reports) -> None:
    root, _, _ = reports("sound")
    page = (root / "report.html").read_text()
    rows = json.loads(re.search(r'<script type="application/json" id="rows">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]

    assert len(rows["key"]) == 16 * 2 + 4
    assert all(len(rows[name]) == len(rows["key"]) for name in (*rows["heads"], "split", "mode", "a", "b"))
    assert rows["pictures"]
    assert rows["replay"].replace("KEY", rows["key"][0]).startswith(f"hsmix-gen replay {root} ")


def test_worst_samples_can_be_made_again(reports: Reports, tmp_path: Path) -> None:
    _, _, content = reports("sound")
    first = content["worst"]["cut"][0]
    command = first["replay"].split()
    assert command[:2] == ["hsmix-gen", "replay"]
    run_cli(*command[1:-1], tmp_path)
    assert (tmp_path / f"{first['key']}.image.png").is_file()


def test_equal_datasets_have_equal_reports(reports: Reports, tmp_path: Path) -> None:
    root, _, _ = reports("sound")
    run_cli("report", root, "--to", tmp_path, "--progress", "none")
    for name in ("report.html", "report.json"):
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()


def test_a_cache_is_judged_before_anything_is_mixed(reports: Reports, tmp_path: Path) -> None:
    root, _, _ = reports("planted")
    run_cli("report", Output(root).default_cache, "--to", tmp_path, "--progress", "none")
    found = lights(json.loads((tmp_path / "report.json").read_text()))

    assert {rule for rule in PLANTED if found[rule] == "red"} == PLANTED
    assert found["cut_objects"] == found["reuse"] == "grey"
    assert "All samples" not in (tmp_path / "report.html").read_text()


def test_two_sets_side_by_side_say_what_an_option_did(reports: Reports, tmp_path: Path) -> None:
    said = run_cli(
        "report", reports("sound")[0], reports("planted")[0], "--to", tmp_path, "--progress", "none"
    )  # fmt: skip
    assert "changed: superpixels.regions from [40, 60] to [2, 3]" in said.stdout
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["kind"] == "comparison"
    assert [part["kind"] for part in content["reports"]] == ["output", "output"]
    assert any(row["name"] == "Objects against superpixels" for row in content["differences"])
    assert "Side by side" in (tmp_path / "report.html").read_text()


def test_verify_takes_a_report_for_no_part_of_the_dataset(reports: Reports) -> None:
    run_cli("verify", reports("sound")[0], "--depth", "names")


def test_without_its_cache_a_dataset_is_judged_by_its_manifest(reports: Reports, tmp_path: Path) -> None:
    root, _, _ = reports("planted")
    run = json.loads((root / "run.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in root.iterdir():
        if path.name not in ("run.json", ".hsmix"):
            (copy / path.name).symlink_to(path)
    (copy / "run.json").write_text(json.dumps({**run, "cache": "gone"}))
    run_cli("report", copy, "--to", tmp_path, "--progress", "none")
    content = json.loads((tmp_path / "report.json").read_text())
    assert "not measured" in content["notes"][0]
    assert lights(content)["empty_class"] == "red"
    assert lights(content)["object_size"] == "grey"


def test_a_folder_that_is_neither_is_refused_in_one_line(tmp_path: Path) -> None:
    said = run_cli("report", tmp_path, status=1)
    assert said.stderr.startswith(f"error: {tmp_path} holds no finished dataset")


@pytest.mark.parametrize("command", ["report", "verify", "preview"])
def test_a_misspelt_output_is_stated_as_such(tmp_path: Path, command: str) -> None:
    """To finish it would make a dataset where nothing is."""
    said = run_cli(command, tmp_path / "uot", status=1)
    assert said.stderr == (
        f"error: {tmp_path / 'uot'} does not exist; check its name, or make it with hsmix-gen run SOURCE "
        f"{tmp_path / 'uot'}\n"
    )


def test_a_folder_of_several_datasets_is_refused_with_their_names(tmp_path: Path) -> None:
    """The output of --compare is one; another run would mix into it."""
    for name in ("hsmix", "cutmix"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).touch()
    for command in ("report", "verify", "preview"):
        said = run_cli(command, tmp_path, status=1)
        assert said.stderr == (
            f"error: {tmp_path} holds datasets of their own (cutmix, hsmix); name one, for example "
            f"{tmp_path / 'cutmix'}\n"
        ), command


def test_the_worst_of_a_mode_are_chosen_among_its_samples(reports: Reports) -> None:
    """However much worse all samples of the other mode are."""
    columns = manifest_columns(reports("sound")[0] / MANIFEST)
    columns["appearance"] = np.where(columns["mode"] == "hard", 90.0, 10.0)
    for mode in ("hard", "soft"):
        found = {one.measure: one for one in worst_samples(columns, 3, mode)}
        assert set(columns["mode"][list(found["appearance"].numbers)]) == {mode}
        assert len(found["appearance"].numbers) == 3


def test_no_list_of_the_worst_holds_what_is_sound(reports: Reports) -> None:
    """A list of zeros names samples that nothing is wrong with; where all are sound there is no list."""
    columns = manifest_columns(reports("sound")[0] / MANIFEST)
    chosen = np.flatnonzero((columns["mode"] == "hard") & (columns["split"] == "train"))
    columns |= {name: np.zeros(len(columns["key"])) for name in ("cut", "fragments", "fragments_before")}
    columns["objects"] = np.full(len(columns["key"]), 2.0)
    columns["cut"][chosen[0]] = 2
    columns["fragments_before"][chosen[1]] = 5
    columns |= {name: np.ones(len(columns["key"])) for name in ("auc_a", "auc_b")}
    columns["auc_b"][chosen[2]] = 0.9

    found = {one.measure: one for one in worst_samples(columns)}

    assert (found["cut"].title, found["cut"].numbers, found["cut"].values) == (
        "largest share of objects cut", (chosen[0],), (1.0,),
    )  # fmt: skip
    assert "fragments" not in found
    assert (found["auc"].numbers, found["auc"].values) == ((chosen[2],), (0.9,))


def test_a_dataset_of_an_older_version_is_judged(reports: Reports, tmp_path: Path) -> None:
    """The columns and the fields that version 2 of the contract brought are missing."""
    root = reports("sound")[0]
    copy = Path(shutil.copytree(root, tmp_path / "older"))
    table = read_table(root / MANIFEST)
    new = table.column_names[table.column_names.index("method") :]
    pq.write_table(table.drop_columns(new), copy / MANIFEST)
    described = json.loads((root / "dataset.json").read_text())
    kept = {name: value for name, value in described.items() if name not in ("method", "selection", "control")}
    (copy / "dataset.json").write_text(json.dumps({**kept, "contract": 1}))

    run_cli("report", copy, "--to", tmp_path, "--progress", "none")
    found = lights(json.loads((tmp_path / "report.json").read_text()))
    assert (found["leakage"], found["cut_objects"]) == ("green", "grey")


def test_previews_show_the_worst_a_mode_and_named_samples(reports: Reports, tmp_path: Path) -> None:
    root, _, content = reports("sound")
    key = content["worst"]["seam"][0]["key"]
    pictures = []
    for options in (("--worst", 2), ("--mode", "soft", "--rows", 2), ("--key", key)):
        run_cli("preview", root, *options, "--to", tmp_path / "p.png")
        pictures.append((tmp_path / "p.png").read_bytes())
    assert len(set(pictures)) == 3
    run_cli("preview", root, "--key", "none", "--to", tmp_path / "p.png", status=1)
    run_cli("preview", root, "--key", key, "--mode", "soft", status=2)


def test_chosen_samples_do_not_take_the_place_of_the_picture_in_the_card(reports: Reports, tmp_path: Path) -> None:
    root = Path(shutil.copytree(reports("sound")[0], tmp_path / "out"))
    before = (root / "preview.png").read_bytes()

    key, cache = reports("sound")[2]["worst"]["seam"][0]["key"], reports("sound")[0] / ".hsmix" / "cache"
    for options in (("--worst", 1), ("--mode", "soft"), ("--key", key)):
        said = run_cli("preview", root, *options, "--cache", cache)
        assert said.stdout == f"wrote {root / 'preview-chosen.png'}\n"
    assert (root / "preview.png").read_bytes() == before
    run_cli("verify", root)


def test_a_run_says_why_it_has_so_many_shards(reports: Reports) -> None:
    """Whoever chose their number needs no reason, see `test_results_go_to_stdout_and_progress_to_stderr`."""
    _, ran, _ = reports("sound")
    why = "; train has 32 or more if samples suffice, for as many readers; --shards N for another number"
    assert f"\nshards: train 32, val 1{why}\n" in ran.stdout


def test_what_shows_a_dataset_as_it_was_goes_when_that_changes(tmp_path: Path) -> None:
    """Both are files of the program: they keep no folder from being one of a dataset, and are cleared with it."""
    shown = [tmp_path / name for name in ("report.html", "report.json", "preview-chosen.png")]
    for change in (Output(tmp_path).clear, lambda: Output(tmp_path).complete({}, b"")):
        for path in shown:
            path.touch()
        Output(tmp_path).check_own()
        change()
        assert [path for path in shown if path.exists()] == []
