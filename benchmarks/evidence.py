"""Train networks under many augmentations and measure which helps: `run` the plan, then `report`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training import causes, plan, report, runner, search
from training.results import Results, Run
from training.runner import Place

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "training" / "results"
DOCS = HERE.parent / "docs"


def main() -> int:
    """Do what the command line asks for."""
    options = _options()
    status: int = options.do(options)
    return status


def _run(options: argparse.Namespace) -> int:
    if options.processes > 1:
        arguments = [*sys.argv[1:], "--processes", "1"]
        return runner.in_processes(arguments, options.processes)
    until = time.monotonic() + 3600 * options.hours
    runs = list(plan.on_cuda() if options.large else plan.planned())
    if options.encoder_weights:
        runs = plan.with_encoder(runs, options.encoder_weights.stem)
    done = runner.work_through(_wanted(runs, options.only), _place(options), until=until)
    print(f"{done} runs done")
    return 0


def _wanted(runs: list[Run], only: list[str]) -> list[Run]:
    """Return the runs whose names hold one of some texts; all, if there are none."""
    return [run for run in runs if not only or any(text in run.name for text in only)]


def _quick(options: argparse.Namespace) -> int:
    """Run the planted arms from scratch and check that the harness finds both."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(None, Path(folder) / "work", Path(folder) / "results", options.device)
        runner.work_through(plan.planned([plan.QUICK]), place, until=float("inf"))
        return report.judge_planted(Results(place.results).table())


def _report(options: argparse.Namespace) -> int:
    table = Results(options.results).gather()
    report.write(table, options.docs)
    print(f"{table.num_rows} rows; wrote {options.docs / 'evidence.md'} and its figures")
    return 0


def _search(options: argparse.Namespace) -> int:
    search.search(_place(options), until=time.monotonic() + 3600 * options.hours)
    return 0


def _causes(options: argparse.Namespace) -> int:
    arms = dict.fromkeys([*plan.MIXED, *plan.CAUSES])
    parts = []
    for dataset in plan.STAGES[0].datasets:
        rows = list(causes.looks(list(arms), dataset, plan.SIZE, _place(options)))
        parts.append(f"{dataset}:\n\n{report.markdown(['arm', *causes.HEAD], rows)}")
    print("\n\n".join(parts))
    report.put(options.docs / "evidence.md", "samples", "\n\n".join(parts))
    return 0


def _plan(options: argparse.Namespace) -> int:
    results = Results(options.results)
    for stage in plan.STAGES:
        runs = list(plan.planned([stage]))
        print(f"{sum(map(results.has, runs)):5d} of {len(runs):5d}  {stage.question}")
    return 0


def _place(options: argparse.Namespace) -> Place:
    given: dict[str, Any] = {"source": None, "results": RESULTS, "device": "cpu", "encoder_weights": None}
    given |= {name: value for name, value in vars(options).items() if name in (*given, "work")}
    return Place(**given)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, do, words, takes in (
        ("run", _run, "do what is missing of the plan, the most telling runs first", [*_PLACE, *_TIME, *_RUNS]),
        ("quick", _quick, "check in minutes that a planted gain and a planted loss are found", ["--device"]),
        ("search", _search, "search settings on held-out training images", [*_PLACE, *_TIME]),
        ("causes", _causes, "write what the samples of each method are like", [*_PLACE[:2], "--docs"]),
        ("report", _report, "gather the results and write tables and figures", ["--results", "--docs"]),
        ("plan", _plan, "list the questions with the runs that are done", ["--results"]),
    ):
        command = commands.add_parser(name, help=words, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.set_defaults(do=do)
        for option in takes:
            command.add_argument(option, **_OPTIONS[option])
    return parser.parse_args()


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder; give the one above isic2017/")
    return path


_PLACE = ["--source", "--work", "--results", "--device"]
_TIME = ["--hours"]
_RUNS = ["--processes", "--only", "--large", "--encoder-weights"]
_OPTIONS: dict[str, dict[str, Any]] = {
    "--results": {"type": Path, "default": RESULTS, "help": "folder of the results"},
    "--work": {"type": Path, "default": Path("evidence-work"), "help": "folder of features, which may be removed"},
    "--source": {"type": _folder, "help": "folder of the data sets; none: the drawn set alone"},
    "--device": {"default": "cpu", "help": "cpu or cuda"},
    "--hours": {"type": float, "default": 1.0, "help": "no run is started later"},
    "--processes": {"type": int, "default": 1, "help": "processes of one thread each"},
    "--only": {
        "action": "append",
        "default": [],
        "metavar": "TEXT",
        "help": "runs whose names hold it",
    },
    "--large": {"action": "store_true", "help": "the first question for a larger network at 224 pixels, for a GPU"},
    "--encoder-weights": {
        "type": Path,
        "metavar": "FILE",
        "help": "state that encoders of smp start from",
    },
    "--docs": {"type": Path, "default": DOCS, "help": "folder of the manual's pages"},
}


if __name__ == "__main__":
    sys.exit(main())
