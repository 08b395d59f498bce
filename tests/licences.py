"""The licences of what an installation brings, from the metadata of what is installed: ``make licences`` prints them.

Only licences that ask for no more than to be named are accepted. What is accepted for another reason stands below.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PERMISSIVE = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib",
}  # fmt: skip
SPOKEN = {
    "2-clause bsd": "BSD-2-Clause", "3-clause bsd": "BSD-3-Clause", "apache": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache license, version 2.0": "Apache-2.0", "apache software": "Apache-2.0",
    "bsd": "BSD-3-Clause", "freebsd": "BSD-2-Clause", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0", "python software foundation": "PSF-2.0",
}  # fmt: skip
"""How packages that do not write SPDX call their licences, in lower case and without the word "license" at the end."""
MPL = "file by file: only changes of its own files would have to be published, and none are changed"
NVIDIA = "NVIDIA's terms; CUDA libraries that torch brings for Linux, none with the build for processors"
REASONS = {"certifi": MPL, "tqdm": MPL}
"""What is accepted though its licence is not in `PERMISSIVE`, and why."""


_WORDS = {True: "", False: "NOT ACCEPTED"}


@dataclass(frozen=True)
class Row:
    """One package of an installation."""

    name: str
    version: str
    licence: str
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it may stand in a plain installation."""
        return bool(self.reason) or is_permissive(self.licence)


def is_permissive(licence: str) -> bool:
    """Return whether one alternative of an SPDX expression, without brackets, has permissive parts only."""
    alternatives = [alternative.split(" AND ") for alternative in licence.split(" OR ")]
    return any(all(part.strip() in PERMISSIVE for part in parts) for parts in alternatives)


def licence_of(metadata: Mapping[str, Any], classifiers: Iterable[str]) -> str:
    """Return the licence as an SPDX expression where that can be known, else as its package words it."""
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    texts = [str(metadata.get("License") or "")]
    texts += [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    # Some packages put the whole text of their licence into the field.
    words = [" ".join(text.split()) for text in texts if text.strip() and "\n" not in text.strip()]
    bare = [re.sub(r"\s+license$", "", text, flags=re.IGNORECASE) for text in words]
    spoken = [SPOKEN.get(text.lower(), text) for text in bare]
    worst = [text for text in spoken if "GPL" in text or "General Public" in text]
    best = [text for text in spoken if is_permissive(text)]
    return next(iter([*worst, *best, *spoken]), "unknown")


def rows(requirements: Iterable[str]) -> list[Row]:
    """Return all that some requirements bring on this machine, sorted by name.

    Raises
    ------
    PackageNotFoundError
        If a package is not installed.
    """
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras} - {extra for known, extra in done if known == name}:
            done.add((name, wanted))
            found[name] = distribution(name)
            waiting += [(Requirement(text), wanted) for text in found[name].requires or ()]
    return [_row(name, found[name]) for name in sorted(found)]


def table(listed: Iterable[Row]) -> str:
    """Return a line for each package."""
    lines = [
        (row.name, row.version, row.licence, row.reason or ("" if row.accepted else "NOT ACCEPTED")) for row in listed
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    padded = ("  ".join(f"{text:<{width}}" for text, width in zip(line, [*widths, 0], strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _row(name: str, found: Distribution) -> Row:
    nvidia = name.startswith(("nvidia-", "cuda-"))
    classifiers = found.metadata.get_all("Classifier") or ()
    licence = licence_of(found.metadata, classifiers)  # type: ignore[arg-type]
    reason = REASONS.get(name, NVIDIA if nvidia and not is_permissive(licence) else "")
    return Row(name, found.version, licence, reason)


if __name__ == "__main__":
    wanted = [*PROJECT["dependencies"], *(r for name in sys.argv[1:] for r in PROJECT["optional-dependencies"][name])]
    try:
        print(table(rows(wanted)))  # noqa: T201
    except PackageNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed; pip install -e '.[{','.join(sys.argv[1:])}]'")
