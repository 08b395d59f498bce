"""The command line as tests call it, in this process or in one of its own, and options of jobs that take a second."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click.testing

TIMEOUT_S = 240
TINY = (
    *("--size", "48", "64", "--regions", "6", "20", "--variants", "2"),
    *("--saliency", "fine_grained", "--backend", "serial", "--progress", "plain"),
)
"""Options of a job that takes a second: small images, few superpixels, no network, no Ray."""
QUICK = (
    *("--regions", "4", "8", "--variants", "1", "--copies", "1", "--saliency", "fine_grained"),
    *("--backend", "serial", "--progress", "none"),
)
"""Options of a run on a twin that takes less than a second."""


def run_cli(*arguments: object, status: int | None = 0) -> click.testing.Result:
    """Call the command line in this process: ``run_cli("verify", output, status=1)``.

    A traceback of the program is one of the test; it has to end with the status, success unless stated, None for any.
    """
    from hsmix_gen.pipeline.cli.commands import cli

    result = click.testing.CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert status in {None, result.exit_code}, result.output
    return result


def inspected(source: Path, *options: object) -> dict[str, Any]:
    """Return what ``inspect --json`` says of a source."""
    found: dict[str, Any] = json.loads(run_cli("inspect", source, *options, "--json", "--progress", "none").stdout)
    return found


def installed() -> Path:
    """Return the installed command, for what needs a process of its own."""
    path = Path(sys.executable).with_name("hsmix-gen")
    assert path.is_file(), f"{path} is missing; install the package first"
    return path


def run_command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Call the installed command in a process of its own."""
    return subprocess.run(
        [str(installed()), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def error_of(result: click.testing.Result) -> str:
    """Return the one line in which a command that ended with status 1 reports a problem."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1, (result.stdout, result.stderr)
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]
