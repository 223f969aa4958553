"""Other ways of sending the same harvests: the floor, web3.py one after another, and viem at its best."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock

from keeper.chain.anvil_binary import devnet_home
from tests.bench import accounts, farm

__all__ = ["POLL", "Floor", "NotAvailable", "OneByOne", "Viem", "install_viem"]

#: Seconds between two looks for receipts, the same for all.
POLL: Final = 0.005

_VIEM: Final = Path(__file__).with_name("viem")


class Floor:
    """The least that sending can cost: signed beforehand, one batch out, batches of receipts until all are there."""

    def __init__(self, node, count: int, rounds: int) -> None:
        key = accounts.account(node, "floor", count).key
        self._rounds = [accounts.signed(key, count * turn, count) for turn in range(rounds)]
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port)

    def round(self) -> None:
        batch = self._rounds.pop(0)
        hashes = self._batch("eth_sendRawTransaction", ["0x" + signed.raw.hex() for signed in batch])
        assert hashes == [signed.hash for signed in batch]
        while None in (receipts := self._batch("eth_getTransactionReceipt", hashes)):
            time.sleep(POLL)
        assert all(receipt["status"] == "0x1" for receipt in receipts)

    def _batch(self, method: str, params: list[str]) -> list[Any]:
        calls = [{"jsonrpc": "2.0", "id": i, "method": method, "params": [each]} for i, each in enumerate(params)]
        self._connection.request("POST", "/", json.dumps(calls), {"Content-Type": "application/json"})
        answers = json.loads(self._connection.getresponse().read())
        return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]


class OneByOne:
    """web3.py as its documentation has it: build, sign, send, wait for the receipt; gas and fees given."""

    def __init__(self, node, pools: int) -> None:
        from web3 import HTTPProvider, Web3

        owner = accounts.account(node, "web3.py", pools)
        self._web3 = Web3(HTTPProvider(node.url))
        self._account = self._web3.eth.account.from_key(owner.secret)
        abi = json.loads(Path(farm.__file__).with_name("BenchFarm.json").read_text())["abi"]
        self._farm = self._web3.eth.contract(self._web3.to_checksum_address(farm.FARM), abi=abi)

    def round(self, count: int) -> None:
        eth = self._web3.eth
        for pid in range(count):
            fields = {
                "from": self._account.address,
                "nonce": eth.get_transaction_count(self._account.address),
                "chainId": farm.FACTS.chain_id,
                "gas": accounts.GAS,
                "maxFeePerGas": accounts.MAX_FEE,
                "maxPriorityFeePerGas": accounts.TIP,
            }
            transaction = self._farm.functions.deposit(pid, 0).build_transaction(fields)
            tx_hash = eth.send_raw_transaction(self._account.sign_transaction(transaction).raw_transaction)
            assert eth.wait_for_transaction_receipt(tx_hash, poll_latency=POLL)["status"] == 1


class NotAvailable(Exception):
    """Why viem cannot be had here."""


class Viem:
    """viem, all transactions at once, in a process of its own that stays warm. Use as a context manager."""

    def __init__(self, node, pools: int) -> None:
        """Start it. Raises NotAvailable."""
        home = install_viem()
        owner = accounts.account(node, "viem", pools)
        prices = [str(number) for number in (accounts.GAS, accounts.MAX_FEE, accounts.TIP, farm.FACTS.chain_id)]
        arguments = [str(home / "node_modules"), node.url, "0x" + owner.secret.hex(), farm.FARM, *prices]
        self._process = subprocess.Popen(
            ["node", str(_VIEM / "send.mjs"), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def round(self, count: int) -> float:
        """Send so many; returns the seconds that it took, without the way here and back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        took = self._process.stdout.readline()
        assert took, "viem's process has ended"
        return float(took) / 1e3

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)


def install_viem() -> Path:
    """Install viem by its lock file, once, in a folder of its own."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotAvailable("node and npm are not installed")
    home = devnet_home().parent / "bench"
    wanted = hashlib.sha256((_VIEM / "package-lock.json").read_bytes()).hexdigest()
    stamp = home / ".installed"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".install.lock"):
        if not stamp.is_file() or stamp.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(_VIEM / name, home / name)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
            done = subprocess.run(
                command, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                words = [line for line in done.stderr.splitlines() if "npm error" in line] or ["npm gave no reason"]
                raise NotAvailable(f"viem could not be installed: {words[0][:160]}")
            stamp.write_text(wanted)
    return home
