"""Object stores through fsspec: patience with errors that pass, bounded requests, one line where patience ends."""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from hsmix_gen.schemas.errors import HsmixError
from hsmix_gen.schemas.extras import load

PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}
"""Protocols of addresses, and the package that speaks each."""
ATTEMPTS_VARIABLE = "HSMIX_STORE_ATTEMPTS"
REQUESTS_VARIABLE = "HSMIX_STORE_REQUESTS"
ONE_PUT_BYTES = 2**30
"""Smaller objects travel in one PUT; larger ones in parts, which become visible together as well."""

_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_LONGEST_S = 300
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or the account of the machine",
}
_CREDENTIAL_ERRORS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "TokenRetrievalError", "UnauthorizedSSOTokenError", "DefaultCredentialsError", "RefreshError",
}  # fmt: skip
_CREDENTIAL_CODES = {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
# S3 reports some passing troubles with a status of the 400s.
_PASSING_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
_PASSING_STATUS = {408, 425, 429}
_UNREACHED = {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ProxyConnectionError"}
_TORN = {
    "HTTPClientError", "ResponseParserError", "IncompleteReadError", "ClientPayloadError", "ClientConnectionError",
    "ChecksumError", "TransportError", "FSTimeoutError",
}  # fmt: skip
_LIBRARIES = {"botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google"}
_LOCAL_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG}
_LOOKED_FOR = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)

_One = TypeVar("_One")
_Result = TypeVar("_Result")


class StoreError(HsmixError):
    """An object store refuses, or does not answer."""


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and how long is waited between."""

    attempts: int = 10
    first_s: float = 0.2
    longest_s: float = 20.0
    """Longest first pause, which doubles each time, and where it stops growing. Of a pause a random part of up to one
    half is left out, so that many workers do not come back at once."""

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait after each attempt but the last."""
        for number in range(self.attempts - 1):
            jitter = secrets.randbelow(1000) / 2000
            yield min(self.longest_s, self.first_s * 2.0**number) * (1 - jitter)


def patience() -> Patience:
    """Return the patience with stores, some 50 s unless the environment names another number of attempts."""
    return Patience(attempts=_number(ATTEMPTS_VARIABLE, Patience.attempts))


def requests_at_once() -> int:
    """Return how many requests a process may have in flight."""
    return _number(REQUESTS_VARIABLE, 8)


def filesystem(protocol: str) -> Any:
    """Return the file system of fsspec for a protocol; credentials come from the environment, as its users know it.

    Raises
    ------
    ExtraError
        If its package is not installed.
    """
    load(PACKAGES[protocol], f"{protocol}://")
    import fsspec

    options = _s3_options() if protocol == "s3" else {}
    try:
        system = fsspec.filesystem(protocol, use_listings_cache=False, **options)
    except Exception as error:
        raise _for_people(error, f"{protocol}://") from None
    # Attempts of s3fs around those of botocore would multiply.
    system.retries = 1
    return system


def patiently(call: Callable[[], _Result], address: str, *, how: Patience | None = None) -> _Result:
    """Return what a request returns, made again where its answer was torn on the way.

    Refused connections, overload and errors of the server were waited for already by the library, request by request.

    Parameters
    ----------
    call : callable
        The request; made several times, it has the same effect as once.
    address : str
        Where it goes, for messages.
    how : Patience or None

    Raises
    ------
    StoreError
        If the store refuses, or patience is at its end.
    FileNotFoundError
        And its like, where the answer is clear.
    """
    how = how or patience()
    started = time.monotonic()
    for pause in (*how.pauses(), None):
        try:
            return call()
        except Exception as error:
            passed = time.monotonic() - started
            passing = _passing(error)
            if passing is None:
                raise _for_people(error, address) from None
            if pause is None or passing == "outage" or passed > _LONGEST_S:
                raise StoreError(
                    f"{address} failed {how.attempts} times, over {passed:.0f} s ({_reason(error)}); run the same "
                    f"command again when the store is well, what is finished is kept "
                    f"({ATTEMPTS_VARIABLE} sets the attempts)"
                ) from None
        time.sleep(pause)
    raise AssertionError


