"""How a position did: each kind of thing that happens to one, told apart and counted once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from past_kit import BNB, CAKE, DAY, HOUR, LP, START, Farm, always, dollars, without_values

from keeper.domain.harvest import HarvestState
from keeper.domain.money import WAD, Amount
from keeper.strategy.performance.measure import performance, total
from keeper.strategy.performance.past import past_of
from keeper.strategy.performance.points import points_of
from keeper.strategy.performance.replay import fit_of

NOTHING = 10**9


def near(wad: int, expected, within="0.000001") -> bool:
    return abs(wad - int(Fraction(str(expected)) * WAD)) <= Fraction(within) * WAD


@pytest.fixture
def farm() -> Farm:
    """10,000 dollars at 20 %, 50 cents a compound."""
    return Farm()


def test_left_alone_the_apr_is_the_farms_and_so_is_the_growth_of_a_year(farm):
    farm.run(365, every=DAY)
    found = performance(*farm.books)
    assert near(found.money.apr, "0.2")
    assert near(found.money.apy, "0.2")
    assert near(found.income, 2000)
    assert near(found.pending_end, 2000)
    assert (found.received, found.cost, found.compounded, found.harvests) == (0, 0, 0, 0)
    assert found.never.gain == 0
    assert abs(found.model_error) < NOTHING


def test_compounded_daily_without_cost_the_apy_is_the_textbooks(farm):
    farm.cost = always(0)
    farm.run(365, every=DAY, compound_each=DAY)
    found = performance(*farm.books)
    assert near(found.money.apy, float((1 + Fraction(1, 5) / 365) ** 365 - 1))
    assert near(found.money.apr, "0.2")
    assert abs(found.daily.gain) < NOTHING
    assert near(found.never.gain, float(10_000 * ((1 + Fraction(1, 5) / 365) ** 365 - 1) - 2_000), "0.0001")


def test_against_never_and_daily_at_a_cost(farm):
    farm.cost = always(2)
    farm.run(365, every=DAY, compound_each=73 * DAY)
    found = performance(*farm.books)
    stake = 10_000 * Fraction(26, 25) ** 5  # 20 % a year in five parts
    assert near(found.never.gain, float(stake - 10_000 - 2_000 - 5 * 2), "0.001")
    assert found.daily.harvests == 365
    assert near(found.daily.cost, 730)
    assert found.daily.gain > 0


def test_a_price_that_moves_is_in_the_money_and_not_in_kind(farm):
    farm.price = lambda at: Fraction(100) + Fraction(50 * at, 100 * DAY)
    farm.rate = lambda at: Fraction(1, 5) * 100 / farm.price(at)  # as many rewards as ever
    farm.reward_price = always(0)
    flat = replace(farm, rate=always(0), reward_price=always(2))
    flat.run(100, every=DAY)
    found = performance(*flat.books)
    assert near(found.price_gain, 5_000)
    assert near(found.money.growth, "1.5")
    assert found.in_kind.growth == WAD
    assert found.net == 0
    assert found.in_kind.apr == 0


def test_income_is_worth_what_it_was_worth_at_receipt(farm):
    farm.reward_price = lambda at: Fraction(2) if at <= 10 * DAY else Fraction(1)
    farm.run(10, compound_each=10 * DAY)
    farm.run(1)
    found = performance(*farm.books)
    assert near(found.received, float(Fraction(2_000 * 10, 365)), "0.01")


def test_deposits_and_withdrawals_are_found_and_taken_out(farm):
    farm.run(10)
    farm.go(HOUR)
    farm.move(50)
    farm.look()
    farm.run(10)
    farm.go(HOUR)
    farm.move(-120)
    farm.look()
    farm.run(10)
    found, alone = performance(*farm.books), performance(*_alone(farm, 30 * DAY + 2 * HOUR).books)
    assert near(found.deposits, 5_000)
    assert near(found.withdrawals, 12_000)
    assert near(found.money.apr, "0.2")
    # What pends weighs more beside a stake of which most was taken out.
    assert alone.money.growth > found.money.growth > WAD
    assert found.never.gain == 0


def _alone(farm: Farm, seconds: int) -> Farm:
    other = replace(farm, stake=Fraction(100), at=0, pending=Fraction(0), samples=[], harvests=[], ledger=[])
    other.look()
    for _ in range(seconds // HOUR):
        other.go(HOUR)
        other.look()
    return other


def test_a_deposit_between_the_samples_of_a_compound_is_told_from_it(farm):
    farm.run(10)
    farm.go(HOUR)
    farm.compound()
    farm.move(7)
    farm.look()
    found = performance(*farm.books)
    assert near(found.deposits, 700)
    assert near(found.compounded, farm.harvests[0].compounded_usd / WAD)


def test_a_compound_whose_legs_lie_on_two_sides_of_a_sample_is_counted_once(farm):
    farm.run(10)
    before, stake = farm.pending, farm.stake
    done = farm.compound()
    claimed = replace(farm, samples=[], stake=stake)
    farm.samples.append(claimed.look())  # claimed, and not yet deposited
    farm.ledger = [
        replace(move, timestamp=move.timestamp + (0 if move.kind == "claim" else HOUR)) for move in farm.ledger
    ]
    farm.harvests = [replace(done, finished_at=done.finished_at + HOUR)]
    farm.go(HOUR)
    farm.look()
    found = performance(farm.samples[:-2] + farm.samples[-2:], farm.harvests, farm.ledger)
    assert before > 0
    assert (found.deposits, found.withdrawals, found.by_hand) == (0, 0, 0)
    assert abs(found.kept) < NOTHING
    assert near(found.money.apr, "0.2", "0.01")
    assert near(found.received, done.received_usd / WAD)


def test_what_was_claimed_by_hand_is_income(farm):
    farm.run(10)
    pending = farm.pending
    farm.go(HOUR)
    farm.claim_by_hand()
    farm.look()
    farm.run(10)
    found = performance(*farm.books)
    assert near(found.by_hand, float(pending * 2 + Fraction(2_000, 365 * 24)))
    assert near(found.money.apr, "0.2")
    assert found.never.gain == 0
    assert abs(found.model_error) < NOTHING


@pytest.mark.parametrize("told", [None, True])
def test_a_stake_that_grows_by_itself_earns_interest(farm, told):
    farm.interest = Fraction(3, 100)
    farm.run(30, compound_each=10 * DAY)
    found = performance(*farm.books, rebasing=told)
    assert found.rebasing
    assert (found.deposits, found.withdrawals) == (0, 0)
    assert near(found.interest, float(10_000 * Fraction(3, 100) * 30 / 365), "0.3")
    assert near(found.money.apr, "0.23", "0.002")


def test_a_deposit_into_a_stake_that_grows_by_itself_is_still_found(farm):
    farm.interest = Fraction(3, 100)
    farm.run(10)
    farm.go(HOUR)
    farm.move(10)
    farm.look()
    farm.run(10)
    found = performance(*farm.books)
    assert near(found.deposits, 1_000, "0.01")
    assert near(found.interest, float(10_500 * Fraction(3, 100) * 20 / 365), "0.1")


def test_regular_deposits_of_some_size_are_not_taken_for_growth(farm):
    farm.look()
    for _ in range(30):
        farm.go(DAY)
        farm.move(1)
        farm.look()
    found = performance(*farm.books)
    assert not found.rebasing
    assert near(found.deposits, 3_000)


def test_selling_and_depositing_lose_something(farm):
    farm.fee, farm.deposit_fee_bps = Fraction(3, 1_000), 400
    farm.run(20, compound_each=10 * DAY)
    found = performance(*farm.books)
    assert (found.deposits, found.withdrawals) == (0, 0)
    received = sum(h.received_usd for h in farm.harvests)
    assert abs(found.lost - int(received * (1 - Fraction(997, 1_000) * Fraction(96, 100)))) < NOTHING * 1_000
    assert abs(found.model_error) < 10**14


def test_a_compound_that_failed_costs_and_leaves_its_claim_in_the_wallet(farm):
    farm.run(10)
    farm.go(HOUR)
    failed = farm.compound(state=HarvestState.FAILED)
    farm.look()
    farm.run(2)
    found = performance(*farm.books)
    assert (found.harvests, found.failed) == (0, 1)
    assert found.cost == failed.cost_usd
    assert near(found.kept, failed.received_usd / WAD)
    assert found.by_hand == 0
    assert near(found.never.gain, -0.5, "0.01")
    assert abs(found.model_error) < 10**16


def test_what_is_paid_out_is_income_and_the_alternatives_pay_out_as_well(farm):
    farm.look()
    for _ in range(4):
        for _ in range(10):
            farm.go(DAY)
            if farm.at % (10 * DAY) == 0:
                farm.compound(payout=Fraction(1, 4))
            farm.look()
    found = performance(*farm.books)
    received = sum(h.received_usd for h in farm.harvests)
    assert near(found.kept, float(Fraction(received, 4 * WAD)))
    assert near(found.compounded, float(Fraction(3 * received, 4 * WAD)))
    assert near(found.money.apr, "0.1982", "0.001")
    assert abs(found.model_error) < 10**12


def test_the_past_ends_where_a_compound_is_under_way(farm):
    farm.run(10)
    opened = replace(farm.compound(), state=HarvestState.OPEN, finished_at=None)
    ledger, farm.ledger, farm.harvests = farm.ledger, [], []
    farm.run(1)
    found = performance(farm.samples, [opened], [])
    assert ledger
    assert found.open_since == opened.started_at
    assert found.until == opened.started_at
    assert found.deposits == 0
    assert performance(farm.samples, [replace(opened, started_at=START - 1)], []) is None


def test_rows_without_a_value_take_the_next_samples_price(farm):
    farm.run(20, compound_each=10 * DAY)
    known = performance(*farm.books)
    rebuilt = performance(farm.samples, farm.harvests, without_values(farm.ledger))
    assert abs(known.received - rebuilt.received) < NOTHING
    assert rebuilt.unvalued == 0
    strange = replace(farm.ledger[0], amount=Amount(BNB, 5), value_usd=None)
    assert performance(farm.samples, farm.harvests, [*farm.ledger, strange]).unvalued == 1


def test_a_time_without_a_stake_counts_for_nothing(farm):
    farm.run(10)
    farm.go(HOUR)
    farm.claim_by_hand()
    farm.move(-farm.stake)
    farm.look()
    farm.run(100, every=DAY)
    farm.move(100)
    farm.run(10)
    found = performance(*farm.books)
    assert near(found.money.apr, "0.2", "0.001")
    assert found.money.seconds <= 21 * DAY
    assert near(found.withdrawals, 10_000)
    assert near(found.deposits, 10_000)


def test_only_what_lies_between_the_samples_counts(farm):
    farm.run(30, compound_each=10 * DAY)
    late = [s for s in farm.samples if s.observation.block.timestamp >= START + 15 * DAY]
    found = performance(late, farm.harvests, farm.ledger)
    assert found.harvests == 2
    assert near(found.received, sum(h.received_usd for h in farm.harvests[1:]) / WAD)
    assert found.since == START + 15 * DAY
    assert near(found.pending_start, float(Fraction(2_000 * 5, 365)), "0.2")


def test_predicted_stands_beside_what_came(farm):
    farm.run(20, compound_each=10 * DAY)
    farm.harvests = [replace(h, predicted_reward_usd=h.received_usd * 2) for h in farm.harvests]
    found = performance(*farm.books)
    assert found.bias.predicted_reward == 2 * found.bias.reward
    assert found.bias.predicted_cost == found.bias.cost == dollars(1)


def test_a_pool_position_against_its_two_sides():
    """BNB doubles, CAKE stays: the pool ends at sqrt(2) of its value, holding at 1.5."""
    root = Fraction(141421356237309505, 10**17)
    farm = Farm(
        rate=always(0),
        price=lambda at: Fraction(100) if at < DAY else 100 * root * Fraction(101, 100),
        others={BNB.address: lambda at: Fraction(300) if at < DAY else Fraction(600)},
    )
    farm.run(2, every=DAY)
    found = performance(*farm.books, sides=(CAKE.address, BNB.address)).holding
    assert near(found.held, 15_000)
    assert near(found.loss, float(10_000 * (root - Fraction(3, 2))))
    assert near(found.fees, float(10_000 * root / 100))
    assert performance(*farm.books).holding is None
    assert performance(*farm.books, sides=(CAKE.address, LP.address)).holding is not None
    assert performance(*farm.books, sides=(CAKE.address, "0x" + "99" * 20)).holding is None


def test_a_total_says_unknown_where_one_part_is(farm):
    farm.run(10)
    known = performance(*farm.books)
    blind = performance([replace(s, numbers=None) for s in farm.samples], [], [])
    assert blind.daily is None
    assert total([known, blind]).over_daily is None
    assert total([known]).over_daily == known.daily.gain > 0
    assert total([]).apr is None


def test_one_sample_is_no_past(farm):
    farm.look()
    assert performance(*farm.books) is None
    assert performance([], [], []) is None


def test_a_compound_between_two_samples_stands_where_it_was_done(farm):
    """A model that put it at the sample after would miss what it earned until then."""
    farm.cost = always(0)
    farm.look()
    for _ in range(10):
        farm.go(4 * DAY)
        farm.compound()
        farm.go(6 * DAY)
        farm.look()
    found = performance(*farm.books)
    assert abs(found.model_error) < 10**12
    assert near(found.never.gain, float(farm.worth - 10_000 * (1 + Fraction(1, 5) * 100 / 365)), "0.001")


def test_a_daily_rhythm_knows_the_days_that_nobody_looked_on(farm):
    farm.look()
    farm.go(10 * DAY)
    farm.look()
    farm.go(HOUR)
    farm.look()
    assert performance(*farm.books).daily.harvests == 10
    farm.cost = always(0)
    daily = replace(farm, samples=[], harvests=[], ledger=[], at=0, pending=Fraction(0))
    free = [
        replace(s, numbers=replace(s.numbers, cost_usd=0, cost_parts=type(s.numbers.cost_parts)()))
        for s in farm.samples
    ]
    daily.run(10, every=DAY, compound_each=DAY)
    assert near(
        performance(free, [], []).daily.gain, float(farm.worth - daily.worth - Fraction(2_000, 365 * 24)), "0.02"
    )


def test_the_alternatives_take_the_gas_that_compounds_really_took_at_the_price_of_their_own_time(farm):
    farm.cost = lambda at: Fraction(1) + Fraction(at, 40 * DAY)
    farm.run(40, every=6 * HOUR, compound_each=4 * DAY)
    farm.harvests = [replace(h, gas_used=h.predicted_gas // 2) for h in farm.harvests]
    found = performance(*farm.books)
    assert near(found.daily.cost, float(sum(1 + Fraction(day, 40) for day in range(1, 41)) / 2), "0.01")


def test_the_alternatives_lose_in_selling_what_was_really_lost(farm):
    farm.fee = Fraction(2, 100)
    farm.run(40, every=6 * HOUR, compound_each=4 * DAY)
    farm.samples = [replace(s, numbers=replace(s.numbers, depth_usd=None)) for s in farm.samples]
    found = performance(*farm.books)
    lost = sum(h.received_usd for h in farm.harvests) // 50
    assert abs(found.model_error) < lost // 50


def test_a_position_that_stood_for_another_stake_before_begins_with_this_one(farm):
    other = Farm(stake_token=BNB, stake=Fraction(3))
    other.run(5)
    farm.at = other.at
    farm.run(5)
    found = performance([*other.samples, *farm.samples], [], [])
    assert found.since == START + 5 * DAY
    assert (found.deposits, found.withdrawals) == (0, 0)


def test_fees_of_a_rebuilt_journal_are_valued_by_the_gas_tokens_price(farm):
    farm.run(10, compound_each=5 * DAY)
    rebuilt = [replace(h, cost_usd=0, cost_wei=10**15) for h in farm.harvests]
    assert performance(farm.samples, rebuilt, farm.ledger).cost == 2 * dollars("0.6")


def test_a_price_too_small_for_the_currency_is_left_out(farm):
    farm.price = always(Fraction(1, 10**18))
    farm.base = always(100_000)
    farm.run(2)
    assert performance(*farm.books) is None


def test_in_kind_is_after_cost_too(farm):
    farm.run(20, every=6 * HOUR, compound_each=5 * DAY)
    found = performance(*farm.books)
    assert near(found.in_kind.profit * 100, found.money.profit / WAD)
    assert found.cost == dollars(2)


def test_who_takes_everything_out_takes_from_each_rhythm_what_it_has(farm):
    farm.cost = always(0)
    farm.run(100, every=DAY, compound_each=10 * DAY)
    alone = performance(*farm.books)
    farm.go(HOUR)
    farm.claim_by_hand()
    farm.move(-farm.stake)
    farm.look()
    farm.run(50, every=DAY)
    found = performance(*farm.books)
    assert near(found.never.gain, alone.never.gain / WAD, "0.05")
    assert near(found.daily.gain, alone.daily.gain / WAD, "0.05")
    assert found.never.ahead == 0


@pytest.mark.parametrize("fee", [0, 400])
def test_what_a_sale_keeps_is_told_apart_from_the_deposit_fee(farm, fee):
    farm.fee, farm.deposit_fee_bps = Fraction(3, 1_000), fee
    farm.run(20, compound_each=10 * DAY)
    points, _ = points_of(farm.samples)
    assert all(abs(p.kept - WAD * 997 // 1_000) < WAD // 10**6 for p in points if p.kept is not None)
    # The model charges each once: it puts back what really was put back.
    assert abs(fit_of(past_of(*farm.books)).sale - WAD) < WAD // 10**6
