"""Run a local chain (the anvil binary itself) as a child that never outlives this process; for forks, demo and tests.

Lifetime: on Linux the kernel kills the child when the *thread* that started it ends (``PR_SET_PDEATHSIG``). The thread
used here does nothing but wait for the child, so it ends exactly when the child or this whole process does, even by
``kill -9``. Elsewhere ``stop`` and the exit handler are what ends it.
"""

from __future__ import annotations

import atexit
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import urlsplit

from keeper.chain.anvil_binary import devnet_home, find_anvil
from keeper.errors import ConfigError, RpcRejected, RpcUnavailable

__all__ = ["LocalNode", "devnet_home", "find_anvil"]

_HOST: Final = "127.0.0.1"

#: Seconds a node may take until it answers; a fork asks its origin for a block first.
_START_SECONDS: Final = 60.0

#: Seconds between asking to stop and killing.
_STOP_SECONDS: Final = 5.0

#: Starts tried when another process takes the chosen port.
_ATTEMPTS: Final = 5

#: Scratch folders are named after this and the process that made them.
_SCRATCH: Final = "keeper-anvil-"

#: Arms the parent-death signal, then becomes the node. Run by a fresh interpreter because code between fork and exec
#: (``preexec_fn``) can deadlock in a process with threads. 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
_TRAMPOLINE: Final = """\
import os, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"Error: {sys.argv[2]}: {error.strerror}")
"""


class _Child:
    """A process that dies with us, its output in an unnamed file."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by ``stop``
        self._process: subprocess.Popen[bytes] | None = None
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(command, environment, started), name="anvil-wait", daemon=True
        )
        self._thread.start()
        started.wait()

    def _run(self, command: Sequence[str], environment: dict[str, str], started: threading.Event) -> None:
        trampoline = [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, str(os.getpid()), *command]
        try:
            # A group of its own: Ctrl-C is for us, who still want to ask it things before it ends.
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                trampoline,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                env=environment,
                process_group=0,
            )
        finally:
            started.set()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Process id of the node: the trampoline execs, so it keeps its id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def last_words(self) -> str:
        """First line of what it printed, without its "Error:"."""
        self.output.seek(0)
        text = self.output.read(4000).decode(errors="replace").strip()
        return text.splitlines()[0].removeprefix("Error: ") if text else "it said nothing"

    def stop(self) -> None:
        """End it: politely, then not."""
        process = self._process
        if process is not None and self.running:
            process.terminate()
            self._thread.join(_STOP_SECONDS)
            if self.running:
                process.kill()
                self._thread.join()
        self.output.close()


class LocalNode:
    """A running anvil on a loopback port. Use as a context manager, or call ``stop``.

    Threads may share one: each keeps its own connection.
    """

    def __init__(self, child: _Child, port: int, scratch: Path) -> None:
        self._child = child
        self._scratch = scratch
        self._connections = threading.local()
        self._ids = itertools.count(1)
        self.port = port
        #: HTTP JSON-RPC address.
        self.url = f"http://{_HOST}:{port}"
        #: Process id of the binary.
        self.pid = child.pid

    @classmethod
    def start(
        cls,
        *,
        binary: Path,
        port: int = 0,
        chain_id: int | None = None,
        fork_url: str | None = None,
        fork_block: int | None = None,
        extra: Sequence[str] = (),
    ) -> LocalNode:
        """Start the binary and wait until it answers.

        Args:
            binary: the anvil executable (not the npm wrapper script).
            port: loopback port; 0 picks a free one.
            chain_id: chain id to answer with; by default 31337, or the origin's for a fork.
            fork_url: JSON-RPC address of a chain to fork.
            fork_block: block to fork at; the newest by default.
            extra: further command-line options of anvil.

        Raises:
            ConfigError: when the binary cannot be run or refuses its options.
            RpcUnavailable: when it does not answer in time, or its origin does not.
        """
        # Kept states are loaded in one request, and those of many contracts are above the usual 2 MB.
        options = ["--quiet", "--host", _HOST, "--no-request-size-limit", *_option("--chain-id", chain_id)]
        options += [*_option("--fork-url", fork_url), *_option("--fork-block-number", fork_block), *extra]
        if fork_url is not None:
            # A fork of the newest block is never taken up again; a cache of it would only stay behind.
            options.append("--no-storage-caching")
        for attempt in itertools.count(1):
            with _reserve(port) as reservation:
                node = cls._launch(binary, reservation.getsockname()[1], options)
                problem = _await_answer(node)
            if problem is None:
                atexit.register(node.stop)
                return node
            node.stop()
            _give_up(problem, node.port, fork_url, final=bool(port) or attempt == _ATTEMPTS)
        raise AssertionError("unreachable")

    @classmethod
    def _launch(cls, binary: Path, port: int, options: Sequence[str]) -> LocalNode:
        if not os.access(binary, os.X_OK):
            raise ConfigError(f"{binary} is not an executable file. Set KEEPER_ANVIL to an anvil binary.")
        _sweep()
        scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
        command = [str(binary), *options, "--port", str(port), "--cache-path", str(scratch)]
        return cls(_Child(command, dict(os.environ)), port, scratch)

    def rpc(self, method: str, *params: Any) -> Any:
        """Call a JSON-RPC method and return its result.

        Raises:
            RpcRejected: when the node answers with an error.
            RpcUnavailable: when it does not answer.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})
        reply = json.loads(self._post(body.encode()))
        if "error" in reply:
            error = reply["error"]
            data = error.get("data")
            raw = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
            raise RpcRejected(f"{method}: {error['message']}", code=error.get("code", 0), data=raw)
        return reply["result"]

    def _post(self, body: bytes) -> bytes:
        connection = getattr(self._connections, "open", None)
        if connection is None:
            connection = http.client.HTTPConnection(_HOST, self.port, timeout=300)
            self._connections.open = connection
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer: bytes = connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._connections.open = None
            raise RpcUnavailable(f"the local node at {self.url} does not answer: {error}. Start it again.") from error
        return answer

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._child.running

    def last_words(self) -> str:
        """What it printed, in one line; anvil is silent except when it fails."""
        return self._child.last_words()

    def stop(self) -> None:
        """End the process and remove its scratch files. Calling it again does nothing."""
        atexit.unregister(self.stop)
        if self._scratch.exists():
            self._child.stop()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _option(name: str, value: str | int | None) -> list[str]:
    return [] if value is None else [name, str(value)]


