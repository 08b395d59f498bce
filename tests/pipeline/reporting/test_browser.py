"""The page in a real browser: no error on its console, filters that work, on a phone too, in light and in dark."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_cli
from tests.pipeline.reporting.large import write_large
from tests.pipeline.reporting.planted import OPTIONS, write_planted

pytestmark = pytest.mark.slow
SAMPLES = 50_000
MOST_S, MOST_MIB = 60, 1024
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    source = write_planted(root, sound=True)
    run_cli("run", source, root / "out", *OPTIONS, "--saliency-dir", root / "maps")
    return root / "out"


@pytest.fixture(scope="module")
def large(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Report on 50,000 samples in a process of its own; return the page, the seconds and the memory that it took.

    The greatest memory of `getrusage` would be that of the process that started it, if it had more.
    """
    root = write_large(dataset, tmp_path_factory.mktemp("large") / "out", SAMPLES)
    program = (
        "import json, re, sys, time; from hsmix_gen.pipeline import report; start = time.process_time();"
        "report(sys.argv[1]); most = re.search('VmHWM: *\\t *([0-9]+)', open('/proc/self/status').read())[1];"
        "print(json.dumps([time.process_time() - start, int(most) / 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True)
    seconds, mib = json.loads(done.stdout)
    return {"page": root / "report.html", "seconds": seconds, "mib": mib}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no browser: install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Any, path: Path, *, width: int = 1200, scheme: str = "light") -> tuple[Any, list[str]]:
    """Return a page of a browser window, and what its console has said so far."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page, said


def shown(page: Any) -> int:
    return int(page.inner_text("#count").split(" of ")[0])


def test_fifty_thousand_samples_take_a_minute_and_a_gigabyte(large: dict[str, Any]) -> None:
    assert large["seconds"] <= MOST_S
    assert large["mib"] <= MOST_MIB
    assert "pictures are left out" not in large["page"].read_text()


def test_filters_sorting_and_pages_work(dataset: Path, browser: Any) -> None:
    run_cli("report", dataset, "--progress", "none")
    page, said = opened(browser, dataset / "report.html")
    every = shown(page)
    page.select_option("[name=mode]", "hard")
    hard = shown(page)
    page.select_option("[name=measure]", "cut")
    page.fill("[name=least]", "1")
    cut = shown(page)
    page.fill("[name=text]", "no such sample")
    none = shown(page)
    page.click("[type=reset]")
    page.wait_for_function(f"document.getElementById('count').textContent.startsWith('{every} of')")
    page.click("#table th:has-text('share of B') button")
    page.click("#table th:has-text('share of B') button")
    column = [float(text) for text in page.locator("#table tbody tr td:nth-child(6)").all_inner_texts()]

    assert every > hard >= cut > 0 == none
    assert column == sorted(column, reverse=True)
    page.click("#worst .sample")
    assert page.inner_text("#copied").startswith("hsmix-gen replay ")
    assert said == []


def test_fifty_thousand_rows_stay_usable(large: dict[str, Any], browser: Any) -> None:
    page, said = opened(browser, large["page"])
    start = time.monotonic()
    page.select_option("[name=mode]", "soft")
    assert 0 < shown(page) < SAMPLES
    page.click("#after")
    page.click("#table th:has-text('looks apart') button")
    assert time.monotonic() - start < 10
    assert page.locator("#table tbody tr").count() == 100
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_any_width_in_light_and_dark(scheme: str, width: int, dataset: Path, browser: Any) -> None:
    if not (dataset / "report.html").is_file():
        run_cli("report", dataset, "--progress", "none")
    page, said = opened(browser, dataset / "report.html", width=width, scheme=scheme)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (sum(int(part) for part in back[4:-1].split(",")) > 384) == (scheme == "light")
    assert ink != back
    assert said == []
