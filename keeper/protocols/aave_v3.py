"""Aave v3 supplies with incentives: the aToken balance grows by itself, the extra rewards are compounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount, Token
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import (
    AMOUNT_CAP,
    BALANCE_OF,
    TOTAL_SUPPLY,
    ZERO_ADDRESS,
    allowance,
    approve_legs,
    approve_permission,
    ask_tokens,
    fixed_word,
    optional,
)
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Found, ParamSpec, Permission, Questions
from keeper.protocols.income import RAY, income_ppm
from keeper.protocols.shared import YEAR_SECONDS, accrual, address_param, expect

__all__ = ["AaveV3"]

#: The struct of v3.0, which later versions still return here: configuration, five rates, time, id, aToken, ...
#: https://github.com/aave/aave-v3-core/blob/v1.19.3/contracts/protocol/libraries/types/DataTypes.sol
RESERVE_DATA: Final = Fn(
    "getReserveData(address)",
    "uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,"
    "address,address,address,address,uint128,uint128,uint128",
)
_A_TOKEN_WORD: Final = 8
#: The same call, of whose answer each cycle needs the flags and what a supply earns a year (linear, a ray).
RESERVE_NOW: Final = Fn("getReserveData(address)", "uint256,uint128,uint128")
UNDERLYING: Final = Fn("UNDERLYING_ASSET_ADDRESS()", "address")
POOL: Final = Fn("POOL()", "address")
INCENTIVES: Final = Fn("getIncentivesController()", "address")
REWARDS_BY_ASSET: Final = Fn("getRewardsByAsset(address)", "address[]")
ALL_REWARDS: Final = Fn("getAllUserRewards(address[],address)", "address[],uint256[]")
#: index, emissionPerSecond, lastUpdateTimestamp, distributionEnd.
REWARDS_DATA: Final = Fn("getRewardsData(address,address)", "uint256,uint256,uint256,uint256")
TRANSFER_STRATEGY: Final = Fn("getTransferStrategy(address)", "address")
#: Only strategies that pull from a vault have one.
REWARDS_VAULT: Final = Fn("getRewardsVault()", "address")
RESERVES: Final = Fn("getReservesList()", "address[]")
SUPPLY: Final = Fn("supply(address,uint256,address,uint16)")
CLAIM_ALL: Final = Fn("claimAllRewardsToSelf(address[])", "address[],uint256[]")
CLAIM_ONE: Final = Fn("claimRewardsToSelf(address[],uint256,address)", "uint256")

#: Reads that come before those of the rewards.
_OWN_READS: Final = 3
#: Reads that come before those of each reward.
_FIXED_READS: Final = 4
#: Reads for each reward token.
_READS_PER_REWARD: Final = 4
_EVERYTHING: Final = 2**256 - 1
_KIND: Final = "an Aave v3 Pool"

#: Most reserves of a market that ``discover`` looks through (the Pool's own limit is 128).
_MOST_RESERVES: Final = 128

#: Gas of a compound on real code: claim, approve, swap, approve, supply.
_GAS: Final = 580_000


class AaveV3:
    """Adapter: ``target`` is the Pool, the param ``asset`` the supplied token, the principal is in the asset's units.

    The aToken's balance grows by itself, and the reserve's ``liquidityRate`` is noted as its income. A reserve without
    rewards has nothing to harvest and is only watched.

    ``claimAllRewardsToSelf`` reverts as a whole when a single reward cannot be paid (an emptied vault, a withdrawn
    allowance). Rewards whose vault is short are reported as underfunded, and the others are then claimed one by one.
    """

    name = "aave-v3"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {"asset": ParamSpec("address", True, "Supplied token (the underlying, not the aToken).")}
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Find the aToken, its rewards controller and the rewards with their vaults."""
        asset = address_param(position, "asset")
        a_token, controller = yield from _a_token(position, asset)
        if controller == ZERO_ADDRESS:
            return (yield from _without_rewards(position, asset, a_token))
        (listed,) = yield [REWARDS_BY_ASSET.read(controller, a_token, result_bytes=320, gas=60_000)]
        rewards = expect(REWARDS_BY_ASSET, listed, position, "an Aave v3 RewardsController")
        if not rewards:
            return (yield from _without_rewards(position, asset, a_token))
        vaults = yield from _vaults(controller, rewards)
        stake, *paid = yield from ask_tokens(position.chain, (asset, *rewards))
        return Market(
            stake_token=stake,
            reward_tokens=tuple(paid),
            contracts=MappingProxyType({"a_token": a_token, "rewards_controller": controller, **vaults}),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY, SideEffect.REBASING_PRINCIPAL}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Balance and supply of the aToken, the reserve's flags, what is pending; emission and vault of each reward."""
        a_token = market.contracts["a_token"]
        reads = [
            BALANCE_OF.read(a_token, position.owner, gas=60_000),
            TOTAL_SUPPLY.read(a_token, gas=60_000),
            RESERVE_NOW.read(position.target, market.stake_token.address, result_bytes=480, gas=60_000),
        ]
        if not market.reward_tokens:
            return reads
        controller = market.contracts["rewards_controller"]
        reads.append(ALL_REWARDS.read(controller, [a_token], position.owner, result_bytes=640, gas=150_000))
        for index, reward in enumerate(market.reward_tokens):
            strategy, vault = market.contracts[f"strategy_{index}"], market.contracts[f"vault_{index}"]
            reads += [
                REWARDS_DATA.read(controller, a_token, reward.address),
                TRANSFER_STRATEGY.read(controller, reward.address),
                BALANCE_OF.read(reward.address, vault),
                allowance(reward.address, vault, strategy),
            ]
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; emission is zero once a reward's ``distributionEnd`` has passed."""
        balance = expect(BALANCE_OF, results[0], position, _KIND)
        total = expect(TOTAL_SUPPLY, results[1], position, _KIND)
        configuration = expect(RESERVE_NOW, results[2], position, _KIND)
        _, _, liquidity_rate = RESERVE_NOW.values(results[2])
        owed = dict(zip(*ALL_REWARDS.values(results[3]), strict=False)) if len(results) > _OWN_READS else {}
        pending = tuple(Amount(reward, owed.get(reward.address, 0)) for reward in market.reward_tokens)
        accruals, short = [], []
        for index, amount in enumerate(pending):
            start = _FIXED_READS + index * _READS_PER_REWARD
            emission, *funds = results[start : start + _READS_PER_REWARD]
            accruals.append(_accrual(amount.token, emission, balance, total, block))
            if _is_short(amount, market.contracts[f"strategy_{index}"], market.contracts[f"vault_{index}"], funds):
                short.append(amount.token.symbol)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, balance),
            pending=pending,
            accruals=tuple(accruals),
            deposits_paused=_refuses_supply(configuration, total, market.stake_token),
            underfunded=tuple(short),
            notes=income_ppm(liquidity_rate, RAY),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """Claim all rewards at once; one by one when some of several cannot be paid."""
        if not market.reward_tokens:
            return ()
        a_token, controller = market.contracts["a_token"], market.contracts["rewards_controller"]
        payable = [a.token for a in observation.pending if a.token.symbol not in observation.underfunded]
        if len(payable) in (0, len(market.reward_tokens)):
            label = "claim " + ", ".join(token.symbol for token in market.reward_tokens)
            data = CLAIM_ALL.encode([a_token])
            return (Leg(LegKind.CLAIM, label, controller, data, brings=market.reward_tokens),)
        return [
            Leg(
                kind=LegKind.CLAIM,
                label=f"claim {token.symbol}",
                to=controller,
                template=CLAIM_ONE.encode([a_token], _EVERYTHING, token.address),
                brings=(token,),
            )
            for token in payable
        ]

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then supply on the owner's own behalf."""
        if not market.reward_tokens:
            return ()
        asset = market.stake_token
        supply = Leg(
            kind=LegKind.DEPOSIT,
            label=f"supply {asset.symbol}",
            to=position.target,
            template=SUPPLY.encode(asset.address, 0, position.owner, 0),
            patches=(Patch(1, amount),),
            spends=(asset,),
        )
        return (*approve_legs(position.target, amount), supply)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claim to the caller only, supply this asset for the owner only, approve the Pool for it."""
        if not market.reward_tokens:
            return ()
        a_token, controller = market.contracts["a_token"], market.contracts["rewards_controller"]
        asset = market.stake_token
        rewards = tuple(int(token.address, 16) for token in market.reward_tokens)
        claim_all = (fixed_word(0, 32), fixed_word(1, 1), fixed_word(2, a_token))
        claim_one = (fixed_word(0, 96), ArgRule(2, allowed=rewards), fixed_word(3, 1), fixed_word(4, a_token))
        supply = (
            fixed_word(0, asset.address),
            ArgRule(1, at_most=AMOUNT_CAP),
            fixed_word(2, position.owner),
            fixed_word(3, 0),
        )
        return (
            Permission(controller, CLAIM_ALL.selector, 3, claim_all, "claim all rewards to the owner"),
            Permission(controller, CLAIM_ONE.selector, 5, claim_one, "claim one reward to the owner"),
            Permission(position.target, SUPPLY.selector, 4, supply, f"supply {asset.symbol}"),
            approve_permission(asset, position.target),
        )

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Ask the Pool for all its reserves, and the aToken of each for the account's balance."""
        (listed,) = yield [RESERVES.read(place.target, result_bytes=64 + 32 * _MOST_RESERVES, gas=1_000_000)]
        assets = [Address(asset) for asset in RESERVES.value(listed)[:_MOST_RESERVES]]
        answers = yield [RESERVE_DATA.read(place.target, asset, gas=60_000) for asset in assets]
        a_tokens = [RESERVE_DATA.values(answer)[_A_TOKEN_WORD] for answer in answers]
        answers = yield [BALANCE_OF.read(a_token, owner, gas=60_000) for a_token in a_tokens]
        held = {asset: optional(BALANCE_OF, answer) or 0 for asset, answer in zip(assets, answers, strict=True)}
        tokens = yield from ask_tokens(chain, [asset for asset, balance in held.items() if balance])
        return [
            Found(
                place=place,
                target=place.target,
                params={**place.params, "asset": token.address},
                staked=Amount(token, held[token.address]),
                label=f"{token.symbol} supplied",
            )
            for token in tokens
        ]


