"""One finished output for each policy, for all tests of the contract."""

from pathlib import Path

import pytest

from tests.command_line import TINY, run_cli
from tests.pipeline.contract.outputs import BATCH, COPIES, POLICIES, SELECT, TEST, TRAIN, VAL, Dataset
from tests.small_sources import make_source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source at the size of the output, so that nothing is resampled."""
    return make_source(tmp_path_factory.mktemp("contract") / "source", train=TRAIN, val=VAL, test=TEST)


@pytest.fixture(scope="session")
def datasets(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """One run for each policy, in all formats."""
    folder = tmp_path_factory.mktemp("policies")
    common = [*TINY, "--copies", COPIES, "--select", SELECT]
    common += ["--format", "webdataset", "--format", "parquet", "--format", "folder", "--shards", 3, "--seed", 11]
    for policy in POLICIES:
        batch = ["-o", f"mix.batch_size={BATCH}"] if policy == "per-batch" else []
        run_cli("run", source, folder / policy, *common, "--policy", policy, *batch)
    return {policy: Dataset(folder / policy, source) for policy in POLICIES}


@pytest.fixture(params=POLICIES)
def dataset(request: pytest.FixtureRequest, datasets: dict[str, Dataset]) -> Dataset:
    """Each of the datasets."""
    return datasets[request.param]
