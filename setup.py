"""Every folder with modules is packaged, under ``hsmix_gen``; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = find_packages(include=["pipeline*", "schemas*", "stages*"])

setup(packages=[f"hsmix_gen.{name}" for name in FOLDERS])
