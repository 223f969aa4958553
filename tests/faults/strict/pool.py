"""Geth's legacy transaction pool as a model: which transactions it takes, in which words it refuses, what it forgets.

After core/txpool/{validation.go,legacypool/legacypool.go,legacypool/list.go} and internal/ethapi of go-ethereum
(2025-2026): the rules that a sender can run into, and that a development node does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.faults.strict.rawtx import RawTx

__all__ = ["GethPool", "Refused", "Rules", "State"]

_ETHER: Final = 10**18
_MAX_BYTES: Final = 128 * 1024


class Refused(Exception):
    """The pool does not take a transaction; the text is geth's."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Geth's defaults (``--txpool.*``, ``--rpc.txfeecap``)."""

    chain_id: int
    #: Percent by which both fee fields of a replacement must rise.
    price_bump: int = 10
    #: Executable transactions that each account is guaranteed.
    account_slots: int = 16
    #: Executable transactions of all accounts; above it, accounts with more than their guarantee lose the last ones.
    global_slots: int = 5120
    #: Waiting transactions of an account; the last ones above it are forgotten.
    account_queue: int = 64
    #: Smallest tip, wei.
    price_limit: int = 1
    #: Largest fee that the RPC lets through, wei.
    fee_cap: int = _ETHER
    block_gas_limit: int = 30_000_000
    #: Gas limit of a single transaction (EIP-7825); ``None`` before Osaka.
    gas_cap: int | None = None
    #: Whether calldata has a floor price (EIP-7623, Prague).
    calldata_floor: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What the head block says of an account."""

    nonce: int
    balance: int


