"""One run's surroundings: node, proxies, config, journal, keeper processes, and the verbs that make faults."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from keeper.abi import keccak
from keeper.config import models
from keeper.devnet.accounts import DEPLOYER, FARMER
from keeper.devnet.settings import write_farmer_key
from keeper.errors import KeeperError
from tests.faults import world
from tests.faults.arena.patterns.forking import Child
from tests.faults.proxy import Proxy, Seen
from tests.faults.strict.node import StrictNode
from tests.faults.subject import Nursery

CHAIN: Final = "faultnet"
#: In the endpoint's URL: must never be seen again.
URL_CANARY: Final = "c4nary0f7heur1"
PASSWORD: Final = "local world"
PER_TX_USD: Final = 20
PER_DAY_USD: Final = 2_000
CANCEL_USD: Final = 10
MAX_GAS_GWEI: Final = 60
POSITIONS: Final = tuple(f"farm-{index}" for index in range(world.FARMS))


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a run may set."""

    endpoints: int = 1
    max_in_flight: int = 1
    confirmations: int = 2
    #: Depth of finality; only written where the config knows it.
    finality_blocks: int = 12
    #: Chain seconds per real second.
    scale: float = 120.0
    #: Real seconds between blocks.
    block_wall: float = 0.05
    #: Real seconds until a request times out.
    timeout: float = 0.5
    #: Whether the node's pool has geth's rules instead of anvil's.
    geth: bool = False
    max_gas_gwei: int = MAX_GAS_GWEI
    per_tx_usd: int = PER_TX_USD
    #: Most that a cancel may cost, and chain seconds after which a transaction may be cancelled.
    cancel_usd: int = CANCEL_USD
    deadline: int = 600
    #: Further lines of the config, by table ("" for the end of the file).
    extra: tuple[tuple[str, str], ...] = ()


@dataclass
class Ended:
    """A keeper process that is no more."""

    code: int
    killed: bool
    argv: tuple[str, ...] = ()


