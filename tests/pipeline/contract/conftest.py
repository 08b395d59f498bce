"""One finished output for each policy, for all tests of the contract."""

import subprocess
from pathlib import Path

import pytest

from tests.fixture_types import Maker, Options
from tests.pipeline.contract.outputs import BATCH, COPIES, POLICIES, SELECT, TEST, TRAIN, VAL, Dataset


@pytest.fixture(scope="session")
def source(make_source: Maker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source at the size of the output, so that nothing is resampled."""
    return make_source(tmp_path_factory.mktemp("contract") / "source", train=TRAIN, val=VAL, test=TEST)


@pytest.fixture(scope="session")
def datasets(
    source: Path, command: Path, tiny: Options, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Dataset]:
    """One run for each policy, made by the installed command in all formats, side by side."""
    folder = tmp_path_factory.mktemp("policies")
    common = [*tiny, "--copies", str(COPIES), "--select", str(SELECT), "-o", f"mix.batch_size={BATCH}"]
    common += ["--format", "webdataset", "--format", "parquet", "--format", "folder"]
    common += ["--shards", "3", "--seed", "11"]
    running = {
        policy: subprocess.Popen(
            [str(command), "run", str(source), str(folder / policy), *common, "--policy", policy],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for policy in POLICIES
    }
    for process in running.values():
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return {policy: Dataset(folder / policy, source) for policy in POLICIES}


@pytest.fixture(params=POLICIES)
def dataset(request: pytest.FixtureRequest, datasets: dict[str, Dataset]) -> Dataset:
    """Each of the datasets."""
    return datasets[request.param]
