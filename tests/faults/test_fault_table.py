"""The table of faults: every row is stood for by tests that exist, and outcomes are counted as they were."""

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
N_FAULTS = 24

pytest_plugins = ("pytester",)


def functions(path: Path) -> dict[str, set[str]]:
    """Return the tests of a module, each with the rows that its markers name."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found[node.name] = {
                argument.value
                for mark in node.decorator_list
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault"
                for argument in mark.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            }
    return found


def test_every_row_of_the_fault_plan_is_stood_for_by_tests_that_exist() -> None:
    rows = tomllib.loads((HERE / "rows.toml").read_text(encoding="utf-8"))
    marked = {row for path in HERE.glob("test_*.py") for rows in functions(path).values() for row in rows}

    assert list(rows) == [f"F{number}" for number in range(1, N_FAULTS + 1)]
    assert [name for name, row in rows.items() if not row["tests"] and name not in marked] == []
    lost = []
    for test in sorted({test for row in rows.values() for test in row["tests"]}):
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file() or (name and name not in functions(ROOT / path)):
            lost.append(test)
    assert lost == [], "renamed? tests/faults/rows.toml names them"


def test_printed_table_has_every_row_and_no_failure() -> None:
    """What the documentation shows is a whole run of the plan as it is."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in text.splitlines() if line.startswith("| F")]
    plan = tomllib.loads((HERE / "rows.toml").read_text(encoding="utf-8"))

    assert [(name, fault) for name, fault, _, _ in rows] == [(name, stated["fault"]) for name, stated in plan.items()]
    assert all(verdict == "held" or verdict.startswith("held, ") for _, _, _, verdict in rows)
    assert all(int(tried) > 0 for _, _, tried, _ in rows)


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["alone", "shared"])
def test_table_counts_what_was_tried_and_what_came_of_it(pytester: pytest.Pytester, *, shared: bool) -> None:
    """A failure must not hide behind ten tests that passed, nor in another process."""
    pytester.makeconftest((HERE / "conftest.py").read_text(encoding="utf-8"))
    (pytester.path / "rows.toml").write_text(
        '[F1]\nfault = "one"\ntests = []\n[F2]\nfault = "two"\ntests = []\n[F3]\nfault = "three"\n'
        'tests = ["test_some.py::test_elsewhere"]\n[F4]\nfault = "four"\ntests = []\n'
    )
    pytester.makepyfile(
        test_some="""
        import pytest

        @pytest.mark.fault("F1")
        def test_right(record_property):
            record_property("tried", 7)

        @pytest.mark.fault("F1", "F2")
        def test_wrong():
            assert False

        @pytest.mark.fault("F4")
        def test_skipped():
            pytest.skip("no disk")

        def test_elsewhere():
            pass
        """
    )

    processes = ("-n", "2") if shared else ()
    result = pytester.runpytest("--fault-table", "table.md", "-m", "fault", "-p", "no:cacheprovider", *processes)

    result.assert_outcomes(passed=2, failed=1, skipped=1)
    lines = [[cell.strip() for cell in line.split("|")[1:5]] for line in Path("table.md").read_text().splitlines()]
    assert lines[2:] == [
        ["F1", "one", "8", "1 FAILED"],
        ["F2", "two", "1", "1 FAILED"],
        ["F3", "three", "1", "held"],
        ["F4", "four", "0", "not run here"],
    ]
