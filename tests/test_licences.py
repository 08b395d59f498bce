"""What a plain installation brings may be used and passed on as the package itself: no copyleft code enters."""

import pytest

from tests.licences import PROJECT, Row, is_permissive, licence_of, rows, table


def test_a_plain_installation_is_permissive() -> None:
    """The closure of all requirements on this machine; `make licences` prints it."""
    listed = rows(PROJECT["dependencies"])

    assert {"torch", "ray", "numpy", "pillow"} <= {row.name for row in listed}
    assert [f"{row.name}: {row.licence}" for row in listed if not row.accepted] == []


@pytest.mark.parametrize("extra", ["coco", "dicom", "s3"])
def test_what_an_extra_brings_is_permissive(extra: str) -> None:
    listed = rows(PROJECT["optional-dependencies"][extra])

    assert [f"{row.name}: {row.licence}" for row in listed if not row.accepted] == []


@pytest.mark.parametrize(
    ("field", "classifier", "licence", "permissive"),
    [
        ("GPL V3.0", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)", "GPL V3.0", False),
        (
            "",
            "License :: OSI Approved :: GNU Affero General Public License v3",
            "GNU Affero General Public License v3",
            False,
        ),
        ("MIT", "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", None, False),
        ("", "License :: OSI Approved :: MIT License", "MIT", True),
        ("Apache License 2.0", "Topic :: Software Development", "Apache-2.0", True),
        ("Copyright 2001\nAll rights reserved", "License :: OSI Approved :: BSD License", "BSD-3-Clause", True),
        ("", "Topic :: Software Development", "unknown", False),
    ],
)
def test_licences_are_read_as_packages_word_them(
    field: str, classifier: str, licence: str | None, permissive: bool
) -> None:
    found = licence_of({"License": field}, [classifier])

    assert found == (licence or classifier.rpartition(" :: ")[2])
    assert is_permissive(found) is permissive


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("MIT AND BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("AGPL-3.0-or-later", False),
        ("MPL-2.0", False),
    ],
)
def test_all_parts_of_one_alternative_have_to_be_permissive(expression: str, permissive: bool) -> None:
    assert is_permissive(expression) is permissive


def test_the_table_marks_what_is_not_accepted() -> None:
    shown = table([Row("a", "1.0", "MIT"), Row("bee", "2", "GPL-3.0-only"), Row("c", "3", "MPL-2.0", "files")])

    assert shown.splitlines() == [
        "a    1.0  MIT",
        "bee  2    GPL-3.0-only  NOT ACCEPTED",
        "c    3    MPL-2.0       files",
    ]
