"""Rebuild what a lost journal knew from the chain: where an account's nonces begin, and what its compounds brought.

Nothing is signed. The bytes that the lost journal had signed are gone with it, so nothing may be sent before the chain
has all of them or nobody has any: until an account's pool is empty, its recovery does not finish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from keeper.domain.block import BlockRef
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import NO_USD, Address, Amount, Token
from keeper.domain.plan import Leg, LegKind, Plan, Share
from keeper.domain.position import Position
from keeper.domain.transaction import Nonces, Receipt
from keeper.engine.book import Book, Holding
from keeper.engine.context import ChainContext, Plugins
from keeper.engine.observe import observe
from keeper.engine.payout import part_shapes
from keeper.erc20 import BALANCE_OF
from keeper.errors import ReadFailed, RpcRejected, StaleHead
from keeper.ports import Store

__all__ = ["RECOVERED", "Chapter", "Finding", "Lookup", "Mined", "examine", "known_legs", "restore"]

#: What stands beside a compound that was read from the chain.
RECOVERED: Final = "recovered from the chain; what it was worth then is not known"

#: Asks the chain where a mined transaction went and with which calldata; ``None`` when it cannot say.
Lookup: TypeAlias = Callable[[str], tuple[Address, bytes] | None]


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction of the account that the chain has executed, and the leg of a position that it was."""

    nonce: int
    leg: Leg
    receipt: Receipt
    #: Unix seconds of its block.
    timestamp: int


@dataclass(frozen=True, slots=True)
class Chapter:
    """The transactions of one compound, as the chain has them."""

    position: Position
    tokens: tuple[Token, ...]
    stake_token: Token
    mined: tuple[Mined, ...]

    @property
    def finished(self) -> bool:
        """Whether its last leg put something back."""
        return any(one.leg.kind is LegKind.DEPOSIT and one.receipt.status == 1 for one in self.mined)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the chain says of one account."""

    chain: str
    chain_id: int
    owner: Address
    nonces: Nonces
    #: Oldest first.
    chapters: tuple[Chapter, ...] = ()
    #: Transactions that do nothing, sent to the account itself: cancels, and nonces that were filled.
    cancels: int = 0
    #: Transactions that are none of a configured position's, by hash.
    foreign: tuple[str, ...] = ()
    #: Transactions that could not be looked up.
    unknown: int = 0
    #: Reward tokens that the wallet holds, by position.
    wallet: Mapping[str, tuple[Amount, ...]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Transactions that wait in the pool: the lost journal's, or somebody else's."""
        return max(self.nonces.pending - self.nonces.latest, 0)


def known_legs(plugins: Plugins, holding: Holding, harvest: Sequence[Leg]) -> list[Leg]:
    """List every shape of call that a compound of this position can have; the narrowest first.

    Args:
        plugins: adapters.
        holding: the position.
        harvest: its legs that claim.
    """
    position, market = holding.position, holding.market
    legs = [*harvest, *plugins.protocols[position.protocol].deposit(position, market, Share(market.stake_token))]
    slippage = position.options.max_slippage_bps
    for sale in holding.sales:
        for way in sale.ways:
            legs += plugins.swaps[way.spec.kind].swap(way, position.owner, Share(sale.reward), (1, 1), slippage)
    if (basket := market.basket) is not None:
        rates = [(1, 1)] * len(basket.parts)
        legs += plugins.pools[basket.kind].join(basket, position.owner, rates, slippage)
    legs += part_shapes(plugins, holding)
    return sorted(legs, key=lambda leg: len(leg.patches))


def examine(context: ChainContext, book: Book, owner: Address, scan: int, lookup: Lookup) -> Finding:
    """Look at an account's last transactions; needs a sure chain.

    Args:
        context: the chain.
        book: what its positions resolved to.
        owner: the account.
        scan: how many of its last transactions to look at.
        lookup: asks for recipient and calldata of one.

    Raises:
        Transient: the chain cannot be read, or its endpoints contradict each other.
    """
    chain = context.chain
    block, nonces = chain.head(), chain.nonces(owner)
    holdings = [h for h in book.holdings if h.position.owner == owner]
    shapes = _shapes(context, book, holdings, block)
    reader = _Reader(owner, shapes, holdings)
    for nonce, told in reversed(_last_used(context, owner, nonces.latest, scan)):
        receipt = chain.receipt(told) if told is not None else None
        call = lookup(told) if told is not None else None
        if receipt is None or call is None:
            reader.unknown += 1
            continue
        found = chain.block(receipt.block_number)
        reader.read(nonce, receipt, call, found.timestamp if found is not None else block.timestamp)
    return Finding(
        chain=context.name,
        chain_id=chain.facts.chain_id,
        owner=owner,
        nonces=nonces,
        chapters=tuple(reader.chapters()),
        cancels=reader.cancels,
        foreign=tuple(reader.foreign),
        unknown=reader.unknown,
        wallet=_wallet(context, holdings, block),
    )


