"""README.md is true where a test can know it."""

import re
from pathlib import Path

from hsmix_gen.pipeline.mixing.card import snippets
from hsmix_gen.pipeline.readers.registry import readers
from hsmix_gen.schemas.extras import EXTRAS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_loader_snippets_are_those_of_the_cards() -> None:
    """The card's snippets are executed by test_snippets, that of fresh samples by test_fresh_samples."""
    dataset = {
        "members": ["image.png", "json", "mask.png", "soft.npz"],
        "dtype": "uint8",
        "channels": 3,
        "label_mode": "exclusive",
        "classes": ["background", "foreground"],
        "formats": {"webdataset": [], "parquet": []},
    }

    shown = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

    assert shown[:-1] == list(snippets(dataset).values())
    assert "HsmixFresh" in shown[-1]


def test_the_table_of_layouts_is_what_the_readers_state() -> None:
    """In the order in which they are tried."""
    table = README[README.index("| layout |") :].partition("\n\n")[0].splitlines()[2:]

    rows = [f"| `{one.name}` | {one.reads} | {one.recognised_by} | {one.refuses} |" for one in readers()]

    assert table == rows


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")

    targets = set(re.findall(r"`?make ([a-z-]+)", README))

    assert targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_every_local_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]

    assert links
    assert all((Path(__file__).parents[1] / link).exists() for link in links)


def test_the_table_of_extras_is_complete() -> None:
    rows = re.findall(
        r"^\| (`[a-z0-9`, ]+`) \| .* \| .* \|$", README.partition("## Your own data")[0], flags=re.MULTILINE
    )

    assert {name for row in rows for name in re.findall("[a-z0-9]+", row)} == set(EXTRAS)
