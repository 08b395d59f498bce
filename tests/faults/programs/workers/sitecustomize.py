"""Python loads this when a process starts; workers of Ray that find an order in their environment carry it out."""

import importlib.util
import json
import os
import sys
from pathlib import Path

KILL, VERSIONS = "HSMIX_TEST_KILL_WORKERS", "HSMIX_TEST_VERSIONS"

if {KILL, VERSIONS} & os.environ.keys() and any(Path(given).name == "default_worker.py" for given in sys.orig_argv):
    spec = importlib.util.spec_from_file_location("faulty_driver", Path(__file__).parents[1] / "driver.py")
    assert spec is not None and spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    if KILL in os.environ:
        driver.kill_worker_once(os.environ[KILL])
    if VERSIONS in os.environ:
        driver.set_versions(json.loads(os.environ[VERSIONS]))