def _last_used(context: ChainContext, owner: Address, mined: int, scan: int) -> list[tuple[int, str | None]]:
    """Name the last transactions, the newest first; ``None`` from where the endpoints keep no more history."""
    found: list[tuple[int, str | None]] = []
    for nonce in range(mined - 1, max(mined - scan, 0) - 1, -1):
        try:
            user = context.chain.used_by(owner, nonce)
        except (StaleHead, RpcRejected):
            user = None
        if user is None:
            return [*found, *((older, None) for older in range(nonce, max(mined - scan, 0) - 1, -1))]
        found.append((nonce, user[0]))
    return found


def _shapes(context: ChainContext, book: Book, holdings: Sequence[Holding], block: BlockRef) -> dict[str, list[Leg]]:
    seen = observe(context, book, holdings, block).observations
    shapes = {}
    for holding in holdings:
        position = holding.position
        if position.id in seen:
            adapter = context.plugins.protocols[position.protocol]
            claims = adapter.harvest(position, holding.market, seen[position.id])
            shapes[position.id] = known_legs(context.plugins, holding, claims)
    return shapes


def _wallet(context: ChainContext, holdings: Sequence[Holding], block: BlockRef) -> dict[str, tuple[Amount, ...]]:
    pairs = [(h.position, token) for h in holdings for token in h.market.reward_tokens]
    answers = context.chain.read([BALANCE_OF.read(token.address, p.owner) for p, token in pairs], block)
    held: dict[str, tuple[Amount, ...]] = {}
    for (position, token), answer in zip(pairs, answers, strict=True):
        try:
            raw = int(BALANCE_OF.value(answer))
        except ReadFailed:
            continue
        if raw:
            held[position.id] = (*held.get(position.id, ()), Amount(token, raw))
    return held


class _Reader:
    """Sorts an account's transactions, in the order of their nonces, into compounds."""

    def __init__(self, owner: Address, shapes: Mapping[str, Sequence[Leg]], holdings: Iterable[Holding]) -> None:
        self.owner, self.shapes = owner, shapes
        self.holdings = {h.position.id: h for h in holdings}
        self.foreign: list[str] = []
        self.cancels = self.unknown = 0
        self._done: list[tuple[str, list[Mined]]] = []
        self._open: dict[str, list[Mined]] = {}
        #: What may belong to several positions, such as an approval: it goes with what follows.
        self._undecided: list[tuple[dict[str, Leg], Mined]] = []
        self._last = ""

    def read(self, nonce: int, receipt: Receipt, call: tuple[Address, bytes], timestamp: int) -> None:
        """Take in one transaction."""
        to, data = call
        if to == self.owner and not data:
            self.cancels += 1
            return
        means = {p: leg for p, legs in self.shapes.items() if (leg := _meant(legs, to, data)) is not None}
        if not means:
            self.foreign.append(receipt.tx_hash)
            return
        one = Mined(nonce, next(iter(means.values())), receipt, timestamp)
        if len(means) > 1 and self._last not in means:
            self._undecided.append((means, one))
            return
        position = self._last if self._last in means else next(iter(means))
        self._settle_undecided(position)
        self._add(position, Mined(nonce, means[position], receipt, timestamp))

    def chapters(self) -> list[Chapter]:
        """Everything that was read, oldest first."""
        self._settle_undecided("")
        chapters = [*self._done, *self._open.items()]
        chapters.sort(key=lambda pair: pair[1][0].nonce)
        found = []
        for position, mined in chapters:
            if any(one.leg.kind is LegKind.CLAIM for one in mined):
                found.append(self._chapter(position, mined))
            else:  # a deposit that no claim came before is a person's own
                self.foreign += [one.receipt.tx_hash for one in mined]
        return found

    def _settle_undecided(self, position: str) -> None:
        undecided, self._undecided = self._undecided, []
        for means, one in undecided:
            owner = position if position in means else next(iter(means))
            self._add(owner, Mined(one.nonce, means[owner], one.receipt, one.timestamp))

    def _add(self, position: str, one: Mined) -> None:
        group = self._open.get(position, [])
        if one.leg.kind is LegKind.CLAIM and any(m.leg.kind is not LegKind.CLAIM for m in group):
            self._done.append((position, self._open.pop(position)))  # a claim begins the next compound
        self._open.setdefault(position, []).append(one)
        self._last = position
        if one.leg.kind is LegKind.DEPOSIT and one.receipt.status == 1:
            self._done.append((position, self._open.pop(position)))
            self._last = ""

    def _chapter(self, position: str, mined: list[Mined]) -> Chapter:
        holding = self.holdings[position]
        return Chapter(holding.position, holding.tokens, holding.market.stake_token, tuple(mined))


