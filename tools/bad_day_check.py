"""What the chain itself says of a bad day: every leg executed exactly once, nothing else, no nonce missing."""

# ruff: noqa: INP001, S603
from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import Any, Final

from keeper.devnet.accounts import FARMER
from tools.bad_day_stage import Place, keeper_command

__all__ = ["check"]

#: What shows a claim, and what a deposit, in each farm's own events; and whose contract says so.
_EVENTS: Final = {
    "uni-farm": (("farm", "RewardPaid(address,uint256)"), ("farm", "Staked(address,uint256)")),
    "usdc-aave": (
        ("rewards_controller", "RewardsClaimed(address,address,address,address,uint256)"),
        ("aave_pool", "Supply(address,address,address,uint256,uint16)"),
    ),
}


def check(place: Place, *, killed: str, taken: str) -> list[str]:
    """Compare journal and chain; returns what was found, in words.

    Args:
        place: the world.
        killed: hash of the transaction after which the process was killed.
        taken: hash of one that a reorganisation took out of the chain.

    Raises:
        SystemExit: a leg was executed twice or not at all, or something else was.
    """
    shown = subprocess.run(
        [keeper_command(), "tx", "list", "--all", "--json"], cwd=place.folder, check=True, capture_output=True
    )
    journal: list[dict[str, Any]] = json.loads(shown.stdout)["transactions"]
    chain = place.executed()
    return [
        *_transactions(place, journal, chain),
        *_legs(journal, chain),
        *_farms(place, journal),
        _again(place, chain, killed, "kill -9"),
        _again(place, chain, taken, "the reorg"),
    ]


def _transactions(place: Place, journal: list[dict[str, Any]], chain: list[dict[str, Any]]) -> list[str]:
    nonces = [int(tx["nonce"], 16) for tx in chain]
    _must(
        nonces == list(range(place.first_nonce, place.first_nonce + len(chain))), "nonces are missing, or out of order"
    )
    _must(all(tx["receipt"]["status"] == "0x1" for tx in chain), "a transaction failed")
    known = {intent["receipt"]["tx"] for intent in journal if intent["receipt"]}
    _must(known == {tx["hash"] for tx in chain}, "journal and chain have different transactions")
    return [
        f"transactions   {len(chain)}, nonces {nonces[0]} to {nonces[-1]}, none missing or failed, all in the journal"
    ]


def _legs(journal: list[dict[str, Any]], chain: list[dict[str, Any]]) -> list[str]:
    mined = Counter(tx["hash"] for tx in chain)
    done = [intent for intent in journal if intent["state"] == "confirmed"]
    times = Counter({(i["harvest"], i["leg"]): mined[i["receipt"]["tx"]] for i in done})
    _must(len(times) == len(done), "a leg was done twice")
    _must(set(times.values()) == {1}, "a leg is not in the chain exactly once")
    idle = [
        tx for tx in chain if tx["to"].lower() == FARMER.address and int(tx["value"], 16) == 0 and tx["input"] == "0x"
    ]
    _must(len(done) + len(idle) == len(chain), "something was executed that is no leg and no cancel")
    compounds = len({intent["harvest"] for intent in done})
    return [
        f"legs           {len(done)} of {compounds} compounds, each executed exactly once",
        f"cancels        {len(idle)}, which did nothing",
    ]


def _farms(place: Place, journal: list[dict[str, Any]]) -> list[str]:
    found = []
    for position, (claim, deposit) in _EVENTS.items():
        compounds = len({intent["harvest"] for intent in journal if intent["position"] == position})
        claims, deposits = (
            sum(FARMER.address[2:] in "".join(log["topics"]) for log in place.logs(place.world.addresses[name], event))
            for name, event in (claim, deposit)
        )
        _must(
            claims == deposits == compounds, f"{position}: {compounds} compounds, {claims} claims, {deposits} deposits"
        )
        found.append(
            f"{position:<14} {compounds} compounds: by the farm's own events {claims} claims and {deposits} deposits"
        )
    return found


def _again(place: Place, chain: list[dict[str, Any]], tx_hash: str, what: str) -> str:
    sent = place.times_sent(tx_hash)
    mined = [tx for tx in chain if tx["hash"] == tx_hash]
    _must(len(mined) == 1, f"the transaction before {what} is {len(mined)} times in the chain")
    _must(len(sent) > len(place.proxies), f"the transaction before {what} was not sent again")
    return f"{what:<14} {tx_hash}: the same bytes went out again, and were executed once"


def _must(condition: bool, words: str) -> None:
    if not condition:
        raise SystemExit(f"the chain says: {words}")
