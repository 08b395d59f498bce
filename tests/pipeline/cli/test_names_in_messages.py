"""Messages name what users type: a key that has an option comes with it, as the schema states it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from hsmix_gen.schemas.checking import checked
from hsmix_gen.schemas.config import fields, named_key
from hsmix_gen.schemas.errors import ConfigError, HsmixError
from hsmix_gen.schemas.options import flag_of

ROOT = Path(__file__).parents[3]
ERRORS = {kind.__name__ for kind in HsmixError.__subclasses__()}
FLAGS = {key: flag_of(key, field) for key, field, _ in fields() if flag_of(key, field)}
NAMES = {name.removeprefix("--").replace("-", "_") for name in FLAGS.values()} | {key.split(".")[-1] for key in FLAGS}


def messages(path: Path) -> Iterator[str]:
    """Yield the fixed text of each message of a module: of errors that users mend, and of faults of values."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            text = node.args[0]
        elif isinstance(node, ast.Yield) and path.name == "config.py":
            text = node.value
        if isinstance(text, ast.JoinedStr | ast.Constant):
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)


def test_what_has_an_option_is_named_by_it() -> None:
    """Who typed ``--copies 0`` looks for no key ``mix.copies``."""
    wrong = []
    for path in (path for room in ("schemas", "stages", "pipeline") for path in (ROOT / room).rglob("*.py")):
        for text in messages(path):
            begins = re.match(r"([a-z_]+) must ", text)
            keys = [key for key in FLAGS if "." in key and re.search(rf"(?<!-o ){re.escape(key)}\b", text)]
            names = [name for name in NAMES if "_" in name and re.search(rf"(?<![\w.]){name}\b", text)]
            if keys or names or (begins and begins[1] in NAMES):
                wrong.append(f"{path.relative_to(ROOT)}: {text}")
    assert wrong == []


def test_values_that_the_schema_refuses_are_named_by_key_and_option() -> None:
    for flat, stated in (
        ({"mix.copies": 0}, "mix.copies (--copies): input should be greater than 0, got 0"),
        ({"superpixels.folder": 3}, "superpixels.folder (--regions-dir): "),
        ({"mix.area": "all"}, "mix.area must be one of "),
        ({"saliency.backend": "gradcamm"}, "saliency.backend (--saliency) must be one of "),
    ):
        try:
            checked(flat)
        except ConfigError as error:
            assert str(error).startswith(stated), error
        else:
            raise AssertionError(flat)


def test_every_key_is_named_with_the_option_of_the_command_line() -> None:
    assert named_key("superpixels.method") == "superpixels.method (--superpixels)"
    assert named_key("seed") == "seed (--seed)"
    assert named_key("run.timeout_s") == "run.timeout_s"
    assert named_key("layer: images") == "layer: images"
