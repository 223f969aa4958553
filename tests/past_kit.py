"""A farm that is known through and through: it writes the samples, compounds and ledger that keeper would have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from keeper.domain.block import BlockRef
from keeper.domain.decision import CostParts, DecisionNumbers
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.money import WAD, Address, Amount, Token, UsdWad
from keeper.domain.observation import Accrual, Observation, Sample
from keeper.domain.plan import Plan

YEAR = 365 * 86_400
DAY = 86_400
HOUR = 3_600
#: Midnight UTC.
START = 1_735_689_600

OWNER = Address("0x" + "11" * 20)
LP = Token("bnb", Address("0x" + "22" * 20), "CAKE-BNB", 18)
CAKE = Token("bnb", Address("0x" + "33" * 20), "CAKE", 18)
BNB = Token("bnb", Address("0x" + "44" * 20), "WBNB", 18)


def dollars(value) -> UsdWad:
    return UsdWad(int(Fraction(str(value)) * WAD))


def trimmed(value: Fraction) -> Fraction:
    """Keep thirty digits after the point: exact fractions of a long story get longer and longer."""
    return Fraction(int(value * 10**30), 10**30)


def always(value) -> Callable[[int], Fraction]:
    constant = Fraction(str(value))
    return lambda _at: constant


@dataclass
class Farm:
    """One position, followed exactly; amounts are fractions of whole tokens until they are written down."""

    #: Whole stake tokens at the beginning.
    stake: Fraction = Fraction(100)
    #: Dollars a year that a dollar of stake earns.
    rate: Callable[[int], Fraction] = field(default_factory=lambda: always("0.2"))
    #: Dollars per whole token at a time (seconds from the start).
    price: Callable[[int], Fraction] = field(default_factory=lambda: always(100))
    reward_price: Callable[[int], Fraction] = field(default_factory=lambda: always(2))
    #: Dollars that a compound costs.
    cost: Callable[[int], Fraction] = field(default_factory=lambda: always("0.5"))
    #: Part of a reward that selling it loses.
    fee: Fraction = Fraction(0)
    stake_token: Token = LP
    reward_token: Token = CAKE
    #: Dollars per unit of the reporting currency.
    base: Callable[[int], Fraction] = field(default_factory=lambda: always(1))
    position_id: str = "cake-bnb"
    #: What further tokens cost, by address.
    others: dict[str, Callable[[int], Fraction]] = field(default_factory=dict)
    #: Yearly growth of the stake by itself.
    interest: Fraction = Fraction(0)
    #: Part of a deposit that the protocol keeps.
    deposit_fee_bps: int = 0

    at: int = 0
    pending: Fraction = Fraction(0)
    samples: list[Sample] = field(default_factory=list)
    harvests: list[Harvest] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)

    # ------------------------------------------------------------------------------ what happens

    def go(self, seconds: int) -> None:
        """Let time pass."""
        part = Fraction(seconds, YEAR)
        earned = self.stake * self.price(self.at) * self.rate(self.at) * part / self.reward_price(self.at)
        self.pending = trimmed(self.pending + earned)
        self.stake = trimmed(self.stake + self.stake * self.interest * part)
        self.at += seconds

    def move(self, tokens) -> None:
        """Put stake in or take it out, from outside."""
        self.stake += Fraction(str(tokens))

    def claim_by_hand(self) -> None:
        self.pending = Fraction(0)

    def compound(self, *, payout: Fraction = Fraction(0), state: HarvestState = HarvestState.DONE) -> Harvest:
        """Claim, sell, deposit; pay for it."""
        number = len(self.harvests)
        brought = self._raw(self.pending, self.reward_token)
        worth = self.pending * self.reward_price(self.at)
        paid = worth * payout
        bought = (worth - paid) * (1 - self.fee) / self.price(self.at)
        same = self.stake_token.address == self.reward_token.address
        self._note(number, "claim", self.reward_token, brought)
        if paid:
            self._note(number, "payout", self.reward_token, -self._raw(paid / self.reward_price(self.at), CAKE))
        compounded = None
        if state is HarvestState.DONE:
            if not same:
                self._note(
                    number, "swap", self.reward_token, -self._raw((worth - paid) / self.reward_price(self.at), CAKE)
                )
                self._note(number, "add_liquidity", self.stake_token, self._raw(bought, self.stake_token))
            self._note(number, "deposit", self.stake_token, -self._raw(bought, self.stake_token))
            self.stake = trimmed(self.stake + bought * (10_000 - self.deposit_fee_bps) / 10_000)
            compounded = Amount(self.stake_token, self._raw(bought, self.stake_token))
        self.pending = Fraction(0)
        done = Harvest(
            id=f"{self.position_id}-{number}",
            position_id=self.position_id,
            chain="bnb",
            owner=OWNER,
            state=state,
            plan_id="p",
            decided_block=1,
            started_at=START + self.at,
            predicted_reward_usd=dollars(worth),
            predicted_cost_usd=dollars(self.cost(self.at)),
            predicted_gas=400_000,
            finished_at=START + self.at,
            received=(Amount(self.reward_token, brought),),
            compounded=compounded,
            received_usd=dollars(worth),
            compounded_usd=dollars(bought * self.price(self.at)),
            cost_usd=dollars(self.cost(self.at)),
        )
        self.harvests.append(done)
        return done

    def look(self) -> Sample:
        """Take a sample."""
        at = START + self.at
        worth = self.pending * self.reward_price(self.at)
        numbers = DecisionNumbers(
            principal_usd=dollars(self.stake * self.price(self.at)),
            reward_usd=dollars(worth * (1 - self.fee) * (10_000 - self.deposit_fee_bps) / 10_000),
            threshold_usd=None,
            budget_usd=UsdWad(0),
            cost_usd=dollars(self.cost(self.at)),
            forward_usd_per_year=dollars(self.stake * self.price(self.at) * self.rate(self.at)),
            yield_wad=int(self.rate(self.at) * WAD),
            pressure_wad=0,
            gas_units=400_000,
            gas_price_wei=10**9,
            harvests_per_year_milli=0,
            waiting_cost_per_day_usd=UsdWad(0),
            gain_per_year_usd=UsdWad(0),
            eta_seconds=None,
            fire_gas_price_wei=None,
            cost_parts=CostParts(gas_usd=dollars(self.cost(self.at))),
            depth_usd=dollars(10**12) if self.fee else None,
        )
        observation = Observation(
            position_id=self.position_id,
            block=BlockRef("bnb", at, "0x" + "ab" * 32, at),
            principal=Amount(self.stake_token, self._raw(self.stake, self.stake_token)),
            pending=(Amount(self.reward_token, self._raw(self.pending, self.reward_token)),),
            accruals=(Accrual(Amount(self.reward_token, 0)),),
            deposit_fee_bps=self.deposit_fee_bps,
        )
        prices = {
            self.stake_token.address: dollars(self.price(self.at)),
            self.reward_token.address: dollars(self.reward_price(self.at)),
            **{address: dollars(price(self.at)) for address, price in self.others.items()},
            "": dollars(600),
        }
        sample = Sample(observation, numbers, tuple(prices.items()), dollars(self.base(self.at)))
        self.samples.append(sample)
        return sample

    def run(self, days: int, *, every: int = HOUR, compound_each: int = 0) -> None:
        """Sample for so many days; compound each so many seconds (just before the sample)."""
        if not self.samples:
            self.look()
        for _ in range(days * DAY // every):
            self.go(every)
            if compound_each and self.at % compound_each == 0:
                self.compound()
            self.look()

    # ------------------------------------------------------------------------------ what it came to

    @property
    def worth(self) -> Fraction:
        """Dollars in the position."""
        return self.stake * self.price(self.at) + self.pending * self.reward_price(self.at)

    @property
    def spent(self) -> Fraction:
        return sum((Fraction(h.cost_usd, WAD) for h in self.harvests), Fraction(0))

    @property
    def books(self) -> tuple[Sequence[Sample], Sequence[Harvest], Sequence[LedgerEntry]]:
        return self.samples, self.harvests, self.ledger

    def _raw(self, tokens: Fraction, token: Token) -> int:
        return int(tokens * token.unit)

    def _note(self, harvest: int, kind: str, token: Token, raw: int) -> None:
        prices = {self.stake_token.address: self.price, self.reward_token.address: self.reward_price}
        value = dollars(Fraction(raw, token.unit) * prices[token.address](self.at))
        self.ledger.append(
            LedgerEntry(
                harvest_id=f"{self.position_id}-{harvest}",
                tx_hash="0x" + f"{self.position_id}-{harvest}".encode().hex().zfill(64),
                log_index=len(self.ledger),
                block_number=START + self.at,
                timestamp=START + self.at,
                kind=kind,
                amount=Amount(token, raw),
                value_usd=value,
            )
        )


def keep(store, farm: Farm) -> None:
    """Write a farm's books into a journal, as the daemon would have."""
    store.record_samples(farm.samples)
    for done in farm.harvests:
        plan = Plan("p", farm.position_id, "bnb", OWNER, (), (farm.stake_token, farm.reward_token), farm.stake_token)
        store.open_harvest(replace(done, state=HarvestState.OPEN, finished_at=None), plan)
        if done.state is not HarvestState.OPEN:
            store.close_harvest(done, [entry for entry in farm.ledger if entry.harvest_id == done.id])


def without_values(entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """The same rows as a journal has them that was rebuilt from the chain."""
    return [replace(entry, value_usd=None) for entry in entries]
