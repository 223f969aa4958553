"""What the steps of one chain share: ports, positions, limits. Composed by the app, constant for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from keeper.domain.events import Event, EventName, Level
from keeper.domain.money import NO_USD, Address, Token, UsdWad
from keeper.domain.position import Position
from keeper.domain.valuation import Quote
from keeper.engine.base_currency import BaseCurrency
from keeper.engine.outlook import Outlook
from keeper.ports import (
    Chain,
    Clock,
    EventSink,
    PoolMaker,
    PriceSource,
    PriceSpec,
    ProtocolAdapter,
    QuoteSource,
    Signer,
    Store,
    Submitter,
    SwapAdapter,
)
from keeper.strategy.verdicts import LivePolicy
from keeper.tx.refusals import NO_WORDS, Words
from keeper.tx.slot import Rules

__all__ = [
    "BatchTerms",
    "ChainContext",
    "Limits",
    "Plugins",
    "PriceRules",
    "ask_key",
    "halt_key",
    "looked_key",
    "native_key",
    "no_checkpoint",
    "own_key",
]


@dataclass(frozen=True, slots=True)
class Plugins:
    """Adapters by the name the config uses."""

    protocols: Mapping[str, ProtocolAdapter]
    swaps: Mapping[str, SwapAdapter]
    pools: Mapping[str, PoolMaker]
    prices: Mapping[str, PriceSource]


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard stops. The engine looks at them to say why; the signer enforces them."""

    per_tx_usd: UsdWad
    per_day_usd: UsdWad
    #: Highest price per gas unit ever bid, wei; ``None`` for no such limit.
    max_gas_price_wei: int | None = None
    #: Native balance below which nothing is started, wei.
    min_native_wei: int = 0
    #: Days of gas money below which somebody should be told.
    min_runway_days: int = 7
    #: Failed compounds of all positions in a day, after which everything pauses.
    failures_per_day: int = 10


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What one round of a batch costs once, whatever is in it."""

    shared_usd: UsdWad = NO_USD
    #: Gas units that the round pays once.
    shared_gas: int = 0


@dataclass(frozen=True, slots=True)
class PriceRules:
    """When sources agree."""

    min_sources: int = 2
    max_deviation_bps: int = 200
    #: How far an agreed price may be from what the web says, where that is asked.
    sanity_bps: int = 1_000


def halt_key(chain: str, owner: Address) -> str:
    """Name the flag under which an account's halt is remembered; ``keeper unblock`` clears it."""
    return f"halt:{chain}:{owner}"


def looked_key(harvest_id: str) -> str:
    """Name the flag that says that a person has looked at what a compound did, and lets it go on."""
    return f"looked:{harvest_id}"


def native_key(chain: str) -> str:
    """Name the flag that keeps the gas token's price as it was last agreed on."""
    return f"native:{chain}"


def own_key(harvest_id: str) -> str:
    """Name the flag that keeps what the wallet held of each token before a compound."""
    return f"own:{harvest_id}"


def ask_key(what: str, intent_id: str) -> str:
    """Name the flag by which a person, or an earlier finding, asks for ``cancel`` or ``speed-up`` of an intent."""
    return f"ask:{what}:{intent_id}"


def no_checkpoint(_: str) -> None:
    """Do nothing at a named point of the way; tests put a kill here."""


def no_outside_price(_: Token) -> Quote | None:
    """Know of no price outside the chain."""
    return None


#: Five dollars.
_CANCEL_MAX = UsdWad(5 * 10**18)