@dataclass
class Stage:
    """Everything of one run. Use as a context manager."""

    nursery: Nursery
    places: world.Places
    knobs: Knobs = field(default_factory=Knobs)
    seed: int = 0

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="keeper-faults-", dir=_scratch()))
        self.state = self.folder / "state"
        self.journal = self.state / "keeper.db"
        self.out, self.err = self.folder / "out", self.folder / "err"
        self.node = world.start(self.places)
        #: geth's pool in front of it, when the run wants that.
        self.strict = StrictNode(anvil=self.node) if self.knobs.geth else None
        upstream = self.node.port if self.strict is None else int(self.strict.url.rpartition(":")[2])
        self._have_a_past()
        self.origin = time.monotonic()
        canaries = (PASSWORD, FARMER.private_key[2:])
        path = f"/v1/{URL_CANARY}?key={URL_CANARY}"
        self.proxies = [
            Proxy(upstream, name=name, path=path, journal=self.journal, canaries=canaries, seed=self.seed * 10 + i)
            for i, name in enumerate("abc"[: self.knobs.endpoints])
        ]
        self.base_fee = world.BASE_FEE
        self.notes: list[str] = []
        #: Further orders for each keeper that is started (see ``subject``).
        self.orders: dict[str, Any] = {}
        self.ended: list[Ended] = []
        self.keepers: list[Child] = []
        self.rivals: list[Child] = []
        self._rival_files = itertools.count()
        #: Depth of the deepest reorg made.
        self.deepest = 0
        self._chain = threading.Lock()
        self._mining = threading.Event()
        self._mining.set()
        self._over = threading.Event()
        self.genesis = int(self.node.rpc("eth_blockNumber"), 16)
        self.first_nonce = int(self.node.rpc("eth_getTransactionCount", FARMER.address, "latest"), 16)
        self.wealth = world.balance(self.node, self.places.token, FARMER.address)
        self.config = self.folder / "keeper.toml"
        self.config.write_text(config_text(self))
        self._miner = threading.Thread(target=self._mine, name="miner", daemon=True)
        self._miner.start()
        return self

    def _have_a_past(self) -> None:
        """Let the account have sent something on this node: a stale count then names nonces that a block can tell of."""
        self.past = self.height + 1
        fields = {"from": FARMER.address, "to": "0x" + "00" * 19 + "99", "gas": hex(25_000)}
        self.foreign = [str(self.node.rpc("eth_sendTransaction", fields)).lower() for _ in range(4)]
        world.mine(self.node.rpc, self.places.epoch + 1, world.BASE_FEE)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._mining.set()
        with suppress(ProcessLookupError):
            os.kill(self.node.pid, signal.SIGCONT)
        for keeper in (*self.keepers, *self.rivals):
            keeper.signal(signal.SIGCONT)
            keeper.signal(signal.SIGKILL)
        for keeper in (*self.keepers, *self.rivals):
            keeper.wait(5)
        self._miner.join(10)
        for proxy in self.proxies:
            proxy.close()
        if self.strict is not None:
            self.strict.stop()
        self.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def rpc(self, method: str, *params: Any) -> Any:
        """Ask the node past all proxies."""
        return self.node.rpc(method, *params) if self.strict is None else self.strict.rpc(method, *params)

    # ------------------------------------------------------------------ time and blocks

    @property
    def now(self) -> float:
        """Chain time."""
        return self.places.epoch + (time.monotonic() - self.origin) * self.knobs.scale

    @property
    def height(self) -> int:
        """Newest block."""
        return int(self.node.rpc("eth_blockNumber"), 16)

    def _mine(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            due = max(due + self.knobs.block_wall, time.monotonic())
            self._over.wait(due - time.monotonic())
            self._mining.wait()
            if not self._over.is_set():
                with suppress(KeeperError, ValueError):
                    self.mine_one()

    def mine_one(self) -> None:
        """Mine one block now."""
        with self._chain:
            world.mine(self.rpc, int(self.now), self.base_fee)

    def stop_blocks(self) -> None:
        """No more blocks until ``go_on``."""
        self._mining.clear()
        with self._chain:
            pass

    def go_on(self) -> None:
        """Blocks again."""
        self._mining.set()

    # ------------------------------------------------------------------ faults of chain and node

    def reorg(self, depth: int, replay: list[tuple[str, int]] | None = None) -> None:
        """Replace the last ``depth`` blocks; ``replay`` are raw transactions and the new block that has them."""
        with self._chain:
            depth = min(depth, self.height - self.genesis - 1)
            if depth > 0:
                self.deepest = max(self.deepest, depth)
                self.rpc("anvil_reorg", depth, [list(pair) for pair in replay or []])

    def rollback(self, depth: int) -> None:
        """Take the last blocks away."""
        with self._chain:
            depth = min(depth, self.height - self.genesis - 1)
            if depth > 0:
                self.deepest = max(self.deepest, depth)
                self.node.rpc("anvil_rollback", depth)

    def revert(self, snapshot: str) -> None:
        """Put the chain back to a snapshot."""
        with self._chain:
            self.deepest = max(self.deepest, self.height - self.genesis)
            self.rpc("evm_revert", snapshot)

    def fork_places(self) -> world.Places:
        """The world as it is now, for another node."""
        return replace(self.places, state=self.node.rpc("anvil_dumpState"))

    def block_of(self, tx_hash: str) -> int:
        """Height of a mined transaction."""
        return int(self.node.rpc("eth_getTransactionReceipt", tx_hash)["blockNumber"], 16)

    def drop_all(self) -> None:
        """Forget the whole pool."""
        self.rpc("anvil_dropAllTransactions")

    def drop_one(self) -> None:
        """Forget the first pooled transaction of the account."""
        for tx_hash in self.pooled()[:1]:
            self.rpc("anvil_dropTransaction", tx_hash)

    def pooled(self) -> list[str]:
        """Hashes of the account's transactions in the node's pool, by nonce."""
        if self.strict is not None:
            held = [tx for tx in self.strict.pool.all() if tx.sender == FARMER.address]
            return [tx.hash for tx in sorted(held, key=lambda tx: tx.nonce)]
        content = self.node.rpc("txpool_content")
        found = {}
        for part in ("pending", "queued"):
            for owner, by_nonce in content[part].items():
                if owner.lower() == FARMER.address:
                    found |= {int(nonce): tx["hash"] for nonce, tx in by_nonce.items()}
        return [found[nonce] for nonce in sorted(found)]

    def set_balance(self, wei: int) -> None:
        """Set the account's gas money."""
        self.node.rpc("anvil_setBalance", FARMER.address, hex(wei))

    def foreign_transaction(self, nonce: int | None = None, *, gwei: int = 30) -> str:
        """Send nothing from keeper's account to itself, as a person with the same key would."""
        if nonce is None:
            nonce = int(self.rpc("eth_getTransactionCount", FARMER.address, "pending"), 16)
        raw = signed_foreign(nonce, gwei)
        try:
            self.rpc("eth_sendRawTransaction", raw)
        except KeeperError as problem:
            self.notes.append(f"the node refused a foreign transaction: {problem}")
            return ""
        tx_hash = "0x" + keccak(bytes.fromhex(raw[2:])).hex()
        self.foreign.append(tx_hash)
        return tx_hash

    def freeze_node(self) -> None:
        """Let the node's process stand still."""
        os.kill(self.node.pid, signal.SIGSTOP)

    def thaw_node(self) -> None:
        """Let it run again."""
        with suppress(ProcessLookupError):
            os.kill(self.node.pid, signal.SIGCONT)

    def storage(self, contract: str, slot: int, value: int) -> None:
        """Overwrite one word of a contract."""
        self.node.rpc("anvil_setStorageAt", contract, hex(slot), f"0x{value:064x}")

    def as_deployer(self, to: str, data: bytes) -> str:
        """Send a call from the account that owns the world."""
        fields = {"from": DEPLOYER.address, "to": to, "data": "0x" + data.hex(), "gas": hex(500_000)}
        return str(self.node.rpc("eth_sendTransaction", fields))

    def restart_node(self, state: str | None = None) -> None:
        """End the node and start another with its chain (or with an older state of it): the pool is lost."""
        assert self.strict is None, "only a bare anvil is restarted"
        with self._chain:
            state = state or self.node.rpc("anvil_dumpState")
            old, self.node = self.node, world.start(replace(self.places, state=state), mine_first=False)
            for proxy in self.proxies:
                proxy.upstream = self.node.port
            old.stop()

    def sent(self) -> list[Seen]:
        """Raw transactions on the wire so far, each once, in order."""
        found: dict[str, Seen] = {}
        for seen in sorted((seen for proxy in self.proxies for seen in proxy.seen), key=lambda seen: seen.at):
            found.setdefault(seen.hash, seen)
        return list(found.values())

    def mined(self) -> int:
        """Transactions of the account since the run began."""
        return int(self.rpc("eth_getTransactionCount", FARMER.address, "latest"), 16) - self.first_nonce

    def wait_sent(self, count: int = 1, seconds: float = 30) -> None:
        """Let it run until so many transactions were on the wire."""
        assert self.until(lambda: len(self.sent()) >= count, seconds), f"fewer than {count} were sent"

    def wait_mined(self, count: int = 1, seconds: float = 30) -> None:
        """Let it run until so many transactions are mined."""
        assert self.until(lambda: self.mined() >= count, seconds), f"fewer than {count} were mined"

    def wait_up(self, seconds: float = 30) -> None:
        """Let it run until the daemon is up."""
        assert self.until(lambda: self.up(self.keeper) and self.keeper.running, seconds), "keeper did not start"

    # ------------------------------------------------------------------ keeper

    def run(self, *argv: str, kill: str | None = None, config: Path | None = None, tag: str = "") -> Child:
        """Start a keeper command (the daemon by default)."""
        clock = {
            "epoch": float(self.places.epoch),
            "origin": self.origin,
            "scale": self.knobs.scale,
            "timeout": self.knobs.timeout,
            "least": 0.02,
            "jump": str(self.folder / "jump"),
        }
        command = ["-c", str(config or self.config), "--log-format", "json", *(argv or ("run",))]
        suffix = f".{tag}" if tag else ""
        order = {
            "out": self.out.with_name(f"out{suffix}"),
            "err": self.err.with_name(f"err{suffix}"),
            "env": {"KEEPER_KILL": kill or ""},
            "seed": self.seed,
        }
        return self.nursery.start(command, clock=clock, **(order | self.orders))

    def start_keeper(self, *, kill: str | None = None) -> Child:
        """Start the daemon."""
        keeper = self.run(kill=kill, tag=f"k{len(self.keepers)}")
        self.keepers.append(keeper)
        return keeper

    @property
    def keeper(self) -> Child:
        """The daemon that was started last."""
        return self.keepers[-1]

    def jump_clock(self, seconds: float) -> None:
        """Let keeper's wall clock be wrong by this much."""
        draft = self.folder / "jump.draft"
        draft.write_text(str(seconds))
        draft.replace(self.folder / "jump")

    def kill_keeper(self) -> None:
        """SIGKILL the daemon."""
        self.keeper.signal(signal.SIGKILL)
        self.keeper.wait(5)

    def up(self, keeper: Child) -> bool:
        """Whether a daemon has got as far as waiting for signals."""
        log = self.folder / f"err.k{self.keepers.index(keeper)}"
        return not keeper.running or (log.exists() and '"daemon.started"' in log.read_text())

    def start_rival(self) -> Child:
        """Start a second daemon on the same state."""
        rival = self.run(tag=f"rival{next(self._rival_files)}")
        self.rivals.append(rival)
        return rival

    def mind(self) -> None:
        """Do what systemd would: start the daemon again when it has ended."""
        if self.keepers and not self.keeper.running:
            code = self.keeper.code
            assert code is not None
            self.ended.append(Ended(code, code == -signal.SIGKILL))
            self.start_keeper()

    def stop_keeper(self, seconds: float = 25.0) -> int | None:
        """SIGTERM; exit code, or ``None`` when it did not end in time (it is then killed)."""
        self.keeper.signal(signal.SIGTERM)
        code = self.keeper.wait(seconds)
        if code is None:
            self.kill_keeper()
        return code

    def let(self, seconds: float) -> None:
        """Let it run, minding the daemon."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.mind()
            time.sleep(min(0.03, max(end - time.monotonic(), 0)))

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let it run until something is so; ``False`` when it did not become so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            self.mind()
            time.sleep(0.05)
        return condition()

    # ------------------------------------------------------------------ what the journal says

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Read from the journal; nothing where there is none."""
        if not self.journal.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(query, values)]
        except sqlite3.Error:
            return []

    def compounds(self) -> dict[str, int]:
        """Stakes by position on the canonical chain since the run began."""
        wanted = {
            "fromBlock": hex(self.genesis),
            "address": list(self.places.farms),
            "topics": [world.STAKED, "0x" + "0" * 24 + FARMER.address[2:]],
        }
        with self._chain:
            logs = self.node.rpc("eth_getLogs", wanted | {"toBlock": hex(self.height)})
        names = dict(zip(self.places.farms, POSITIONS, strict=True))
        counts = dict.fromkeys(POSITIONS, 0)
        for log in logs:
            counts[names[log["address"].lower()]] += 1
        return counts

    def busy(self) -> str:
        """What is not finished, in words; empty when all is done."""
        idle = [name for name, count in self.compounds().items() if not count]
        if idle:
            return f"not compounded: {', '.join(idle)}"
        opened = self.rows("SELECT position_id FROM harvests WHERE state = 'open'")
        if opened:
            return "open: " + ", ".join(row["position_id"] for row in opened)
        flying = self.rows("SELECT id, state FROM intents WHERE state IN ('planned', 'signed', 'broadcast', 'mined')")
        if flying:
            return "in flight: " + ", ".join(f"{row['id'][-8:]} {row['state']}" for row in flying)
        return ""

    def settled(self) -> bool:
        """Whether everything is finished."""
        return not self.busy()

    def logged(self) -> str:
        """All that keeper has written to its log."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("err*")))

    def printed(self) -> str:
        """All that keeper has written to standard output."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("out*")))


