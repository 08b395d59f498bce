"""A configuration to begin with, and one that a run wrote, are both read back."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hsmix_gen.pipeline.cli.config_resolution import resolve
from hsmix_gen.schemas.config import RunConfig, fields
from tests.command_line import error_of, run_cli


def test_init_writes_every_key_with_words_and_default(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    run_cli("init", file)

    text = file.read_text()

    assert resolve(file=file) == RunConfig()
    bare = re.sub(r"^( *)#(?! )", r"\1", text, flags=re.MULTILINE)
    loaded = yaml.safe_load(bare)
    assert RunConfig.model_validate(loaded) == RunConfig()
    plain = " ".join(re.sub(r"^ *#", "", text, flags=re.MULTILINE).split())
    for key, field, _ in fields():
        section, _, name = key.rpartition(".")
        assert name in (loaded[section] if section else loaded)
        assert " ".join(str(field.description).split()) in plain


def test_one_line_without_its_sign_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    run_cli("init", file)

    file.write_text(file.read_text().replace("  #copies: 5", "  copies: 9"))

    assert resolve(file=file).mix.copies == 9


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("copies: 3\n")

    assert "is there already" in error_of(run_cli("init", file, status=1))
    assert file.read_text() == "copies: 3\n"


def test_config_reads_back_what_a_run_wrote(finished: Callable[..., Any]) -> None:
    """Options, -o and named sets win over it, as over a default."""
    written = finished("--copies", 3, "--shards", 2, "--profile", "robust").output / "run.json"
    config = RunConfig.model_validate(json.loads(written.read_text())["config"])

    assert resolve(file=written) == config
    assert config.mix.copies == 3
    assert resolve(file=written, options={"copies": 7}).mix.copies == 7
    control = resolve(file=written, options={"control": "random-lambda"})
    assert (control.mix.weight, control.mix.aggregate) == ("random", "mean")