def _without_rewards(position: Position, asset: Address, a_token: Address) -> Questions[Market]:
    """Make the market of a supply that only grows."""
    (stake,) = yield from ask_tokens(position.chain, (asset,))
    return Market(
        stake_token=stake,
        reward_tokens=(),
        contracts=MappingProxyType({"a_token": a_token}),
        typical_gas=0,
        side_effects=frozenset({SideEffect.REBASING_PRINCIPAL, SideEffect.GROWS_BY_ITSELF}),
    )


def _a_token(position: Position, asset: Address) -> Questions[tuple[Address, Address]]:
    """Find aToken and rewards controller (zero for none), and check that aToken, asset and pool belong together."""
    (data,) = yield [RESERVE_DATA.read(position.target, asset, gas=60_000)]
    expect(RESERVE_DATA, data, position, _KIND)
    a_token = RESERVE_DATA.values(data)[_A_TOKEN_WORD]
    if a_token == ZERO_ADDRESS:
        raise ConfigError(f"position {position.id}: {checksum(asset)} is not listed in the Pool; check param asset")
    fns = (UNDERLYING, POOL, INCENTIVES)
    results = yield [fn.read(a_token) for fn in fns]
    underlying, pool, controller = (expect(fn, r, position, _KIND) for fn, r in zip(fns, results, strict=True))
    if (underlying, pool) != (asset, position.target):
        raise ReadFailed(
            f"position {position.id}: aToken {checksum(a_token)} belongs to asset {checksum(underlying)} in pool "
            f"{checksum(pool)}; check that target is the Pool proxy of an Aave v3 market"
        )
    return a_token, controller