@dataclass(slots=True)
class GethPool:
    """One node's pool. ``pending`` can be mined by nonce, ``queued`` waits for a gap to close. Not thread-safe."""

    rules: Rules
    #: Asks the chain for an account.
    state: Callable[[str], State]
    pending: dict[str, dict[int, RawTx]] = field(default_factory=dict)
    queued: dict[str, dict[int, RawTx]] = field(default_factory=dict)

    def add(self, tx: RawTx) -> None:
        """Take a transaction, or raise Refused with geth's words."""
        self._check_rpc(tx)
        if self.find(tx.hash) is not None:
            raise Refused("already known")
        self._check_alone(tx)
        self._check_with_state(tx)
        place = self.pending if tx.nonce in self.pending.get(tx.sender, {}) else self.queued
        old = place.get(tx.sender, {}).get(tx.nonce)
        if old is not None and not self._replaces(tx, old):
            raise Refused("replacement transaction underpriced")
        place.setdefault(tx.sender, {})[tx.nonce] = tx
        self._promote(tx.sender)
        self._truncate(tx.sender)

    def find(self, tx_hash: str) -> RawTx | None:
        """Return a pooled transaction."""
        return next((tx for tx in self.all() if tx.hash == tx_hash.lower()), None)

    def all(self) -> list[RawTx]:
        """Everything in the pool, executable ones first, by nonce within an account."""
        return [txs[nonce] for place in (self.pending, self.queued) for txs in place.values() for nonce in sorted(txs)]

    def next_nonce(self, account: str) -> int:
        """Count of mined and executable transactions: ``eth_getTransactionCount`` at ``pending``."""
        mine = self.pending.get(account.lower(), {})
        return max(mine) + 1 if mine else self.state(account.lower()).nonce

    def executable(self, base_fee: int) -> list[RawTx]:
        """What the next block takes, in its order: by tip, an account's own by nonce."""
        out: list[RawTx] = []
        heads = {account: sorted(txs) for account, txs in self.pending.items() if txs}
        while heads:
            first = {account: self.pending[account][nonces[0]] for account, nonces in heads.items()}
            account, tx = max(first.items(), key=lambda item: min(item[1].tip_cap, item[1].fee_cap - base_fee))
            if tx.fee_cap < base_fee or not heads[account]:
                del heads[account]  # everything behind it waits for it
                continue
            out.append(tx)
            heads[account] = heads[account][1:]
            if not heads[account]:
                del heads[account]
        return out

    def reset(self, injected: Iterable[RawTx] = ()) -> None:
        """Follow a new head: forget what is mined or can no longer be paid; take back what a reorg put out."""
        for tx in injected:
            try:
                self.add(tx)
            except Refused:
                continue
        for account in {*self.pending, *self.queued}:
            state = self.state(account)
            kept = {**self.queued.get(account, {}), **self.pending.get(account, {})}
            self.queued[account] = {n: tx for n, tx in kept.items() if n >= state.nonce and tx.cost <= state.balance}
            self.pending[account] = {}
            self._promote(account)

    def drop(self, keep: Callable[[RawTx], bool]) -> list[RawTx]:
        """Forget what ``keep`` does not name, as a node that restarts or is short of memory; returns that."""
        gone = [tx for tx in self.all() if not keep(tx)]
        for tx in gone:
            for place in (self.pending, self.queued):
                if place.get(tx.sender, {}).get(tx.nonce) is tx:
                    del place[tx.sender][tx.nonce]
        for account in {tx.sender for tx in gone}:
            self.queued[account] = {**self.queued.get(account, {}), **self.pending.pop(account, {})}
            self._promote(account)
        return gone

    def _check_rpc(self, tx: RawTx) -> None:
        fee = tx.gas * tx.fee_cap
        if self.rules.fee_cap and fee > self.rules.fee_cap:
            cap = self.rules.fee_cap / _ETHER
            raise Refused(f"tx fee ({fee / _ETHER:.2f} ether) exceeds the configured cap ({cap:.2f} ether)")
        if tx.chain_id is None:
            raise Refused("only replay-protected (EIP-155) transactions allowed over RPC")

    def _check_alone(self, tx: RawTx) -> None:
        rules = self.rules
        if len(tx.raw) > _MAX_BYTES:
            raise Refused(f"oversized data: transaction size {len(tx.raw)}, limit {_MAX_BYTES}")
        if rules.gas_cap is not None and tx.gas > rules.gas_cap:
            raise Refused(f"transaction gas limit too high (cap: {rules.gas_cap}, tx: {tx.gas})")
        if tx.gas > rules.block_gas_limit:
            raise Refused("exceeds block gas limit")
        if tx.tip_cap > tx.fee_cap:
            raise Refused("max priority fee per gas higher than max fee per gas")
        if tx.chain_id != rules.chain_id:
            raise Refused(f"invalid sender: invalid chain id for signer: have {tx.chain_id} want {rules.chain_id}")
        if tx.gas < tx.intrinsic_gas:
            raise Refused(f"intrinsic gas too low: gas {tx.gas}, minimum needed {tx.intrinsic_gas}")
        if rules.calldata_floor and tx.gas < tx.floor_gas:
            raise Refused(f"insufficient gas for floor data gas cost: gas {tx.gas}, minimum needed {tx.floor_gas}")
        if tx.tip_cap < rules.price_limit:
            raise Refused(
                f"transaction gas price below minimum: gas tip cap {tx.tip_cap}, minimum needed {rules.price_limit}"
            )

    def _check_with_state(self, tx: RawTx) -> None:
        state = self.state(tx.sender)
        if tx.nonce < state.nonce:
            raise Refused(f"nonce too low: next nonce {state.nonce}, tx nonce {tx.nonce}")
        words = "insufficient funds for gas * price + value: balance"
        if state.balance < tx.cost:
            over = tx.cost - state.balance
            raise Refused(f"{words} {state.balance}, tx cost {tx.cost}, overshot {over}")
        mine = self.pending.get(tx.sender, {})
        spent = sum(other.cost for other in mine.values())
        old = mine.get(tx.nonce)
        extra, name = (tx.cost, "tx cost") if old is None else (tx.cost - old.cost, "tx bumped")
        if state.balance < spent + extra:
            over = spent + extra - state.balance
            raise Refused(f"{words} {state.balance}, queued cost {spent}, {name} {extra}, overshot {over}")

    def _replaces(self, new: RawTx, old: RawTx) -> bool:
        """Both fields must rise, and by the bump (list.Add)."""
        if new.fee_cap <= old.fee_cap or new.tip_cap <= old.tip_cap:
            return False
        percent = 100 + self.rules.price_bump
        return new.fee_cap >= old.fee_cap * percent // 100 and new.tip_cap >= old.tip_cap * percent // 100

    def _promote(self, account: str) -> None:
        """Move what has no gap before it from the queue, and what now has one back (promote, demote)."""
        known = {**self.queued.get(account, {}), **self.pending.get(account, {})}
        nonce = self.state(account).nonce
        ready = {}
        while nonce in known:
            ready[nonce] = known.pop(nonce)
            nonce += 1
        self.pending[account] = ready
        self.queued[account] = dict(sorted(known.items())[: self.rules.account_queue])

    def _truncate(self, newest: str) -> None:
        """Take the last transactions from accounts above their guarantee while the pool is too full."""
        while sum(len(txs) for txs in self.pending.values()) > self.rules.global_slots:
            account = max(self.pending, key=lambda name: (len(self.pending[name]), name == newest))
            mine = self.pending[account]
            if len(mine) <= self.rules.account_slots:
                return
            del mine[max(mine)]