@dataclass(frozen=True, slots=True)
class ChainContext:
    """Everything the steps of one chain need."""

    chain: Chain
    plugins: Plugins
    positions: tuple[Position, ...]
    #: Configured price sources by token address.
    price_specs: Mapping[Address, tuple[PriceSpec, ...]]
    price_rules: PriceRules
    limits: Limits
    store: Store
    clock: Clock
    events: EventSink
    #: Guarded signers by the name the config uses.
    signers: Mapping[str, Signer]
    submitter: Submitter
    #: Gas units of a whole compound by position, as the last simulation told.
    learned_gas: dict[str, int] = field(default_factory=dict)
    #: L1 data fee of a whole compound by position, wei, as the last simulation told.
    learned_l1_fee: dict[str, int] = field(default_factory=dict)
    #: What the price of gas was lately.
    outlook: Outlook = field(default_factory=Outlook)
    #: Policies by the name the config uses; a position that names none is decided by keeper's rule.
    policies: Mapping[str, LivePolicy] = field(default_factory=dict)
    #: The policy of ``[strategy]``; ``""`` for keeper's rule.
    policy: str = ""
    #: Batches by the name the config uses.
    batches: Mapping[str, BatchTerms] = field(default_factory=dict)
    #: What the web says a token is worth, where that is asked and fresh; never waits.
    outside_price: Callable[[Token], Quote | None] = no_outside_price
    #: Who says what a sale would bring elsewhere; ``None`` where nobody is asked.
    quotes: QuoteSource | None = None
    #: How much more that may be than the best configured way brings, basis points.
    quotes_worse_bps: int = 100
    #: The currency that people are told amounts in; one for all chains.
    base: BaseCurrency = field(default_factory=BaseCurrency)
    #: Seconds for which samples and prices of gas are kept.
    history_seconds: int = 400 * 86_400
    #: What was learnt of positions by looking: forward rates, ends that moved (``engine.learnt``).
    learnt: dict[str, object] = field(default_factory=dict)
    #: Flags that a look has learnt and that are written at its end, all in one commit (``engine.learnt``).
    unwritten: dict[str, str] = field(default_factory=dict)
    #: Price of the gas token as last agreed, USD wad, under ``"native"``: to value what no compound's own prices do.
    prices_seen: dict[str, int] = field(default_factory=dict)
    #: When something was last said that is worth repeating, but not at each look; monotonic seconds. The parts of a key
    #: stand between colons; one is the id of what it is about.
    said: dict[str, float] = field(default_factory=dict)
    #: When each position's shadows last lived on, unix seconds (``engine.race``); ``None`` where no race is wanted.
    races: dict[str, int] | None = field(default_factory=dict)
    #: What is in flight by account (``engine.flight.Flight``).
    flights: dict[Address, object] = field(default_factory=dict)
    #: Signed and unmined transactions at once, per account.
    max_in_flight: int = 1
    #: Most that a cancel's fees may be worth, at its caps.
    cancel_max_usd: UsdWad = _CANCEL_MAX
    #: Why nothing may be begun now; ``None`` when it may.
    paused: Callable[[], str | None] = field(default=lambda: None)
    #: Seconds to wait for a transaction's confirmations before leaving it to the next start.
    confirm_timeout: float = 600.0
    #: Seconds between two looks for a receipt.
    poll_seconds: float = 2.0
    #: Seconds after which unconfirmed raw bytes are sent again, unchanged.
    resend_seconds: float = 60.0
    #: Seconds after which an unmined transaction's price is looked at, and blocks after which one is outbid that could
    #: have been mined at its price.
    bump_seconds: float = 30.0
    bump_blocks: int = 3
    #: Blocks after which a first leg that gas has left behind, and that is not worth its price, is cancelled.
    deadline_blocks: int = 150
    #: What this chain's nodes say to transactions, as far as the config knows better.
    error_words: Words = field(default_factory=lambda: NO_WORDS)
    #: Seconds for which somebody else's waiting transaction is waited for before keeper goes on.
    foreign_seconds: float = 600.0
    #: Age above which the newest block is too old to decide by, seconds; ``None`` where time stands still (a fork).
    max_head_age_seconds: int | None = None
    #: Seconds by which the newest block may be ahead of this machine's clock; ``None`` where time is played forward.
    max_head_lead_seconds: int | None = None
    #: Seconds that a draining process still gives a transaction to confirm.
    drain_seconds: float = 5.0
    #: Whether the process is draining: no new leg is started then.
    stopping: Callable[[], bool] = field(default=lambda: False)
    #: Called with the name of each point between two durable facts.
    checkpoint: Callable[[str], None] = field(default=no_checkpoint)

    @property
    def name(self) -> str:
        """The chain's name in the config."""
        return self.chain.facts.name

    def sure(self) -> ChainContext:
        """The same with a chain whose every answer a quorum agrees on: for whatever leads to a signature."""
        return replace(self, chain=self.chain.agreed())

    @property
    def rules(self) -> Rules:
        """How patient the machine is here."""
        facts = self.chain.facts
        return Rules(
            confirmations=facts.confirmations,
            finality_blocks=max(facts.finality_blocks, facts.confirmations),
            resend_seconds=self.resend_seconds,
            bump_seconds=self.bump_seconds,
            bump_blocks=self.bump_blocks,
            deadline_blocks=self.deadline_blocks,
            tip_cap_wei=facts.tip_cap_wei,
            words=self.error_words,
        )

    def forget(self, about: str) -> None:
        """Drop what was said of a compound, or of a transaction, that has ended; ``about`` is its id."""
        for key in list(self.said):
            if about in key.split(":"):
                self.said.pop(key, None)

    def emit(self, name: EventName, level: Level = Level.INFO, **fields: str | int | bool | None) -> None:
        """Send one event into the stream."""
        self.events.emit(Event(name, level, fields))
