"""The list of methods says of each what it does, how, after whom and of what."""

from pathlib import Path

import pytest

from hsmix_gen.pipeline.cli.listings import method_text, methods_text
from hsmix_gen.schemas.errors import ConfigError
from hsmix_gen.schemas.families import METHODS
from tests.command_line import run_cli


def test_the_command_lists_all_methods_or_shows_one() -> None:
    listed = run_cli("methods").stdout

    assert [line.partition(":")[0] for line in listed.splitlines() if line and line[0] != " "] == list(METHODS.names)
    assert run_cli("methods", "carvemix").stdout.rstrip("\n") in listed
    assert listed == methods_text() + "\n"


def test_a_method_comes_with_formula_paper_modes_and_needs() -> None:
    text = method_text("hsmix")

    assert "modes: hard, soft" in text
    assert "needs: hard: images, masks, superpixels; soft: images, masks, superpixels, saliency" in text
    assert "options: mix.selection, mix.select, mix.grown_area, mix.small_object_guard, " in text
    assert all(word in text for word in ("formula: ", "paper: Sun, Dornaika, Barrena", "arXiv:2511.17614"))
    assert "needs: images, masks\n" in method_text("cutmix")


def test_an_unknown_method_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="got fmx; did you mean fmix"):
        method_text("fmx")
    run_cli("methods", "fmx", status=1)


def test_the_manual_shows_the_list_with_a_picture_of_each() -> None:
    root = Path(__file__).parents[3]
    manual = (root / "docs" / "methods.md").read_text(encoding="utf-8")

    for name in METHODS.names:
        assert method_text(name) in manual
        assert f"(pictures/methods/{name}.png)" in manual
        assert (root / "docs" / "pictures" / "methods" / f"{name}.png").is_file()
