"""Patches for codebases of others add lines of ours at one place, and `git apply` takes them."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from hsmix_gen.pipeline.exports import patches
from hsmix_gen.pipeline.exports.patches import Codebase, Edit, patch_text, write_companion, write_patches

CODEBASES = [value for value in vars(patches).values() if isinstance(value, Codebase)]


def test_a_patch_is_taken_by_git_and_adds_behind_its_lines(tmp_path: Path) -> None:
    """Two edits of one file, another file, and a new one: line numbers are those of the file as it was."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("".join(f"line {n}\n" for n in range(1, 6)))
    edits = (
        Edit("a.py", 2, ("one", "two")),
        Edit("a.py", 4, ("three",)),
        Edit("b.py", 5, ("end",)),
        Edit("c/d.py", 0, ("new",)),
    )
    (tmp_path / "own.patch").write_text(patch_text(edits))

    subprocess.run(["git", "apply", "--unidiff-zero", "own.patch"], cwd=tmp_path, check=True)

    assert (tmp_path / "a.py").read_text().split("\n")[:8] == [
        "line 1", "line 2", "one", "two", "line 3", "line 4", "three", "line 5"
    ]  # fmt: skip
    assert (tmp_path / "b.py").read_text().endswith("line 5\nend\n")
    assert (tmp_path / "c/d.py").read_text() == "new\n"


def test_a_codebase_takes_one_patch_once(tmp_path: Path) -> None:
    """Without lines of theirs git cannot see where a patch fits: a second one would put its lines elsewhere."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("trainer.py", "utils.py"):
        (clone / name).write_text("".join(f"line {n}\n" for n in range(1, 100)))
    write_patches(tmp_path, patches.SWIN_UNET)

    def apply(name: str, *more: str) -> bool:
        command = ["git", "apply", "--unidiff-zero", *more, str(tmp_path / f"code/{name}.patch")]
        return subprocess.run(command, cwd=clone, check=False, capture_output=True).returncode == 0

    assert apply("swin-unet-soft")
    soft = (clone / "trainer.py").read_text()
    assert "line 49\n    ce_loss, dice_loss = SoftCrossEntropy(), SoftDice()\nline 50" in soft
    assert not apply("swin-unet-soft")
    assert not apply("swin-unet")
    assert (clone / "trainer.py").read_text() == soft
    assert apply("swin-unet-soft", "-R")
    assert apply("swin-unet")


@pytest.mark.parametrize("codebase", CODEBASES, ids=lambda codebase: codebase.repository.rpartition("/")[2])
def test_patches_only_add_lines(codebase: Codebase) -> None:
    """None of the code of others is in them."""
    assert len(codebase.commit) == 40
    for edits in codebase.patches.values():
        lines = patch_text(edits).splitlines()
        assert [line for line in lines if line[0] in " -" and not line.startswith("---")] == []
        assert sum(line[0] == "+" and not line.startswith("+++") for line in lines) == sum(len(e.lines) for e in edits)


def test_every_patch_names_a_module_that_is_written(tmp_path: Path) -> None:
    """What a patch imports lies beside it, and is Python."""
    write_patches(tmp_path, *CODEBASES)
    named = {
        line.split()[1]
        for path in (tmp_path / "code").glob("*.patch")
        for line in path.read_text().replace("+", " ").splitlines()
        if line.strip().startswith("from hsmix")
    }

    assert named == {"hsmix_synapse", "hsmix_unext", "hsmix_udtransnet"}
    for module in (*sorted(named), "hsmix_monai"):
        write_companion(tmp_path, module)
        ast.parse((tmp_path / "code" / f"{module}.py").read_text())
