"""A Ray of our own is started once more where it did not start, and then given up in one line."""

from typing import Any

import pytest

from hsmix_gen.pipeline.execution.ray_session import start
from hsmix_gen.schemas.errors import OutputError

LATE = "The current node timed out during startup. This could happen because the GCS has become overloaded.\nand more"


class Ray:
    """Does not start some times."""

    def __init__(self, late: int, reason: str = LATE) -> None:
        self.late, self.reason, self.calls = late, reason, 0

    def init(self, **_options: Any) -> None:
        self.calls += 1
        if self.calls <= self.late:
            raise Exception(self.reason)  # noqa: TRY002 - as Ray does


@pytest.fixture(autouse=True)
def _with_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)


def test_a_late_start_is_tried_again() -> None:
    ray = Ray(late=1)

    start(2, init=ray.init)

    assert ray.calls == 2


def test_what_does_not_start_is_stated_in_one_line() -> None:
    with pytest.raises(
        OutputError, match=r"^Ray did not start .*, twice: The current node timed out .* serial$"
    ) as raised:
        start(2, init=Ray(late=9).init)

    assert "\n" not in str(raised.value)


def test_an_error_without_words_has_its_name() -> None:
    with pytest.raises(OutputError, match=r"twice: Exception; see that"):
        start(2, init=Ray(late=9, reason="").init)
