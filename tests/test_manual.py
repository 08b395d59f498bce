"""README and docs are true where a test can know it: their commands parse, their links lead somewhere, they run."""

import doctest
import importlib
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import yaml

import hsmix_gen.pipeline as public
from hsmix_gen.pipeline.cli.commands import cli
from hsmix_gen.pipeline.mixing.card import snippets
from hsmix_gen.pipeline.readers.registry import readers
from hsmix_gen.schemas.config import fields
from hsmix_gen.schemas.extras import EXTRAS
from tests import manual
from tests.conftest import Finished

ROOT, DOCS = manual.ROOT, manual.DOCS
README = ROOT / "README.md"
GENERATED = {path.relative_to(DOCS).as_posix() for path, _ in manual.pages()}
WRITTEN = [README, *sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).as_posix() not in GENERATED)]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Return language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of the program in a fenced block."""
    for _, block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ ").strip(), comments=True) if "hsmix-gen " in line else []
            if words[:1] == ["hsmix-gen"]:
                yield words[1:]


def test_the_readme_is_read_in_one_go() -> None:
    assert len(text_of(README).splitlines()) <= 120


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    """Names of commands and options, numbers of arguments and kinds of values."""
    for name, *arguments in commands(text_of(page)):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, f"{page.name}: there is no command {name}"
        if "--help" not in arguments:
            command.make_context(name, list(arguments), parent=click.Context(cli, info_name="hsmix-gen"))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(page)):
        if link.startswith("http"):
            continue
        target = (page.parent / link).resolve()
        made = target.is_relative_to(DOCS) and target.relative_to(DOCS).as_posix() in GENERATED
        assert made or target.exists(), f"{page.name} links to {link}"


def test_every_make_target_that_is_named_exists() -> None:
    makefile = text_of(ROOT / "Makefile")
    targets = {name for page in WRITTEN for name in re.findall(r"[`\n]make ([a-z-]+)", text_of(page))}
    assert targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_every_page_is_found_from_the_start() -> None:
    nav = set(re.findall(r": ([\w/-]+\.md)$", text_of(ROOT / "mkdocs.yml"), flags=re.MULTILINE))
    assert nav == {page.relative_to(DOCS).as_posix() for page in WRITTEN if page != README} | GENERATED


def test_the_table_of_layouts_is_what_the_readers_state() -> None:
    """In the order in which they are tried."""
    page = text_of(DOCS / "reference" / "data.md")
    table = page[page.index("| layout |") :].partition("\n\n")[0].splitlines()[2:]
    assert table == [
        f"| `{name}` | {one.READS} | {one.RECOGNISED_BY} | {one.REFUSES} |" for name, one in readers().items()
    ]


def test_the_table_of_extras_is_complete() -> None:
    rows = re.findall(r"^\| (`[a-z0-9`, ]+`) \| .* \| .* \|$", text_of(DOCS / "install.md"), flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall("[a-z0-9]+", row)} == set(EXTRAS)


def test_the_loader_snippets_are_those_of_the_cards() -> None:
    """The card's snippets are executed by test_snippets, that of fresh samples by test_fresh_samples."""
    dataset = {
        "members": ["image.png", "json", "mask.png", "soft.npz"],
        "dtype": "uint8",
        "channels": 3,
        "label_mode": "exclusive",
        "classes": ["background", "foreground"],
        "formats": {"webdataset": [], "parquet": []},
    }
    shown = [block for kind, block in blocks(text_of(DOCS / "howto" / "load.md")) if kind == "python"]
    expected = list(snippets(dataset).values())

    assert shown[: len(expected)] == expected
    assert "HsmixFresh" in shown[-1]


def test_the_snippet_of_the_readme_runs(finished: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder beside a dataset, with a model; in this process, as workers take seconds to start."""
    torch = importlib.import_module("torch")
    (snippet,) = [block for kind, block in blocks(text_of(README)) if kind == "python"]
    monkeypatch.chdir(finished("--copies", 1).output.parent)
    model = torch.nn.Conv2d(3, 3, 1)
    exec(snippet.replace('"out"', '"output"').replace("num_workers=2", "num_workers=0"), {"model": model})  # noqa: S102
    assert model.weight.grad is not None


@pytest.mark.slow
def test_the_readme_shows_what_commands_print(tmp_path: Path) -> None:
    """What it leaves out is marked by three dots; numbers, as of a fitted network, may differ on other machines."""
    runpy.run_path(str(ROOT / "benchmarks" / "synthetic.py"))["write_source"](tmp_path / "photos", 48)
    (block,) = [text for kind, text in blocks(text_of(README)) if kind == "console"]
    for part in block.removeprefix("$ ").split("\n$ "):
        command, _, shown = part.strip().partition("\n")
        said = _call([str(Path(sys.executable).with_name("hsmix-gen")), *shlex.split(command)[1:]], tmp_path).stdout
        want, got = (re.sub(r"\d+(\.\d+)?", "N", text).strip() + "\n" for text in (shown, said))
        assert doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS), f"{command}\n{said}"


def test_the_reference_names_every_command_option_key_and_function() -> None:
    commands_page, keys, functions = manual.cli_page(), manual.configuration_page(), manual.python_page()
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            assert f"## {name}\n" in commands_page
    assert "--compactness" in commands_page and "--strict" in commands_page
    assert all(f"| `{key}` |" in keys for key, _, _ in fields())
    assert all(f"## {name}\n" in functions for name in public.__all__)


def test_the_citation_file_names_the_method_and_the_version() -> None:
    cited = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert f'version = "{cited["version"]}"' in text_of(ROOT / "pyproject.toml")
    assert cited["preferred-citation"]["doi"] in text_of(README)


def test_the_notebook_is_code_and_words_without_old_results() -> None:
    cells = json.loads(text_of(DOCS / "demo.ipynb"))["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    _run_page(DOCS / "tutorial.md", tmp_path)
    assert (tmp_path / "worst.png").is_file() and (tmp_path / "again" / "report.html").is_file()


@pytest.mark.slow
def test_what_the_page_on_judging_says_runs(tmp_path: Path) -> None:
    _run_page(DOCS / "tutorial.md", tmp_path, only="console", until="## 3.")
    _run_page(DOCS / "howto" / "judge.md", tmp_path, may_fail="--strict")
    assert (tmp_path / "compared" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"display": lambda _: None}
    for cell in json.loads(text_of(DOCS / "demo.ipynb"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "demo.ipynb", "exec"), namespace)  # noqa: S102 - our own file


@pytest.mark.slow
def test_the_manual_builds_without_a_broken_link(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    manual.write()
    shutil.copytree(DOCS, tmp_path / "docs", dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", "site"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _run_page(page: Path, folder: Path, *, only: str = "", until: str = "", may_fail: str = "-") -> None:
    """Run the blocks of a page in a folder: lines behind ``$`` as commands, Python each in a process."""
    program = str(Path(sys.executable).with_name("hsmix-gen"))
    text = text_of(page).partition(until)[0] if until else text_of(page)
    for kind, block in blocks(text):
        if only and kind != only:
            continue
        if kind == "console":
            for line in block.splitlines():
                words = shlex.split(line.removeprefix("$ "))
                done = _call([program if word == "hsmix-gen" else word for word in words], folder)
                assert done.returncode == 0 or may_fail in line, f"{line}\n{done.stdout}{done.stderr}"
        elif kind == "python":
            done = _call([sys.executable, "-c", block], folder)
            assert done.returncode == 0, f"{block}\n{done.stderr}"


def _call(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
