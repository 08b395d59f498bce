"""Errors that a user can mend; the command line prints them as one line and exits with 1.

::

    HsmixError
    ├── ConfigError     an option, a key or a value of the configuration
    ├── SourceError     the input: folders, lists, files
    ├── ModelError      the network, its weights or its layer
    ├── CacheError      the feature cache
    ├── OutputError     the output folder or a dataset in it
    └── ExtraError      an optional part of the installation (in `schemas.extras`)

A wrong call of a function raises ``ValueError``; what cannot happen is an ``assert``.
Each message names the file or field, the rule, the value and the way out.
"""


def one_line(text: str) -> str:
    """Return a text with line breaks and other letters that cannot be seen escaped: names of files may hold them."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class HsmixError(Exception):
    """Something the user can mend went wrong; it is reported in one line."""

    def __init__(self, text: object = "") -> None:
        super().__init__(one_line(str(text)))


class ConfigError(HsmixError):
    """An option, key or value of the configuration is not valid."""


class SourceError(HsmixError):
    """The source cannot be read or understood."""


class ModelError(HsmixError):
    """The network, its weights or its layer cannot be used."""


class CacheError(HsmixError):
    """The feature cache is missing, damaged or belongs to something else."""


class OutputError(HsmixError):
    """The output folder or the dataset in it cannot be used."""
