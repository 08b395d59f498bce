"""What an output is bound to is read from the disk once in a run, and again after it was bound anew."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import COPIES
from hsmix_gen.pipeline.mixing.output_plan import options_of
from hsmix_gen.schemas.config import RunConfig
from hsmix_gen.schemas.errors import OutputError


def test_bindings_are_read_once(tmp_path: Path) -> None:
    """On a store each reading is a handful of requests; a run asks some eight times."""
    Output(tmp_path).bindings.bind({COPIES: 1}, [])
    bindings = Output(tmp_path).bindings
    before = bindings.read()

    shutil.rmtree(tmp_path / ".hsmix")

    assert [bound.copies for bound in before] == [1]
    assert bindings.read() == before
    assert Output(tmp_path).bindings.read() == []


def test_what_is_bound_anew_is_read_again(tmp_path: Path) -> None:
    bindings = Output(tmp_path).bindings
    assert bindings.read() == []

    bindings.bind({COPIES: 1}, [])
    bindings.bind({COPIES: 2}, [])

    assert [bound.copies for bound in bindings.read()] == [1, 2]


def test_an_output_that_was_cleared_is_bound_to_nothing(tmp_path: Path) -> None:
    output = Output(tmp_path)
    output.bindings.bind({COPIES: 1}, [])
    assert len(output.bindings.read()) == 1

    output.clear()

    assert output.bindings.read() == []


def differing(folder: Path, before: RunConfig, now: RunConfig, *, without: str = "") -> str:
    """Return how a resume with other options is refused; an older output lacks the keys of `without`."""
    bound = {key: value for key, value in options_of(before).items() if key != without}
    Output(folder).bindings.bind(bound, [])
    with pytest.raises(OutputError) as refused:
        Output(folder).bindings.check_options(options_of(now))
    return str(refused.value).partition("begun differently: ")[2].partition("; choose")[0]


@pytest.mark.parametrize(
    ("before", "now", "stated"),
    [
        ({"profile": "tuned"}, {}, "profile (--profile) was tuned, is paper (give --profile tuned again)"),
        ({}, {"preset": "glas"}, "preset (--preset) was None, is glas (leave out --preset glas)"),
        ({"control": "none"}, {}, "control (--control) was none, is None (give --control none again)"),
        (
            {"profile": "tuned", "seed": 3},
            {},
            "profile (--profile) was tuned, is paper (give --profile tuned again); seed (--seed) was 3, is 0",
        ),
        # Another profile that says the same of what differs explains nothing.
        (
            {"profile": "tuned", "seed": 3},
            {"selection": "connected", "control": "hard-only"},
            "seed (--seed) was 3, is 0",
        ),
    ],
)  # fmt: skip
def test_a_name_that_differs_stands_for_its_values(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], stated: str
) -> None:
    assert differing(tmp_path, resolve(options=before), resolve(options=now)) == stated


def test_maps_that_follow_from_how_samples_are_mixed_are_no_difference_of_their_own(tmp_path: Path) -> None:
    """A forgotten --profile tuned was refused with a saliency that nobody had given."""
    tuned, gradcam = resolve(options={"profile": "tuned", "saliency": "none"}), resolve(options={"seed": 3})
    edges, cutmix = resolve(options={"saliency": "fine_grained"}), resolve(options={"method": "cutmix"})
    profile = "profile (--profile) was tuned, is paper (give --profile tuned again)"
    places = (tmp_path / str(number) for number in range(4))

    assert differing(next(places), tuned, gradcam) == f"{profile}; seed (--seed) was 0, is 3"
    assert differing(next(places), tuned, edges) == profile
    assert "saliency" not in differing(next(places), cutmix.model_copy(update={"saliency": tuned.saliency}), edges)
    uniform = resolve(options={"profile": "tuned", "saliency": "uniform", "copies": 3})
    assert "saliency.backend (--saliency) was none, is uniform" in differing(next(places), tuned, uniform)


def test_a_name_that_was_not_kept_is_not_guessed(tmp_path: Path) -> None:
    found = differing(tmp_path, resolve(options={"profile": "robust"}), resolve(), without="profile")

    assert "profile" not in found
    assert "mix.aggregate (--aggregate) was mean, is sum" in found


def test_a_name_alone_is_no_difference(tmp_path: Path) -> None:
    robust = resolve(options={"profile": "robust"})
    Output(tmp_path).bindings.bind(options_of(robust), [])

    Output(tmp_path).bindings.check_options(options_of(robust.model_copy(update={"profile": "paper"})))