def _without(text: str, url: str | None) -> str:
    """Hide a URL's secrets: everything but its host."""
    if url is None:
        return text
    host = urlsplit(url).hostname or "the origin"
    return text.replace(url.rstrip("/"), host)


def _await_answer(node: LocalNode) -> str | None:
    """Wait for the first answer; ``None`` when it came, else what went wrong."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            node.rpc("eth_chainId")
        except RpcUnavailable:
            if not node.running:
                return node.last_words()
            time.sleep(0.005)
        else:
            return None
    return f"no answer within {_START_SECONDS:.0f} seconds"


def _give_up(problem: str, port: int, origin: str | None, *, final: bool) -> None:
    """Raise for a failed start, unless the port was taken and another may be tried."""
    if "Address already in use" not in problem:
        raise RpcUnavailable(f"anvil did not start: {_without(problem, origin)}. Check its options and its origin.")
    if final:
        raise RpcUnavailable(f"anvil found port {port} taken. Choose another port, or 0 for any free one.")


def _sweep() -> None:
    """Remove scratch folders of processes that were killed and could not do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        owner = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reserve(port: int) -> socket.socket:
    """Bind a loopback port without listening: others are not given it, and anvil (SO_REUSEADDR) still can take it."""
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reservation.bind((_HOST, port))
    except OSError as error:
        reservation.close()
        raise RpcUnavailable(f"port {port} is taken. Choose another port, or 0 for any free one.") from error
    return reservation
