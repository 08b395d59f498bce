"""What an output is bound to is read from the disk once in a run, and again after it was bound anew."""

import shutil
from pathlib import Path

from hsmix_gen.pipeline.dataset.output_folder import Output
from hsmix_gen.pipeline.dataset.run_history import COPIES


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
