"""What real contracts do when something is wrong, and that the adapters saw it before the transaction did."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points

import pytest
from adapter_kit import STRANGER

from keeper.abi import Fn
from keeper.domain.plan import Share
from keeper.domain.position import Market, Position
from keeper.ports import ProtocolAdapter

pytestmark = pytest.mark.devnet

DEPOSIT = Fn("deposit(uint256,uint256)")
UPDATE_POOL = Fn("updatePool(uint256)")
GET_CONFIGURATOR = Fn("getPoolConfigurator()", "address")
FREEZE = Fn("setReserveFreeze(address,bool)")
PAUSE = Fn("setReservePause(address,bool)")
PAUSED_REVERT = "29"
FROZEN_REVERT = "28"


class Case:
    """One position of the local world with its adapter."""

    def __init__(self, stage, positions, protocol: str) -> None:
        self.stage = stage
        self.adapter: ProtocolAdapter = entry_points(group="keeper.protocols")[protocol].load()()
        self.position: Position = next(p for p in positions if p.protocol == protocol)
        self.market: Market = stage.talk(self.adapter.resolve(self.position))
        self.reward = self.market.reward_tokens[0]

    def look(self):
        block = self.stage.head()
        answers = self.stage.chain.read(self.adapter.reads(self.position, self.market), block)
        return self.adapter.observe(self.position, self.market, answers, block)

    def simulate_claim(self):
        legs = self.adapter.harvest(self.position, self.market, self.look())
        calls = self.stage.calls(legs, {})
        return self.stage.chain.simulate(self.position.owner, calls, [self.reward.address])

    def simulate_deposit(self, amount: int):
        token = self.market.stake_token
        self.stage.deal(token, self.position.owner, amount)
        calls = self.stage.calls(
            self.adapter.deposit(self.position, self.market, Share(token)), {token.address: amount}
        )
        return self.stage.chain.simulate(self.position.owner, calls, [token.address])


def test_drained_farm_is_seen_as_underfunded_and_its_claim_would_revert(stage, positions):
    case = Case(stage, positions, "synthetix-staking-rewards")
    stage.pass_blocks(20)
    pending = case.look().pending[0].raw
    stage.deal(case.reward, case.position.target, pending - 1)

    assert case.look().underfunded == (case.reward.symbol,)
    assert not case.simulate_claim().success


def test_farm_renewed_after_its_end_accrues_again(stage, positions, fresh_world):
    case = Case(stage, positions, "synthetix-staking-rewards")
    stage.warp_to(case.look().accruals[0].ends_at + 1)
    ended = case.look()

    fresh_world.renew_farm()

    renewed = case.look()
    assert ended.accruals[0].per_year.raw == 0
    assert renewed.accruals[0].per_year.raw > 0
    assert renewed.accruals[0].ends_at > renewed.block.timestamp


def test_chef_that_holds_nothing_but_can_mint_is_not_underfunded_and_pays_in_full(stage, positions):
    case = Case(stage, positions, "masterchef")
    stage.run(case.position.owner, case.adapter.harvest(case.position, case.market, case.look()), {})
    stage.deal(case.reward, case.position.target, 0)
    stage.pass_blocks(20)

    seen = case.look()

    simulated = case.simulate_claim()
    assert seen.underfunded == ()
    assert simulated.success
    assert simulated.delta(case.reward.address) >= seen.pending[0].raw > 0


def test_chef_that_lost_what_it_had_minted_pays_less_in_silence_and_is_seen_as_underfunded(stage, positions):
    case = Case(stage, positions, "masterchef")
    # The next block alone mints what 33 blocks pay to the owner's three per cent: so many more must be missing.
    stage.pass_blocks(100)
    # Whoever updates the pool has the reward minted; then it is gone.
    stage.send(STRANGER, case.position.target, UPDATE_POOL.encode(case.position.params["pid"]))
    stage.deal(case.reward, case.position.target, 0)

    seen = case.look()

    simulated = case.simulate_claim()
    assert seen.underfunded == (case.reward.symbol,)
    assert simulated.success
    assert simulated.delta(case.reward.address) < seen.pending[0].raw


def test_aave_vault_without_funds_is_seen_as_underfunded_and_the_whole_claim_would_revert(stage, positions):
    case = Case(stage, positions, "aave-v3")
    stage.pass_blocks(20)
    stage.deal(case.reward, case.market.contracts["vault_0"], case.look().pending[0].raw - 1)

    assert case.look().underfunded == (case.reward.symbol,)
    assert not case.simulate_claim().success


@pytest.mark.parametrize(("switch", "reason"), [(FREEZE, FROZEN_REVERT), (PAUSE, PAUSED_REVERT)])
def test_frozen_or_paused_reserve_is_seen_and_its_deposit_would_revert(stage, positions, fresh_world, switch, reason):
    case = Case(stage, positions, "aave-v3")
    provider = fresh_world.addresses["aave_provider"]
    (answer,) = stage.read([GET_CONFIGURATOR.read(provider)])
    open_before = case.look().deposits_paused

    data = switch.encode(case.market.stake_token.address, True)
    assert stage.send(fresh_world.deployer.address, GET_CONFIGURATOR.value(answer), data).status == 1

    simulated = case.simulate_deposit(10**6)
    assert not open_before
    assert case.look().deposits_paused
    assert not simulated.success
    assert simulated.calls[-1].error == reason


def test_stake_of_somebody_else_does_not_change_by_our_harvest(stage, positions, fresh_world):
    for position in positions:
        case = Case(stage, positions, position.protocol)
        twin = Case(stage, [replace(position, owner=fresh_world.twin.address)], position.protocol)
        before = twin.look().principal.raw

        stage.run(position.owner, case.adapter.harvest(position, case.market, case.look()), {})

        after = twin.look()
        assert after.principal.raw >= before > 0
        assert after.pending[0].raw > 0
