"""Where modules come from: the installation alone, never the folder that a command is started in.

A dataset may hold a ``zarr.py``, and a command that is started beside it must not run that. Nothing but what Python
has imported already is imported here, so that this module can be the first.
"""

import os
import site
import sys


def import_from_installation() -> None:
    """Take the current folder off the search path of this process, and of the processes that it starts."""
    sys.path[:] = [entry for entry in sys.path if not _is_current_folder(entry)]
    os.environ["PYTHONSAFEPATH"] = "1"  # else ``python -c`` and ``-m`` put it in front again
    given = os.environ.get("PYTHONPATH")
    if given is not None:
        # An empty entry, as scripts leave it behind, stands for the current folder too.
        kept = [entry for entry in given.split(os.pathsep) if entry and not _is_current_folder(entry)]
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)


def _is_current_folder(entry: str) -> bool:
    if not entry:
        return True
    try:
        if not os.path.samefile(entry, os.curdir):  # noqa: PTH121
            return False
    except OSError:  # an entry that is not there, or a current folder that was removed
        return False
    # What somebody installed into stays, even if a command is started in it.
    ours = os.path.abspath(f"{__file__}/../../../..")  # noqa: PTH100
    installed = {*site.getsitepackages(), site.getusersitepackages(), ours, os.path.dirname(os.__file__)}  # noqa: PTH120
    return os.path.abspath(entry) not in installed  # noqa: PTH100
