"""What ``tools/bad_day.py`` plays on: the local world with blocks of its own, endpoints that fail, a terminal."""

# ruff: noqa: INP001, S603
from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from keeper.abi import keccak
from keeper.chain.anvil import LocalNode
from keeper.devnet.accounts import FARMER
from keeper.devnet.install import anvil_binary
from keeper.devnet.settings import world_config, write_farmer_key
from keeper.devnet.world import World, build_world
from keeper.errors import KeeperError
from tests.faults.proxy import Proxy

GWEI: Final = 10**9

#: Base fee of a quiet hour.
CALM: Final = GWEI

#: Seconds between blocks, on the wall and on the chain.
BLOCK: Final = 2.0

#: Width of the terminal, in characters.
COLUMNS: Final = 112

#: What differs from the local world's usual config: a quorum, several in flight, a depth, and limits to run into.
_CHAIN: Final = """\
quorum = 2
max_in_flight = 2
finality = "depth"
finality_blocks = 20
"""
_LIMITS: Final = """\
[limits]
per_tx = "$20"
per_day = "$200"
cancel_max = "$20"
max_gas_price_gwei = 200
"""

#: Becomes the command in its arguments, after asking the kernel to end that when the day ends, however it ends.
_WITH_US: Final = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(slots=True)
class Line:
    """One line that an operator saw."""

    at: float
    #: With colours.
    raw: str

    @property
    def text(self) -> str:
        """Without them."""
        return _ANSI.sub("", self.raw)


class Terminal:
    """One process in a pseudo-terminal of its own; what it writes is kept line by line."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        """Start it in ``folder``."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "CI")}
        env |= {"TERM": "xterm-256color", "TZ": "UTC", "COLUMNS": str(COLUMNS)}
        self.lines: list[Line] = []
        self._grown = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WITH_US, *argv],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        pending = b""
        with suppress(OSError):
            while piece := os.read(descriptor, 65536):
                *whole, pending = (pending + piece).split(b"\n")
                with self._grown:
                    now = time.monotonic()
                    self.lines += [Line(now, line.decode(errors="replace").rstrip("\r")) for line in whole]
                    self._grown.notify_all()
        os.close(descriptor)

    def wait_for(self, pattern: str, *, since: int = 0, count: int = 1, seconds: float = 120) -> Line:
        """Wait until lines from number ``since`` on match so often; returns the last of them."""
        wanted, deadline = re.compile(pattern), time.monotonic() + seconds
        with self._grown:
            while True:
                found = [line for line in self.lines[since:] if wanted.search(line.text)]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0:
                    tail = "\n".join(line.text for line in self.lines[-25:])
                    raise SystemExit(
                        f"the day did not go as planned: no line matched {pattern!r}. The last ones:\n{tail}"
                    )
                self._grown.wait(min(left, 1))

    def seen(self, pattern: str, since: int = 0) -> bool:
        """Whether a line from number ``since`` on matches."""
        return any(re.search(pattern, line.text) for line in self.lines[since:])

    def end(self, number: int = signal.SIGKILL, seconds: float = 60) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(5)
        return code


