"""Every boundary of the engine on one page. A new protocol, exchange, price or key is one file that fits one of these.

Adapters are sans-I/O: they say which views to read and which calls to make, and decode the answers. The engine does
the I/O, all positions of a chain together, pinned to one block. ``tests/conformance`` holds one suite per port.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from keeper.domain.block import BlockRef
from keeper.domain.decision import Decision
from keeper.domain.drops import Drops
from keeper.domain.events import Event
from keeper.domain.facts import ChainFacts, Place
from keeper.domain.harvest import Harvest, LedgerEntry, Standing
from keeper.domain.journal import Change, Track
from keeper.domain.money import NO_USD, Address, Amount, Token, UsdWad
from keeper.domain.observation import Observation, Sample
from keeper.domain.permission import ArgRule, Permission
from keeper.domain.plan import Call, Leg, Plan, Share
from keeper.domain.position import Basket, Market, Position, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.sale_quote import SaleQuote
from keeper.domain.spec import ParamSpec, PriceSpec
from keeper.domain.transaction import (
    FeeQuote,
    Nonces,
    Purpose,
    Receipt,
    Sight,
    SignedTx,
    Simulation,
    Submission,
    TxRequest,
)
from keeper.domain.valuation import Quote, TokenPrice

Learnt = TypeVar("Learnt")

__all__ = [
    "ArgRule",
    "Chain",
    "Clock",
    "CompoundsAtOnce",
    "Discovers",
    "EventSink",
    "Found",
    "Journal",
    "KeySigner",
    "Nonces",
    "ParamSpec",
    "Permission",
    "PoolMaker",
    "PriceSource",
    "PriceSpec",
    "ProtocolAdapter",
    "Questions",
    "QuoteSource",
    "Signer",
    "Store",
    "Submission",
    "Submitter",
    "SwapAdapter",
    "SwapRoute",
    "TakesDrops",
    "Warrant",
]

#: A conversation with a chain, without I/O: yield a batch of reads, receive the results in order, return the lesson.
Questions: TypeAlias = Generator[Sequence[Read], Sequence[ReadResult], Learnt]


# ---------------------------------------------------------------------------- protocols


@runtime_checkable
class ProtocolAdapter(Protocol):
    """One protocol family. Stateless; entry point group ``keeper.protocols``."""

    #: Value of ``protocol =`` in the config.
    name: str
    #: Protocol-specific keys of a position block.
    params: Mapping[str, ParamSpec]

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask the position's contracts for what never changes: tokens, decimals, helper contracts.

        Raises (inside the generator):
            ReadFailed: when the target does not answer like this protocol.
            ConfigError: when the answers contradict the position's params (say which).
        """

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Views to read each cycle. Constant for a position, so that encoded batches can be cached."""

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode the results of ``reads``. Raises ReadFailed."""

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """Legs that bring pending rewards into the owner's wallet."""

    def deposit(
        self, position: Position, market: Market, amount: Share, observation: Observation | None = None
    ) -> Sequence[Leg]:
        """Legs (exact approval first) that stake ``amount`` of the stake token for the owner.

        Where the market has ``stake_parts`` and no ``basket`` (a range of Uniswap V3), the legs put in all that the
        harvest has left of these parts, and ``amount`` is not used. Empty where a harvest puts back by itself.
        ``observation`` is ``None`` when only the shape of the calls is asked for (their amounts are then anything).
        """

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """The only calls that harvest and deposit ever make, with owner and spender fixed."""


