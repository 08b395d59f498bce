"""What a job raises ends a command in one line that names the file, the reason and the way out."""

import errno
from pathlib import Path

import pytest

from hsmix_gen.pipeline.cli.job_call import mended


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/out/report.html"),
            "/data/out/report.html cannot be read or written (Permission denied); check its disk and permissions",
        ),
        (
            OSError(errno.EXDEV, "Invalid cross-device link", "/a\nb", None, "/c"),
            "/a b or /c cannot be read or written (Invalid cross-device link); check its disk and permissions",
        ),
        (OSError("no place\nleft"), "no place left; mend it"),
    ],
)
def test_an_error_of_the_system_is_one_line(error: OSError, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its number nor a line break in a name is shown."""

    def work() -> Path:
        raise error

    with pytest.raises(SystemExit) as ended:
        mended(work)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {line}, then run the same command again\n"
