"""Errors that a user can mend; the command line prints them as one line and exits with 1.

::

    HsmixError
    ├── ConfigError     an option, a key or a value of the configuration
    ├── SourceError     the input: folders, lists, files
    ├── ModelError      the network, its weights or its layer
    ├── CacheError      the feature cache
    └── OutputError     the output folder or a dataset in it

A wrong call of a function raises ``ValueError``; what cannot happen is an ``assert``.
Each message names the file or field, the rule, the value and the way out.
"""


class HsmixError(Exception):
    """Something the user can mend went wrong."""


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