@runtime_checkable
class CompoundsAtOnce(Protocol):
    """Of a protocol adapter: it can claim and put back in one call, without the rewards passing through the wallet."""

    def compound(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """Legs (kind COMPOUND) that do both; empty when that cannot be done now, and claim and deposit are used.

        ``observation.pending`` is what a simulated claim would bring.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """A position of an account that ``discover`` has found: what its config block will say."""

    place: Place
    target: Address
    params: Mapping[str, str | int | bool]
    #: What is staked there.
    staked: Amount
    #: For people, e.g. ``"pool 12, SUSHI/WETH"``.
    label: str = ""


@runtime_checkable
class Discovers(Protocol):
    """Of a protocol adapter: it can find an account's positions in a known place by chain data alone."""

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask a known farm, pool or registry for everything that ``owner`` has in it; empty when there is nothing.

        Bounded: a registry of thousands is asked in batches of some hundred views, newest first where it matters.
        Keys that a place may have in the config beside the positions' own are named by an attribute ``place_params``.
        Where no view lists an account's NFTs (Uniswap V4), ``ids`` is one: the numbers to look at ("12,13,20-30"),
        which ``keeper discover --logs`` fills in.
        """


@runtime_checkable
class TakesDrops(Protocol):
    """Of a protocol adapter: part of what it needs is proofs that no chain can be asked for."""

    def drop_source(self, position: Position) -> str:
        """Where a position's proofs are: a path or a web address. ``{owner}`` and ``{chain_id}`` are filled in."""

    def with_drops(self, drops: Callable[[str, Address, str], Drops]) -> ProtocolAdapter:
        """Return the adapter that asks ``drops(source, owner, chain name)``; the answer is never waited for."""


# ---------------------------------------------------------------------------- exchanges


@dataclass(frozen=True, slots=True)
class SwapRoute:
    """A resolved way from one token to another on one exchange."""

    spec: RouteSpec
    #: Tokens passed through, first is sold, last is bought.
    path: tuple[Token, ...]
    #: Pool of each hop.
    pools: tuple[Address, ...]
    #: All hops' fees together, basis points, rounded up.
    fee_bps: int
    #: One number a hop that the exchange needs (fee tier, kind of pool, coin indices); empty where it needs none.
    hops: tuple[int, ...] = ()
    #: Gas units of one such swap as seen on real code: by it routes are compared net of gas.
    gas: int = 110_000


@runtime_checkable
class SwapAdapter(Protocol):
    """One kind of exchange. Stateless; entry point group ``keeper.swaps``."""

    #: Value of ``kind =`` in a route.
    name: str

    def resolve(self, spec: RouteSpec, sell: Token, buy: Token) -> Questions[Sequence[SwapRoute]]:
        """Find every usable way, direct and over ``spec.via``, best first. Raises ReadFailed or ConfigError for none.

        At most four: the best few by selling a small part of the deepest pool.
        """

    def reads(self, route: SwapRoute) -> Sequence[Read]:
        """Views needed by ``depth`` each cycle. Constant for a route."""

    def depth(self, route: SwapRoute, results: Sequence[ReadResult]) -> int:
        """Size of the sold token's side of the shallowest pool, in the sold token's base units.

        Impact is reckoned as in a constant-product pool of this size: selling v loses v/(depth+v). A pool of another
        shape says the depth that loses as much for a small amount. Raises ReadFailed.
        """

    def quote_reads(self, route: SwapRoute, sold: int) -> Sequence[Read]:
        """Views needed by ``quote``: asked once a harvest is near, for the amount that would be sold."""

    def quote(self, route: SwapRoute, results: Sequence[ReadResult], sold: int) -> int:
        """Base units bought for ``sold`` base units, at the pools' present state. Raises ReadFailed."""

    def swap(
        self, route: SwapRoute, owner: Address, sold: Share, floor: tuple[int, int], slippage_bps: int
    ) -> Sequence[Leg]:
        """Legs (exact approval first) that sell ``sold``; ``floor`` is the oracle price as bought/sold base units."""

    def permissions(self, route: SwapRoute, owner: Address) -> Sequence[Permission]:
        """The only calls that ``swap`` makes, along any configured path of ``route.spec``."""


@runtime_checkable
class PoolMaker(Protocol):
    """Turns tokens into an LP token or a share. Stateless; entry point group ``keeper.pools``."""

    name: str

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:
        """Ask a stake token whether it is of this kind; ``None`` when it is not.

        ``routes``: the position's exchanges: a pool of Uniswap V2's kind needs the router of its own factory. Where
        one part is enough (Curve), it is the first that a route passes through (``via``), else the pool's first.
        Without any route only the parts and the price are asked for, and ``entry`` may be the token itself.

        Raises (inside the generator):
            ConfigError: it is of this kind, but no configured route can make it (say what to add).
        """

    def reads(self, basket: Basket) -> Sequence[Read]:
        """Views needed by ``mix`` each cycle. Constant for a basket; empty where the mix is."""

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:
        """How the value put in is spread over the parts at present, parts per million; sums to a million."""

    def join(
        self, basket: Basket, owner: Address, rates: Sequence[tuple[int, int]], slippage_bps: int
    ) -> Sequence[Leg]:
        """Legs (exact approvals first) that put in all that the harvest has brought of the parts.

        ``rates``: per part, base units of the token made per base unit of the part by agreed prices, as a fraction.
        """

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:
        """The only calls that ``join`` makes."""


@runtime_checkable
class QuoteSource(Protocol):
    """Somebody outside the chain who knows what a sale would bring: a yardstick for the ways above, never a way."""

    #: For people.
    name: str

    def quote(self, owner: Address, sold: Amount, buy: Token, *, wait: bool) -> SaleQuote | None:
        """Say what selling ``sold`` would bring; ``None`` when nobody says, for whatever reason. Never raises.

        ``wait``: ask, for a bounded time; otherwise what is known already is said, and nothing is waited for.
        """


# ---------------------------------------------------------------------------- prices


@runtime_checkable
class PriceSource(Protocol):
    """One kind of price. Stateless; entry point group ``keeper.prices``."""

    #: Value of ``kind =`` in a price block.
    name: str
    params: Mapping[str, ParamSpec]

    def resolve(self, spec: PriceSpec, token: Token) -> Questions[Mapping[str, str]]:
        """Ask once for what never changes (pool sides, feed decimals); the answer is handed back to the calls below."""

    def needs(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Address]:
        """Tokens whose agreed price must be known first."""

    def reads(self, spec: PriceSpec, token: Token, facts: Mapping[str, str]) -> Sequence[Read]:
        """Views to read each cycle."""

    def quote(
        self,
        spec: PriceSpec,
        token: Token,
        facts: Mapping[str, str],
        results: Sequence[ReadResult],
        block: BlockRef,
        known: Mapping[Address, TokenPrice],
    ) -> Quote:
        """Form the price. Raises PriceUnavailable with the reason (missing, stale, bound broken)."""


# ---------------------------------------------------------------------------- chain


@runtime_checkable
class Chain(Protocol):
    """One chain through its endpoints. Every method may raise Transient (bounded retries are inside) or RpcRejected."""

    facts: ChainFacts

    def head(self) -> BlockRef:
        """Newest block."""

    def block(self, number: int) -> BlockRef | None:
        """Canonical block at a height, or ``None`` above the head."""

    def read(self, reads: Sequence[Read], block: BlockRef) -> list[ReadResult]:
        """Answer all reads at one block, in order, in few requests. Never fewer answers than reads."""

    def fees(self) -> FeeQuote:
        """Price of gas in the next block, tip within the chain's floor and cap."""

    def simulate(
        self, owner: Address, calls: Sequence[Call], tokens: Sequence[Address], block: BlockRef | None = None
    ) -> Simulation:
        """Run the calls one after another as ``owner`` on top of ``block`` (latest by default); send nothing."""

    def l1_fee_wei(self, data: bytes) -> int:
        """L1 data fee of a transaction with this calldata; 0 where the chain has none."""

    def agreed(self) -> Chain:
        """The same chain, every answer given alike by ``quorum`` endpoints (else Disagreement): what is signed on."""

    def sight(self, account: Address, hashes: Sequence[str], heights: Sequence[int] = ()) -> Sight:
        """Look at everything in flight in one request per endpoint, agreed by the quorum.

        ``heights``: blocks whose canonical hash is asked for. Raises Disagreement when receipts contradict each other.
        """

    def nonces(self, account: Address) -> Nonces:
        """Transaction counts."""

    def used_by(self, account: Address, nonce: int) -> tuple[str, int] | None:
        """Hash and block of the mined transaction with this nonce, agreed by the quorum; ``None`` without proof."""

    def balance(self, account: Address) -> int:
        """Wei held by an account."""

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Receipt, or ``None`` when the chain does not have it (which proves nothing)."""


@runtime_checkable
class Submitter(Protocol):
    """Puts raw transactions on the wire. Entry point group ``keeper.submitters``."""

    name: str

    def submit(self, signed: SignedTx) -> tuple[Submission, str]:
        """Send raw bytes; returns the outcome and the node's words. Never raises for a node's refusal."""

    def submit_many(self, batch: Sequence[SignedTx]) -> list[tuple[Submission, str]]:
        """Send several in this order, in one request per endpoint where it can; an outcome for each."""


# ---------------------------------------------------------------------------- keys


@dataclass(frozen=True, slots=True)
class Warrant:
    """Why a transaction may be signed: which position's plan it belongs to, and the simulation that passed it."""

    position_id: str
    plan_id: str
    leg_index: int
    #: Simulation whose last call is exactly this transaction's call.
    simulation: Simulation
    #: Value of the fees at the transaction's caps (gas * max fee, plus L1 fee), USD wad.
    max_fee_usd: UsdWad
    #: The same of what is signed together with it and not journaled yet: the day's limit counts it as spent.
    beside_usd: UsdWad = NO_USD
    #: CANCEL permits one thing only: nothing, sent to the account itself, with a nonce that the journal already uses.
    purpose: Purpose = Purpose.WORK


@runtime_checkable
class KeySigner(Protocol):
    """Holds one key; entry point group ``keeper.signers``. The engine never sees it, only ``Signer``."""

    address: Address

    def sign(self, request: TxRequest) -> SignedTx:
        """Sign exactly this request. Raises KeyUnavailable."""


@runtime_checkable
class Signer(Protocol):
    """A key behind its policy: the only thing that can sign."""

    address: Address

    def sign(self, request: TxRequest, warrant: Warrant) -> SignedTx:
        """Check the request against the policy, then sign. Raises PolicyDenied naming the broken rule."""


# ---------------------------------------------------------------------------- memory


@runtime_checkable
class Journal(Protocol):
    """Write-ahead journal of everything that touches the wire. Each writing method is one durable (fsynced) commit.

    Raises StoreUnavailable when the commit is not certain, IllegalTransition when the table of states forbids it.
    """

    def open_harvest(self, harvest: Harvest, plan: Plan) -> None:
        """Record a compound before its first leg."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes in this order in one commit, or none.

        Where this process holds the account's lease, AddAttempt checks its fencing token in the same commit.

        Raises:
            IllegalTransition: the table of states or a constraint forbids one of them.
            LaneHeld: another process has taken the account's lease.
        """

    def close_harvest(self, harvest: Harvest, entries: Sequence[LedgerEntry]) -> None:
        """Record the outcome and the ledger rows, in one commit."""

    def open_harvests(self, chain: str, owner: Address) -> list[tuple[Harvest, Plan]]:
        """Compounds that are not finished, oldest first: what ``recover`` goes on with."""

    def tracks_of(self, harvest_id: str) -> list[Track]:
        """Legs of a compound in order, each with its transactions and receipt; a leg tried again comes again."""

    def tracks(self, chain: str, sender: Address) -> list[Track]:
        """Every intent of an account that is in flight, or mined and not final, by nonce (unsigned ones last)."""

    def track(self, intent_id: str) -> Track | None:
        """One intent with all that is on record."""

    def recent_tracks(self, limit: int = 50) -> list[Track]:
        """Newest first, all accounts."""

    def nonces_used(self, chain_id: int, sender: Address, start: int) -> set[int]:
        """Nonces from ``start`` on that any intent on record has."""

    def next_nonce(self, chain_id: int, sender: Address) -> int:
        """One above the highest nonce the journal knows (a recovered floor included); 0 when it knows none."""

    def spent_usd(self, chain: str, sender: Address, since: int) -> UsdWad:
        """Fees since a unix time: realised for mined attempts, the cap for those in flight."""


@runtime_checkable
class Store(Journal, Protocol):
    """The journal, and everything else worth remembering."""

    def record_decisions(self, batch: Sequence[Decision]) -> list[bool]:
        """Record a cycle's decisions in one commit; for each, whether verdict or first reason changed."""

    def decisions(self, position_id: str, limit: int = 20) -> list[Decision]:
        """Changes only, newest first."""

    def latest_decision(self, position_id: str) -> Decision | None:
        """The last decision recorded with its numbers; in a fleet of thousands, refreshed in turns."""

    def verdict_since(self, position_id: str) -> int | None:
        """Block time (unix seconds) at which the present verdict began."""

    def record_samples(self, batch: Sequence[Sample]) -> None:
        """Record what a cycle saw and what it meant, in one commit; the history is thinned as it ages."""

    def latest_observation(self, position_id: str) -> Observation | None:
        """The last observation recorded."""

    def samples(self, position_id: str, since: int = 0, until: int | None = None) -> list[Sample]:
        """A position's kept history between two block times (unix seconds, both included), oldest first."""

    def record_gas(self, block: BlockRef, fees: FeeQuote) -> None:
        """Keep one sample of the price of gas; at most one an hour of block time is kept."""

    def gas_history(self, chain: str, since: int = 0) -> list[tuple[int, int, int]]:
        """Kept samples, oldest first: (block time in unix seconds, base fee, tip), wei."""

    def forget_before(self, timestamp: int) -> int:
        """Drop history (samples, gas) older than a block time; returns how many. The journal itself is kept."""

    def thin(self, now: int, keep_seconds: int) -> int:
        """Thin the history by age, and drop what is older than ``keep_seconds``; returns how many samples went.

        ``now``: block time (unix seconds). Kept are one sample each ten minutes for a week, each hour for 90 days, each
        six hours beyond, and always those next to a compound. Cheap enough for once a day.
        """

    def last_gas(self, position_id: str) -> int | None:
        """Gas units that the last finished compound of the position really used."""

    def failures(self, position_id: str) -> int:
        """Failed compounds in a row since the last one that was done."""

    def standings(self, position_ids: Collection[str]) -> dict[str, Standing]:
        """What the compounds of many positions come to, asked at once; a position without any is left out."""

    def set_flag(self, key: str, value: str | None) -> None:
        """Remember a small fact across restarts (quarantine, pause); ``None`` forgets it."""

    def set_flags(self, values: Mapping[str, str | None]) -> None:
        """Remember many small facts in one commit; ``None`` forgets one."""

    def get_flag(self, key: str) -> str | None:
        """A remembered fact."""

    def flags(self, prefix: str) -> dict[str, str]:
        """Remembered facts whose key begins like this, by key."""

    def acquire_lease(self, lane: str, holder: str, ttl: int) -> int:
        """Own a lane for ``ttl`` seconds; returns the fencing token. Raises LaneHeld naming who owns it."""

    def renew_lease(self, lane: str, token: int, ttl: int) -> None:
        """Own it for ``ttl`` seconds from now. Raises LaneHeld when another has taken it meanwhile."""

    def release_lease(self, lane: str, token: int) -> None:
        """Give the lane up; does nothing when it is no longer ours."""

    def harvests(self, position_id: str | None = None, limit: int = 100) -> list[Harvest]:
        """Newest first."""

    def ledger(self, position_id: str | None = None, since: int = 0) -> list[LedgerEntry]:
        """Token movements in chain order, reversed ones left out."""

    def close(self) -> None:
        """Release files and connections."""


# ---------------------------------------------------------------------------- surroundings


@runtime_checkable
class EventSink(Protocol):
    """Takes every event. Must not raise and must not block: what is slow queues by itself."""

    def emit(self, event: Event) -> None:
        """Take one event."""


@runtime_checkable
class Clock(Protocol):
    """Time as the engine sees it; decisions use block timestamps, this is for waiting and for the day's budget."""

    def now(self) -> int:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait, or return early when the daemon stops."""
