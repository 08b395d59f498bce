"""Torn answers are asked for again, refusals reported at once; attempts are counted and end in one line."""

from collections.abc import Callable

import pytest

from hsmix_gen.pipeline.files import object_stores
from hsmix_gen.pipeline.files.object_stores import Patience, StoreError, patiently, together

QUICK = Patience(attempts=4, first_s=0.001, longest_s=0.002)
ADDRESS = "s3://bucket/key"


def answered(status: int, code: str) -> OSError:
    """Return what s3fs raises for an answer of a server: an OSError whose cause holds the answer."""

    class ClientError(Exception):
        response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}  # noqa: RUF012

    error = PermissionError("Forbidden") if status == 403 else OSError(5, "text of the server")
    error.__cause__ = ClientError()
    return error


def failing(*errors: Exception) -> Callable[[], int]:
    """Return a call that raises one error after the other and then returns how often it was made."""
    calls: list[None] = []

    def call() -> int:
        calls.append(None)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return len(calls)

    return call


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "reset"),
        TimeoutError(),
        type("ClientPayloadError", (Exception,), {})("cut"),
        type("ResponseStreamingError", (type("HTTPClientError", (Exception,), {}),), {})("cut"),
    ],
)
def test_a_torn_answer_is_asked_for_again(error: Exception) -> None:
    assert patiently(failing(error, error), ADDRESS, how=QUICK) == 3


@pytest.mark.parametrize(
    "error",
    [
        answered(500, "InternalError"),
        answered(503, "SlowDown"),
        answered(429, "TooManyRequests"),
        answered(400, "RequestTimeout"),
        type("EndpointConnectionError", (Exception,), {})("refused"),
    ],
)
def test_an_outage_that_the_library_waited_for_is_reported_with_the_way_on(error: Exception) -> None:
    call = failing(error)
    with pytest.raises(
        StoreError, match=r"s3://bucket/key failed .* run the same command again when the store is well"
    ):
        patiently(call, ADDRESS, how=QUICK)

    assert call() == 2


def test_an_answer_that_stays_is_reported_at_once() -> None:
    call = failing(answered(400, "InvalidRequest"))
    with pytest.raises(StoreError, match=r"s3://bucket/key cannot be used \(400 InvalidRequest\); check the address"):
        patiently(call, ADDRESS, how=QUICK)

    assert call() == 2


@pytest.mark.parametrize("error", [answered(403, "AccessDenied"), answered(400, "ExpiredToken")])
def test_a_refusal_names_where_credentials_come_from(error: Exception) -> None:
    with pytest.raises(StoreError, match=r"is refused .* set credentials in the environment \(AWS_ACCESS_KEY_ID and"):
        patiently(failing(error), ADDRESS, how=QUICK)


def test_what_is_not_there_is_an_answer() -> None:
    with pytest.raises(FileNotFoundError) as missing:
        patiently(failing(FileNotFoundError("gone")), ADDRESS, how=QUICK)

    assert missing.value.filename == ADDRESS


def test_a_full_disk_of_this_machine_is_reported_as_it_is() -> None:
    full = OSError(28, "No space left on device", "/tmp/x")  # noqa: S108 - nothing is written

    with pytest.raises(OSError, match="No space left on device"):
        patiently(failing(full), ADDRESS, how=QUICK)


def test_an_error_of_the_program_is_not_hidden() -> None:
    with pytest.raises(TypeError, match="mistake"):
        patiently(failing(TypeError("mistake")), ADDRESS, how=QUICK)


def test_patience_ends_in_one_line_with_the_way_on() -> None:
    call = failing(*[ConnectionResetError(104, "reset by peer")] * 4)
    with pytest.raises(
        StoreError, match=r"failed 4 times, over \d+ s \(ConnectionResetError.*\); run the same command"
    ):
        patiently(call, ADDRESS, how=QUICK)

    assert call() == 5


def test_pauses_double_up_to_a_bound_with_a_random_part() -> None:
    how = Patience(attempts=6, first_s=1.0, longest_s=4.0)
    seen = [list(how.pauses()) for _ in range(50)]

    assert {len(pauses) for pauses in seen} == {5}
    for pauses in seen:
        for pause, longest in zip(pauses, (1, 2, 4, 4, 4), strict=True):
            assert longest / 2 < pause <= longest
    assert len({pauses[2] for pauses in seen}) > 10


def test_the_environment_sets_attempts_and_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", "3")
    monkeypatch.setenv("HSMIX_STORE_REQUESTS", "2")

    assert object_stores.patience().attempts == 3
    assert object_stores.requests_at_once() == 2


@pytest.mark.parametrize("text", ["0", "many", "-1", "1.5"])
def test_a_number_in_the_environment_that_is_none_is_reported(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HSMIX_STORE_ATTEMPTS", text)

    with pytest.raises(StoreError, match="HSMIX_STORE_ATTEMPTS must be a whole number from 1, got"):
        object_stores.patience()


def test_results_of_calls_at_once_come_in_order() -> None:
    assert list(together(lambda number: number * number, range(30))) == [number * number for number in range(30)]


def test_an_error_of_one_of_several_calls_is_raised() -> None:
    def call(number: int) -> int:
        if number == 2:
            raise StoreError("stated")
        return number

    with pytest.raises(StoreError, match="stated"):
        list(together(call, range(5)))