def signed_foreign(nonce: int, gwei: int) -> str:
    """Sign a transaction with the account's key that keeper knows nothing of; returns raw 0x hex."""
    from eth_account import Account

    signed = Account.sign_transaction(
        {
            "chainId": world.CHAIN_ID,
            "nonce": nonce,
            "to": "0x" + "00" * 19 + "99",
            "value": 1,
            "data": "0x",
            "gas": 25_000,
            "maxFeePerGas": gwei * world.GWEI,
            "maxPriorityFeePerGas": min(gwei, 3) * world.GWEI,
        },
        FARMER.private_key,
    )
    return "0x" + signed.raw_transaction.hex().removeprefix("0x")


@lru_cache(maxsize=1)
def _key() -> tuple[tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as folder:
        return tuple((path.name, path.read_bytes()) for path in write_farmer_key(Path(folder)))


def _key_files(folder: Path) -> tuple[Path, ...]:
    """Write the keystore and its password; encrypting is slow, so it is done once."""
    folder.mkdir()
    for name, content in _key():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    return tuple(folder / name for name, _ in _key())


def _chain_keys() -> set[str]:
    from keeper.config import chain_models

    return set(chain_models.ChainConfig.model_fields)


def _scratch() -> str | None:
    """Memory, where there is some: the journal's own fsync is measured elsewhere."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def config_text(stage: Stage) -> str:
    """Write keeper.toml for a run; keys that this keeper does not know are left out."""
    knobs, places = stage.knobs, stage.places
    keystore, password = _key_files(stage.folder / "keys")
    known = {
        "keeper": set(models.KeeperConfig.model_fields),
        "chain": _chain_keys(),
        "limits": set(models.LimitsConfig.model_fields),
    }
    extra = dict(knobs.extra)

    def line(table: str, key: str, value: str) -> str:
        return f"{key} = {value}\n" if key in known[table] else ""

    block_ms = int(knobs.scale * knobs.block_wall * 1000)
    text = f'[keeper]\nstate = "{stage.state}"\ndrain_timeout = "1200s"\n' + extra.get("keeper", "")
    text += f"\n[chains.{CHAIN}]\nrpc = [{', '.join(chr(34) + proxy.url + chr(34) for proxy in stage.proxies)}]\n"
    text += f'chain_id = {world.CHAIN_ID}\nnative_symbol = "ETH"\nwrapped_native = "{places.weth}"\n'
    text += f'block_time_ms = {block_ms}\nfee_model = "eip1559"\ntip_floor_gwei = "0.01"\ntip_cap_gwei = 3\n'
    text += f'l1_fee = "none"\nconfirmations = {knobs.confirmations}\nmulticall3 = "{world.MULTICALL3}"\n'
    text += "poll_gas_seconds = 24\npoll_positions_seconds = 40\n"
    text += line("chain", "max_in_flight", str(knobs.max_in_flight))
    text += line("chain", "finality", '"depth"') + line("chain", "finality_blocks", str(knobs.finality_blocks))
    text += extra.get("chain", "")
    text += f'\n[signers.farmer]\nkind = "keystore"\npath = "{keystore}"\npassword_file = "{password}"\n'
    text += f'address = "{FARMER.address}"\n'
    text += f'\n[limits]\nper_tx = "${knobs.per_tx_usd}"\nper_day = "${PER_DAY_USD}"\n'
    text += f"max_gas_price_gwei = {knobs.max_gas_gwei}\n"
    text += line("limits", "cancel_max", f'"${knobs.cancel_usd}"') + line(
        "limits", "tx_deadline", f'"{knobs.deadline}s"'
    )
    text += line("limits", "max_failures_per_day", "1000") + extra.get("limits", "")
    text += "\n[prices]\nmin_sources = 1\n"
    for token, usd in ((places.weth, world.ETH_USD), (places.token, 1)):
        text += f'\n[[prices.tokens]]\nchain = "{CHAIN}"\ntoken = "{token}"\n'
        text += f'sources = [{{ kind = "fixed", usd = "{usd}.00" }}]\n'
    text += "\n[web]\nenabled = false\n"
    for name, farm in zip(POSITIONS, places.farms, strict=True):
        text += f'\n[[positions]]\nid = "{name}"\nchain = "{CHAIN}"\nprotocol = "synthetix-staking-rewards"\n'
        text += f'target = "{farm}"\nsigner = "farmer"\n'
    return text + extra.get("", "")