def together(call: Callable[[_One], _Result], ones: Iterable[_One]) -> list[_Result]:
    """Return the results of a call for each of some things, in order; a bounded number of calls are made at once."""
    with ThreadPoolExecutor(requests_at_once(), thread_name_prefix="store") as pool:
        # What has not begun when one fails is left.
        return list(pool.map(call, ones))


def endpoint() -> str:
    """Return the endpoint of S3 that the environment names, or nothing."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _s3_options() -> dict[str, Any]:
    config: dict[str, Any] = {
        # Exponential back-off with jitter, up to 20 s, for each request.
        "retries": {"mode": "standard", "total_max_attempts": patience().attempts},
        "max_pool_connections": requests_at_once(),
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "read_timeout": _READ_TIMEOUT_S,
    }
    # Stores other than AWS lack botocore's new checksums; what counts is compared with its sha256 anyway.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if f"AWS_{name}".upper() not in os.environ:
            config[name] = "when_required"
    # A large object is one request at a time too.
    return {"config_kwargs": config, "max_concurrency": 1, "endpoint_url": endpoint() or None}


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not (text.isdigit() and int(text)):
        raise StoreError(f"{variable} must be a whole number from 1, got {text}; set it so, or leave it out")
    return int(text or default)


def _passing(error: Exception) -> Literal["outage", "torn"] | None:
    """Return which trouble passes: the library gave up a request that may succeed later, or an answer broke off."""
    if isinstance(error, (*_LOOKED_FOR, HsmixError)) or _is_local(error) or _lacks_rights(error):
        return None
    code, status = _answer(error)
    if status is not None:
        return "outage" if status >= 500 or status in _PASSING_STATUS or code in _PASSING_CODES else None
    if _kinds(error) & _UNREACHED:
        return "outage"
    return "torn" if _kinds(error) & _TORN or isinstance(error, OSError | TimeoutError) else None


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _for_people(error: Exception, address: str) -> Exception:
    """Return what is raised for an error that does not pass."""
    if isinstance(error, HsmixError) or _is_local(error):
        return error
    if isinstance(error, _LOOKED_FOR):
        return type(error)(error.errno or errno.ENOENT, _reason(error), address)
    if _lacks_rights(error):
        protocol = address.partition("://")[0]
        return StoreError(
            f"{address} is refused ({_reason(error)}); set credentials in the environment ({_CREDENTIALS[protocol]}), "
            "or ask for the right to it"
        )
    if _answer(error)[1] is not None or type(error).__module__.partition(".")[0] in _LIBRARIES:
        reason = _reason(error)
        return StoreError(f"{address} cannot be used ({reason}); check the address, the endpoint and the region")
    return error


def _is_local(error: Exception) -> bool:
    """Return whether an error is one of this machine's disk."""
    return (
        isinstance(error, OSError)
        and _answer(error)[1] is None
        and (error.errno in _LOCAL_TROUBLE or (isinstance(error, PermissionError) and error.filename is not None))
    )


def _lacks_rights(error: Exception) -> bool:
    code, status = _answer(error)
    refused = isinstance(error, PermissionError) or status in (401, 403) or code in _CREDENTIAL_CODES
    return refused or bool(_kinds(error) & _CREDENTIAL_ERRORS)


def _answer(error: BaseException | None) -> tuple[str, int | None]:
    """Return code and HTTP status of what a store answered, if an error or its cause holds an answer."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict) and "ResponseMetadata" in response:
            status = response["ResponseMetadata"].get("HTTPStatusCode")
            code = str(response.get("Error", {}).get("Code", ""))
            return ("" if code == str(status) else code), status
        status = getattr(error, "code", None)
        if type(error).__module__.startswith("gcsfs") and isinstance(status, int):
            return "", status
        error = error.__cause__
    return "", None


def _reason(error: BaseException) -> str:
    """Return kind and text of an error in one line; signed parts of addresses, which libraries repeat, are cut off."""
    code, status = _answer(error)
    if status is not None:
        return f"{status} {code}".strip()
    text = " ".join(str(error).split()).partition("?")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
