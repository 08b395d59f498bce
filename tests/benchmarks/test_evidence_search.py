"""The search of settings: drawn by their numbers, ranked on held-out training images alone."""

from dataclasses import asdict

import pyarrow as pa
import pytest
from training import plan, search
from training.results import SCHEMA, Run

from hsmix_gen.pipeline.cli.config_resolution import resolve


def test_a_setting_is_known_by_its_number_and_is_a_configuration() -> None:
    arm, values = search.drawn_setting(4)

    assert (arm, values) == search.drawn_setting(4)
    assert sum(values["mix.probabilities"]) == pytest.approx(1)
    assert len({search.drawn_setting(number)[0] for number in range(search.N_SETTINGS)}) == search.N_SETTINGS
    known = {key: value for key, value in values.items() if key != "mix.selection"}
    assert resolve(options=known).mix.select == values["mix.select"]


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