def _meant(legs: Sequence[Leg], to: Address, data: bytes) -> Leg | None:
    """Return the leg that this calldata is: the same everywhere but in the words that a leg leaves open."""
    return next((leg for leg in legs if leg.to == to and _same_shape(leg, data)), None)


def _same_shape(leg: Leg, data: bytes) -> bool:
    if len(data) != len(leg.template) or data[:4] != leg.template[:4]:
        return False
    free = {patch.word for patch in leg.patches}
    words = range((len(data) - 4) // 32)
    return all(
        word in free or data[4 + 32 * word : 36 + 32 * word] == leg.template[4 + 32 * word : 36 + 32 * word]
        for word in words
    )


# ------------------------------------------------------------------------------------------------------ writing


def restore(store: Store, raise_floor: Callable[[int, Address, int], None], found: Finding) -> int:
    """Write one account's recovery: its compounds and ledger rows first, and last the floor that lets it sign again.

    Cut short, it is done again: what stands already is not written twice.

    Returns:
        How many compounds were written.
    """
    known = {h.id: h for h in store.harvests(limit=1_000_000)}
    booked = {(e.tx_hash, e.log_index) for e in store.ledger()}
    written = 0
    for chapter in found.chapters:
        harvest = _harvest(found, chapter)
        before = known.get(harvest.id)
        if before is not None and before.state is not HarvestState.OPEN:
            continue
        entries = [e for e in _entries(harvest.id, chapter) if (e.tx_hash, e.log_index) not in booked]
        if before is None and not entries:
            continue  # the journal has it under its own name
        if before is None:
            opened = replace(
                harvest, state=HarvestState.OPEN, finished_at=None, received=(), compounded=None, gas_used=0, cost_wei=0
            )
            store.open_harvest(opened, _plan(harvest, chapter))
        store.close_harvest(harvest, entries)
        written += 1
    raise_floor(found.chain_id, found.owner, found.nonces.latest)
    return written


def _plan(harvest: Harvest, chapter: Chapter) -> Plan:
    return Plan(
        id=harvest.plan_id,
        position_id=harvest.position_id,
        chain=harvest.chain,
        owner=harvest.owner,
        legs=(),
        tokens=chapter.tokens,
        stake_token=chapter.stake_token,
    )


def _harvest(found: Finding, chapter: Chapter) -> Harvest:
    first, last = chapter.mined[0], chapter.mined[-1]
    identity = f"chain-{first.receipt.tx_hash.removeprefix('0x')[:16]}"
    owner = found.owner
    claimed = [m.receipt for m in chapter.mined if m.leg.kind is LegKind.CLAIM]
    gained = (Amount(t, sum(r.delta(t, owner).raw for r in claimed)) for t in chapter.tokens)
    paid_in = [m.receipt for m in chapter.mined if m.leg.kind is LegKind.DEPOSIT and m.receipt.status == 1]
    stake = chapter.stake_token
    spent = {t.address for m in chapter.mined if m.leg.kind is LegKind.DEPOSIT for t in m.leg.spends}
    sent = {
        token: sum(t.raw for r in paid_in for t in r.transfers if t.token == token.address and t.sender == owner)
        for token in chapter.tokens
        if token.address in spent
    }
    parts = tuple(Amount(token, raw) for token, raw in sent.items() if raw and token.address != stake.address)
    compounded = sent.get(stake, 0)
    return Harvest(
        id=identity,
        position_id=chapter.position.id,
        chain=found.chain,
        owner=owner,
        state=HarvestState.DONE if chapter.finished else HarvestState.FAILED,
        plan_id=identity,
        decided_block=first.receipt.block_number,
        started_at=first.timestamp,
        predicted_reward_usd=NO_USD,
        predicted_cost_usd=NO_USD,
        predicted_gas=0,
        finished_at=last.timestamp,
        received=tuple(amount for amount in gained if amount.raw > 0),
        compounded=Amount(stake, compounded) if paid_in and (compounded or not parts) else None,
        deposited=parts if not compounded else (),
        gas_used=sum(m.receipt.gas_used for m in chapter.mined),
        cost_wei=sum(m.receipt.cost_wei for m in chapter.mined),
        error=RECOVERED if chapter.finished else f"{RECOVERED}; not put back into the farm",
    )


def _entries(harvest_id: str, chapter: Chapter) -> list[LedgerEntry]:
    tokens = {token.address: token for token in chapter.tokens}
    owner = chapter.position.owner
    return [
        LedgerEntry(
            harvest_id=harvest_id,
            tx_hash=one.receipt.tx_hash,
            log_index=log.log_index,
            block_number=one.receipt.block_number,
            timestamp=one.timestamp,
            kind=one.leg.kind.value,
            amount=Amount(tokens[log.token], log.raw if log.recipient == owner else -log.raw),
            value_usd=None,
        )
        for one in chapter.mined
        for log in one.receipt.transfers
        if log.token in tokens and owner in (log.sender, log.recipient) and log.sender != log.recipient and log.raw
    ]
