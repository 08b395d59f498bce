"""The table of results: resumed run by run, by several processes, whole or absent."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from report import Claim
from training import plan, report
from training.comparisons import against_references, reference_of
from training.results import SCHEMA, Results, Run
from training.runner import Place, work_through

RUN = Run("isic", 40, "unet", "flips", 300, 64, "test", 0)


def rows_of(*dice: float) -> list[dict[str, Any]]:
    common = {"corruption": "clean", "boundary_f": 0.5, "hd95": 3.0, "loss": 0.1, "seconds": 1.0}
    return [
        {"image": f"image-{number}", "dice": value, **common, "device": "cpu", "version": "0"}
        for number, value in enumerate(dice)
    ]


def test_a_run_is_done_once_and_known_to_others(tmp_path: Path) -> None:
    first, second = Results(tmp_path), Results(tmp_path)

    with first.claimed(RUN) as mine:
        with second.claimed(RUN) as theirs:
            assert (mine, theirs) == (True, False)
        first.write(RUN, rows_of(0.5, 0.7))

    assert second.has(RUN)
    with second.claimed(RUN) as again:
        assert not again


def test_a_claim_ends_with_its_run(tmp_path: Path) -> None:
    """A process that died leaves its run to the others."""
    with pytest.raises(KeyboardInterrupt), Results(tmp_path).claimed(RUN):
        raise KeyboardInterrupt

    with Results(tmp_path).claimed(RUN) as mine:
        assert mine


def test_gathered_runs_are_resumed_without_their_files(tmp_path: Path) -> None:
    """What is committed is one file; another machine goes on from there."""
    results, other = Results(tmp_path), replace(RUN, seed=1)
    results.write(RUN, rows_of(0.5))
    results.gather()
    for path in (tmp_path / "runs").iterdir():
        path.unlink()
    results.write(other, rows_of(0.6))

    table = Results(tmp_path).gather()

    assert Results(tmp_path).has(RUN) and table.column("seed").to_pylist() == [0, 1]
    assert Results(tmp_path).gather().equals(table)


def test_a_plan_is_worked_through_once_within_its_time_and_where_there_are_data(tmp_path: Path) -> None:
    """A second process, or a second start, does what is left."""
    (tmp_path / "isic2017").mkdir()
    place = Place(tmp_path, tmp_path / "work", tmp_path / "results")
    runs = [replace(RUN, seed=seed) for seed in range(3)]
    without_data = replace(RUN, dataset="glas")
    done: list[Run] = []

    def do(run: Run, _: Place) -> list[dict[str, Any]]:
        done.append(run)
        return rows_of(0.5)

    assert work_through(runs[:2], place, until=time.monotonic() - 1, do=do) == 0
    assert work_through(runs[:2], place, until=float("inf"), do=do) == 2
    assert work_through([*runs, without_data], place, until=float("inf"), do=do) == 1
    assert done == runs


def test_half_a_file_is_no_run(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(RUN, rows_of(0.5))
    path = next((tmp_path / "runs").iterdir())
    path.rename(path.with_suffix(".part"))

    assert not results.has(RUN) and results.table().num_rows == 0


@pytest.mark.parametrize(
    ("arm", "reference"),
    [
        ("strong+hsmix@10", "strong+hsmix"),
        ("strong+hsmix", "strong+flips"),
        ("strong+flips", "flips"),
        ("hsmix", "flips"),
        ("none", "flips"),
    ],
)
def test_each_arm_is_measured_against_what_it_adds_to(arm: str, reference: str) -> None:
    assert reference_of(arm) == reference


def planted(good: float, bad: float) -> pa.Table:
    arms = {"flips": 0.5, "planted-good": 0.5 + good, "planted-bad+flips": 0.5 + bad}
    rows = [
        {**row, "dataset": "drawn", "n": 10, "network": "unet", "arm": arm, "steps": 9, "size": 48, "on": "test",
         "seed": seed}
        for arm, level in arms.items()
        for seed in (0, 1)
        for row in rows_of(level, level + 0.02)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.mark.parametrize(("good", "bad", "status"), [(0.1, -0.1, 0), (0.0, -0.1, 1), (0.1, 0.1, 1)])
def test_planted_arms_have_to_be_told_apart(good: float, bad: float, status: int) -> None:
    assert report.judge_planted(planted(good, bad)) == status


def test_gains_are_in_points_and_corrected_for_their_number() -> None:
    gains = {one.arm: one for one in against_references(planted(0.1, -0.05))}

    assert gains["planted-good"].gain.mean == pytest.approx(10, abs=1e-3)
    assert gains["planted-bad+flips"].level == pytest.approx(46, abs=1e-3)
    assert gains["planted-good"].holm == pytest.approx(2 * gains["planted-good"].gain.p)


def test_slices_of_a_patient_are_measured_once() -> None:
    """Taken for images of their own, twenty like slices would make an interval too narrow."""
    rows = [
        {**row, "dataset": "hippocampus", "n": 40, "network": "unet", "arm": arm, "steps": 9, "size": 48, "on": "test",
         "seed": seed, "image": f"case_{patient}-z{number:03d}", "dice": level + patient / 10}
        for arm, level in (("flips", 0.5), ("none", 0.4))
        for seed in (0, 1)
        for patient in (0, 1)
        for number, row in enumerate([*rows_of(0.0, 0.0)[:1]] * (1 + 3 * patient))
    ]  # fmt: skip

    (one,) = against_references(pa.Table.from_pylist(rows, SCHEMA))

    assert one.gain.images == 2
    assert one.level == pytest.approx(45)


def test_a_line_over_copies_is_of_the_same_seeds() -> None:
    """Ten seeds of fresh samples beside two of copies would show the seeds, not the copies."""
    levels = {"strong+flips": (0.5, 0.5, 0.5), "strong+cutmix": (0.6, 0.6, 0.9), "strong+cutmix@3": (0.6, 0.5)}
    rows = [
        {**row, "dataset": "isic", "n": 40, "network": plan.NETWORK, "arm": arm, "steps": 900, "size": plan.SIZE,
         "on": "test", "seed": seed}
        for arm, of_seeds in levels.items()
        for seed, level in enumerate(of_seeds)
        for row in rows_of(level, level)
    ]  # fmt: skip

    (line,) = report._over_copies(pa.Table.from_pylist(rows, SCHEMA)).values()

    assert [(place, one.gain.seeds, round(one.gain.mean, 3)) for place, one in line] == [("3", 2, 5), ("fresh", 2, 10)]


def test_tables_stand_between_their_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- gains -->\nold\n<!-- end of gains -->\nb\n", "utf-8")

    report.put(page, "gains", r"new \1")
    report.put(page, "other", "nowhere")

    assert page.read_text("utf-8") == "a\n<!-- gains -->\nnew \\1\n<!-- end of gains -->\nb\n"


def test_a_gain_is_bold_where_zero_is_outside_only() -> None:
    ones = against_references(planted(0.1, 0.0))
    cells = {one.arm: report.interval(one.gain) for one in ones}

    assert cells["planted-good"] == "**+10.00 [+10.00, +10.00]**"
    assert not cells["planted-bad+flips"].startswith("**")
    assert Claim("x", 1, least=0).is_met


def test_the_plan_names_each_run_once_and_begins_with_the_main_question() -> None:
    runs = list(plan.planned())

    assert len(set(runs)) == len(runs)
    assert runs[0] == Run("isic", 40, plan.NETWORK, "strong+flips", plan.SHORT, plan.SIZE, "test", 0)
    assert {run.arm for run in runs[:3]} == {"strong+flips", "strong+cutmix", "strong+hsmix"}


def test_gains_stand_under_the_corruption_they_are_of_and_hours_count_each_run_once() -> None:
    """Ten points under noise alone; blur was not measured."""
    scores = {"clean": (0.5, 0.5), "noise": (0.5, 0.6)}
    rows = [
        {**row, "dataset": "isic", "n": 40, "network": plan.NETWORK, "arm": arm, "steps": 900, "size": plan.SIZE,
         "on": "test", "seed": seed, "corruption": corruption, "seconds": 1800.0}
        for corruption, levels in scores.items()
        for arm, level in zip(("strong+flips", "strong+cutmix"), levels, strict=True)
        for seed in (0, 1)
        for row in rows_of(level, level + 0.02)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, SCHEMA)

    head, _, line = (text.strip("| ").split(" | ") for text in report.corruption_table(table).splitlines())

    found = dict(zip(head, line, strict=True))
    assert found["noise"].startswith("**+10.00")
    assert (found["clean"][:5], found["blur"]) == ("+0.00", "-")
    assert report.hours_of(table) == pytest.approx(2)


def test_each_budget_has_a_table_and_a_figure_and_the_readme_the_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, readme = tmp_path / "evidence.md", tmp_path / "README.md"
    page.write_text("<!-- strong -->\n<!-- end of strong -->\n", "utf-8")
    readme.write_text("<!-- gains -->\n<!-- end of gains -->\n", "utf-8")
    monkeypatch.setattr(report, "README", readme)
    budgets = (plan.SHORT, plan.LONG, plan.LONGEST)
    rows = [
        {**row, "dataset": "isic", "n": 40, "network": plan.NETWORK, "arm": arm, "steps": steps, "size": plan.SIZE,
         "on": "test", "seed": seed}
        for steps in budgets
        for arm, level in (("strong+flips", 0.5), ("strong+cutmix", 0.5 + steps / 30_000))
        for seed in (0, 1)
        for row in rows_of(level, level + 0.02)
    ]  # fmt: skip

    report.write(pa.Table.from_pylist(rows, SCHEMA), tmp_path)

    lines = page.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("After")] == [
        "After 3,000 steps:", "After 900 steps:", "After 300 steps:"
    ]  # fmt: skip
    assert [line.count("+") for line in lines if line.startswith("| strong")] == [4, 4, 4]
    assert [text for text in ("+10.00", "+3.00", "+1.00") if text in readme.read_text("utf-8")] == ["+10.00"]
    assert {path.name for path in (tmp_path / "evidence").glob("forest-*")} == {
        f"forest-{steps}.png" for steps in budgets
    }
