"""Python loads this when a process starts; workers of Ray that find an order in their environment carry it out."""

import importlib.util
import os
import sys
from pathlib import Path

ORDER = "HSMIX_TEST_KILL_WORKERS"

if ORDER in os.environ and any(Path(argument).name == "default_worker.py" for argument in sys.orig_argv):
    spec = importlib.util.spec_from_file_location("faulty_driver", Path(__file__).parents[1] / "driver.py")
    assert spec is not None and spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    driver.kill_worker_once(os.environ[ORDER])
