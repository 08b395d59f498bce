"""The search of settings: drawn by their numbers, ranked on held-out training images alone."""

from collections.abc import Callable
from dataclasses import asdict

import pyarrow as pa
import pytest
from training import arms, plan, search
from training.results import SCHEMA, Run

from hsmix_gen.schemas.checking import checked


def test_a_setting_is_known_by_its_number_and_is_a_configuration() -> None:
    arm, values = search.drawn_setting(4)

    assert (arm, values) == search.drawn_setting(4)
    assert sum(values["mix.probabilities"]) == pytest.approx(1)
    assert len({search.drawn_setting(number)[0] for number in range(search.N_SETTINGS)}) == search.N_SETTINGS
    assert checked(values).mix.select == values["mix.select"]


def test_a_setting_may_choose_what_its_others_make_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are refused that; what is drawn for a selection that was not drawn is left as it is."""
    drawn = [search.drawn_setting(number) for number in range(search.N_SETTINGS)]
    monkeypatch.setattr(arms, "METHODS", {arm.partition("+")[2].partition("@")[0]: values for arm, values in drawn})

    made = [arms.arm_of(arm).config for arm, _ in drawn]

    assert any(config.mix.selection == "connected" and "mix.select" in config.idle_keys() for config in made)
    assert [config.mix.select for config in made] == [values["mix.select"] for _, values in drawn]


def rows(arm: str, on: str, dice: float) -> list[dict[str, object]]:
    runs = [Run(dataset, 40, plan.NETWORK, arm, 9, plan.SIZE, on, 0) for dataset in search.DATASETS]
    return [{**asdict(run), "image": "a", "corruption": "clean", "dice": dice} for run in runs]


def test_settings_are_ranked_without_a_look_at_the_tests() -> None:
    """On the test images the order is the other way round."""
    arms = {"strong+flips": 0.5, "strong+one": 0.6, "strong+two": 0.4}
    table = pa.Table.from_pylist(
        [row for arm, dice in arms.items() for row in rows(arm, "held-out", dice) + rows(arm, "test", 1 - dice)], SCHEMA
    )

    ranked = search.ranking(table, ["strong+two", "strong+one"], 9, range(1))

    assert [arm for arm, _ in ranked] == ["strong+one", "strong+two"]
    assert [gain for _, gain in ranked] == pytest.approx([10, -10], abs=1e-4)


def gathered(rungs: int, gain: Callable[[str, int], float]) -> pa.Table:
    """Return what a search leaves behind that did so many rungs, where settings gain what is given for arm and seed."""
    left = [search.drawn_setting(number)[0] for number in range(search.N_SETTINGS)]
    rows: dict[Run, dict[str, object]] = {}
    for steps, seeds in search.RUNGS[:rungs]:
        for run in search.runs_of(left, steps, seeds):
            dice = 0.5 + (gain(run.arm, run.seed) if "setting" in run.arm else 0.0) / 100
            rows[run] = {**asdict(run), "image": "a", "corruption": "clean", "dice": dice}
        left = sorted(left, key=lambda arm: -gain(arm, 0))[: len(left) // search.KEPT]
    return pa.Table.from_pylist(list(rows.values()), SCHEMA)


def test_what_a_choice_is_worth_is_the_mean_over_all_settings_with_it() -> None:
    """Two points for objects, whatever else is chosen; the second rung is of the twelve best."""

    def gain(arm: str, seed: int) -> float:
        return seed + (2.0 if search.choices_of_arm(arm)["mix.selection"] == "object" else 0.0)

    first, second = search.finished_rungs(gathered(2, gain))
    worth = {value: mean for key, value, mean, *_ in search.by_choice(first[2]) if key == "mix.selection"}

    assert worth == pytest.approx({"bernoulli": 0.5, "connected": 0.5, "object": 2.5}, abs=1e-4)
    assert second[:2] == search.RUNGS[1]
    assert [search.choices_of_arm(arm)["mix.selection"] for arm, _ in second[2]] == ["object"] * 12


def test_a_rung_counts_when_all_of_its_runs_are_there() -> None:
    table = gathered(1, lambda *_: 1.0)

    assert [steps for steps, *_ in search.finished_rungs(table)] == [plan.SHORT]
    assert list(search.finished_rungs(table.slice(1))) == []