@dataclass
class Place:
    """The world, its blocks, three endpoints and a config folder. Use as a context manager."""

    folder: Path
    base_fee: int = CALM
    proxies: list[Proxy] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.node = LocalNode.start(binary=anvil_binary())
        self.world: World = build_world(self.node)
        self.world.advance(7 * 86_400)
        self.node.rpc("evm_setAutomine", False)
        self.genesis, self.first_nonce = self.height, self.nonce
        self.proxies = [Proxy(self.node.port, name=name) for name in "abc"]
        self._write_config()
        self._chain = threading.Lock()
        self._over, self._mining = threading.Event(), threading.Event()
        self._mining.set()
        self._miner = threading.Thread(target=self._mine, name="miner", daemon=True)
        self._miner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._mining.set()
        self._miner.join(10)
        for proxy in self.proxies:
            proxy.close()
        self.node.stop()

    def _write_config(self) -> None:
        write_farmer_key(self.folder / "keys")
        text = world_config(
            self.world,
            keystore=Path("keys/farm.json"),
            password_file=Path("keys/farm.password"),
            state=Path("state"),
            poll_positions_seconds=15,
        )
        urls = ", ".join(f'"{proxy.url}"' for proxy in self.proxies)
        text = re.sub(r"(?m)^rpc = .*\n", f"rpc = [{urls}]\n{_CHAIN}", text)
        text = re.sub(r"(?m)^block_time_ms = .*$", f"block_time_ms = {int(BLOCK * 1000)}", text)
        text = re.sub(r"(?m)^confirmations = .*$", "confirmations = 2", text)
        text = re.sub(r"(?ms)^\[limits\]\n.*?\n(?=\[)", _LIMITS + "\n", text)
        # The chef pays by the block, and blocks come faster here than its emission was made for.
        head, *positions = text.split("[[positions]]")
        text = "[[positions]]".join([head, *(block for block in positions if '"sushi-chef"' not in block)])
        (self.folder / "keeper.toml").write_text(text)

    # ------------------------------------------------------------------ blocks

    @property
    def height(self) -> int:
        """Newest block."""
        return int(self.node.rpc("eth_blockNumber"), 16)

    @property
    def nonce(self) -> int:
        """Transactions of the account that are mined."""
        return int(self.node.rpc("eth_getTransactionCount", FARMER.address, "latest"), 16)

    def _mine(self) -> None:
        while not self._over.wait(BLOCK):
            self._mining.wait()
            if not self._over.is_set():
                with suppress(KeeperError, ValueError):
                    self.mine_one()

    def mine_one(self) -> None:
        """Mine a block now."""
        with self._chain:
            self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.base_fee))
            self.node.rpc("evm_mine", {"timestamp": self.world.now + max(int(BLOCK), 1)})

    def stop_blocks(self) -> None:
        """No more blocks until ``go_on``."""
        self._mining.clear()
        with self._chain:
            pass

    def go_on(self) -> None:
        """Blocks again."""
        self._mining.set()

    def reorg(self, depth: int) -> None:
        """Take the last blocks out of the chain, and put empty ones in their place."""
        with self._chain:
            self.node.rpc("anvil_reorg", depth, [])

    def days_pass(self, days: int) -> None:
        """Let so much time pass at once; keeper sees it with the next block."""
        with self._chain:
            self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.base_fee))
            self.node.rpc("evm_mine", {"timestamp": self.world.now + days * 86_400})

    def sent(self) -> dict[str, set[str]]:
        """Hash of every raw transaction on the wire, with the different bytes that had it (there is one)."""
        found: dict[str, set[str]] = {}
        for proxy in self.proxies:
            for seen in proxy.seen:
                found.setdefault(seen.hash, set()).add(seen.raw.hex())
        return found

    def times_sent(self, tx_hash: str) -> list[float]:
        """When a transaction was on the wire, by the monotonic clock."""
        return sorted(seen.at for proxy in self.proxies for seen in proxy.seen if seen.hash == tx_hash)

    # ------------------------------------------------------------------ what the chain says in the end

    def executed(self) -> list[dict[str, Any]]:
        """Every transaction of the account in the canonical chain, with its receipt."""
        heights = range(self.genesis + 1, self.height + 1)
        blocks = (self.node.rpc("eth_getBlockByNumber", hex(height), True) for height in heights)
        ours = [tx for block in blocks for tx in block["transactions"] if tx["from"].lower() == FARMER.address]
        return [tx | {"receipt": self.node.rpc("eth_getTransactionReceipt", tx["hash"])} for tx in ours]

    def logs(self, address: str, event: str) -> list[dict[str, Any]]:
        """Logs of an event of one contract since the day began."""
        topic = "0x" + keccak(event.encode()).hex()
        wanted = {"fromBlock": hex(self.genesis + 1), "address": address, "topics": [topic]}
        return list(self.node.rpc("eth_getLogs", wanted))


def keeper_command() -> str:
    """Return the path of the installed command."""
    return str(Path(sys.executable).parent / "keeper")