def _vaults(controller: Address, rewards: Sequence[Address]) -> Questions[dict[str, Address]]:
    """Find each reward's transfer strategy and the vault that it pulls from (zero address when it has none)."""
    found = yield [TRANSFER_STRATEGY.read(controller, reward) for reward in rewards]
    strategies = [_address(TRANSFER_STRATEGY, result) for result in found]
    answers = yield [REWARDS_VAULT.read(strategy) for strategy in strategies]
    named = {f"strategy_{index}": strategy for index, strategy in enumerate(strategies)}
    return named | {f"vault_{index}": _address(REWARDS_VAULT, result) for index, result in enumerate(answers)}


def _address(fn: Fn, result: ReadResult) -> Address:
    number = optional(fn, result)
    return ZERO_ADDRESS if number is None else Address(f"0x{number:040x}")


def _accrual(token: Token, emission: ReadResult, balance: int, total: int, block: BlockRef) -> Accrual:
    _, per_second, _, end = REWARDS_DATA.values(emission)
    per_year = per_second * YEAR_SECONDS if block.timestamp < end else 0
    return accrual(token, per_year, balance, total, end)


def _is_short(amount: Amount, strategy: Address, vault: Address, funds: Sequence[ReadResult]) -> bool:
    """Whether the vault cannot pay. A strategy changed since ``resolve`` proves nothing: the simulation then tells."""
    current, held, allowed = funds
    if vault == ZERO_ADDRESS or _address(TRANSFER_STRATEGY, current) != strategy:
        return False
    available = min(optional(BALANCE_OF, held) or 0, optional(TOTAL_SUPPLY, allowed) or 0)
    return available < amount.raw


def _refuses_supply(configuration: int, total: int, asset: Token) -> bool:
    """Read the reserve's flags: bit 56 active, 57 frozen, 60 paused, 116..151 supply cap in whole tokens (0: none)."""
    active, frozen, paused = (configuration >> bit & 1 for bit in (56, 57, 60))
    cap = (configuration >> 116) & (2**36 - 1)
    return not active or bool(frozen) or bool(paused) or (cap > 0 and total >= cap * asset.unit)
