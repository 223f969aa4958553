"""What the patterns share: their orders, and a record of what is done that survives a restart.

Run in environments of their own, so nothing here knows keeper. Times are scaled: a block of 12 seconds takes a quarter
of a second, and every timer of a pattern is scaled by the same factor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from web3 import HTTPProvider, Web3

ABI = [
    {
        "type": "function",
        "name": "bump",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "id", "type": "uint256"}],
        "outputs": [],
    }
]

SCALE = 48


def scaled(seconds: float) -> float:
    """Real seconds for so many seconds of the chain."""
    return seconds / SCALE


@dataclass
class Orders:
    """What a pattern is told: which intents, with which key, where."""

    url: str
    key: str
    contract: str
    ids: list[int]
    #: One JSON line per finished intent; read again after a restart.
    done: str
    #: Seconds that an HTTP request may take, real.
    http: float

    @classmethod
    def read(cls) -> Orders:
        """From the command line."""
        return cls(**json.loads(sys.argv[1]))

    @property
    def account(self) -> Any:
        """The signing account."""
        return Account.from_key(self.key)

    def connect(self) -> Web3:
        """web3.py with its defaults, but for the time-out."""
        return Web3(HTTPProvider(self.url, request_kwargs={"timeout": self.http}))

    def contract_at(self, w3: Web3) -> Any:
        """The counter."""
        return w3.eth.contract(address=Web3.to_checksum_address(self.contract), abi=ABI)

    def open_ids(self) -> Iterator[int]:
        """Intents that are not finished, in order."""
        path = Path(self.done)
        closed = {json.loads(line)["id"] for line in path.read_text().splitlines()} if path.exists() else set()
        yield from (each for each in self.ids if each not in closed)

    def finish(self, intent: int, problem: BaseException | None = None) -> None:
        """Record that an intent is over, well or not."""
        with Path(self.done).open("a") as file:
            file.write(json.dumps({"id": intent, "problem": None if problem is None else repr(problem)[:200]}) + "\n")
            file.flush()
            os.fsync(file.fileno())
