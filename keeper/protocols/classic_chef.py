"""The classic MasterChef: pools by number, one reward that it mints itself, split by allocation points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn
from keeper.domain.block import BlockRef
from keeper.domain.facts import Place
from keeper.domain.money import BPS, Address, Amount
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, ask_tokens, fixed_word, optional
from keeper.errors import ConfigError
from keeper.ports import Found, ParamSpec, Permission, Questions
from keeper.protocols.chefs import (
    BLOCK_TIME,
    GAS_LP,
    LP_TOKEN,
    PID,
    USER_AMOUNT,
    address_at,
    bounded,
    claim_leg,
    find_pools,
    getter,
    grown,
    moved,
    named_token,
    of_pool,
    pool_params,
    share_of,
    stake_legs,
    step_ms,
    words_of,
)
from keeper.protocols.shared import accrual, expect, int_param, text_param

__all__ = ["ClassicChef"]

#: Its words differ from fork to fork; as a call it answers the first one.
POOL_INFO: Final = Fn("poolInfo(uint256)", "uint256")
MULTIPLIER: Final = Fn("getMultiplier(uint256,uint256)", "uint256")
BONUS_MULTIPLIER: Final = Fn("BONUS_MULTIPLIER()", "uint256")
BONUS_END: Final = Fn("bonusEndBlock()", "uint256")
#: Chefs with a harvest lock-up (Panther's kind): whether a harvest would pay.
CAN_HARVEST: Final = Fn("canHarvest(uint256,address)", "bool")
DEPOSIT: Final = Fn("deposit(uint256,uint256)")
WITHDRAW: Final = Fn("withdraw(uint256,uint256)")

#: A block after every bonus: what ``getMultiplier`` says of it holds for good, and the read stays the same each cycle.
_FAR_BLOCK: Final = 2**64

#: Sushi's poolInfo, and the place where Goose's kind keeps the deposit fee.
_SUSHI_WORDS: Final = "token,alloc,last"
_GOOSE_FEE: Final = 4
#: Words of poolInfo that mean something here.
_MEANINGS: Final = frozenset({"token", "alloc", "last", "supply", "fee", "_"})

#: Panther's userInfo: amount, rewardDebt, rewardLockedUp, nextHarvestUntil.
_NEXT_HARVEST: Final = 3

#: Longest answers of poolInfo and userInfo in any fork that was met.
_POOL_BYTES: Final = 320
_USER_BYTES: Final = 192

_KIND: Final = "a MasterChef"


class ClassicChef:
    """Base of adapters for chefs of this kind; forks differ in names, in verbs, and in what lies where."""

    name = ""
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = GAS_LP
    params: Mapping[str, ParamSpec] = MappingProxyType({"pid": PID, "block_time_ms": BLOCK_TIME})
    #: Names that a position's params may replace.
    pending = "pendingSushi(uint256,address)"
    reward = "sushi()"
    per_block = "sushiPerBlock()"

    # ------------------------------------------------------------------ what forks replace

    def verbs(self, position: Position) -> tuple[bytes, bytes, int]:
        """Return the call that claims, the call that stakes (its amount a zero word), and the place of that word."""
        pid = int_param(position, "pid")
        claims = {"deposit": DEPOSIT, "withdraw": WITHDRAW}
        wanted = text_param(position, "harvest", "deposit")
        if wanted not in claims:
            raise ConfigError(f'position {position.id}: harvest must be "deposit" or "withdraw", not {wanted!r}')
        return claims[wanted].encode(pid, 0), DEPOSIT.encode(pid, 0), 1

    def payer(self, position: Position, market: Market) -> Address:
        """Return the contract whose balance rewards are paid from."""
        return market.contracts.get("payer", position.target)

    def ask_payer(self, position: Position) -> Questions[Mapping[str, Address]]:  # noqa: ARG002
        """Ask for what else ``payer`` needs; becomes ``Market.contracts``."""
        yield from ()
        return {}

    # ------------------------------------------------------------------ the port

    def resolve(self, position: Position) -> Questions[Market]:
        """Ask for the pool's token and the reward, and whether every name in the params is one of this chef's."""
        chef, pid = position.target, int_param(position, "pid")
        words, (rate, _) = self._words(position), self._emission(position)
        pending, reward = of_pool(position, "pending", self.pending), getter(position, "reward", self.reward)
        self.verbs(position)
        results = yield [
            POOL_INFO.read(chef, pid, result_bytes=_POOL_BYTES),
            reward.read(chef),
            pending.read(chef, pid, position.owner, gas=60_000),
            rate.read(chef),
            LP_TOKEN.read(chef, pid),
            CAN_HARVEST.read(chef, pid, position.owner),
        ]
        expect(POOL_INFO, results[0], position, f"{_KIND} with a pool {pid}")
        paid = expect(reward, results[1], position, f"{_KIND} (param reward)")
        expect(pending, results[2], position, f"{_KIND} (param pending)")
        expect(rate, results[3], position, f"{_KIND} (param per_block or per_second)")
        if "token" not in words:
            expect(LP_TOKEN, results[4], position, f"{_KIND} that lists pools by lpToken (param pool)")
        staked = self._token(position, results[0], results[4])
        others = yield from self.ask_payer(position)
        stake, token = yield from ask_tokens(position.chain, (staked, paid))
        effects = {SideEffect.OWNER_ONLY, SideEffect.NO_HARVEST_EVENT, SideEffect.DEPOSIT_PAYS}
        if not self._per_second(position):
            effects.add(SideEffect.PER_BLOCK)
        if self._fee_bps(position, words_of(results[0])):
            effects.add(SideEffect.DEPOSIT_FEE)
        return Market(
            stake_token=stake,
            reward_tokens=(token,),
            contracts=MappingProxyType(dict(others)),
            numbers=MappingProxyType({"locks": int(optional(CAN_HARVEST, results[5]) is not None)}),
            typical_gas=GAS_LP,
            side_effects=frozenset(effects),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """Stake, pending, the pool's share of the emission, what the payer holds, and whether a harvest would pay."""
        chef, pid, me = position.target, int_param(position, "pid"), position.owner
        reads = [
            USER_AMOUNT.read(chef, pid, me, result_bytes=_USER_BYTES),
            of_pool(position, "pending", self.pending).read(chef, pid, me, gas=60_000),
            POOL_INFO.read(chef, pid, result_bytes=_POOL_BYTES),
            getter(position, "total_alloc", "totalAllocPoint()", "uint256").read(chef),
            self._emission(position)[0].read(chef),
            BALANCE_OF.read(market.stake_token.address, chef),
            BALANCE_OF.read(market.reward_tokens[0].address, self.payer(position, market)),
            MULTIPLIER.read(chef, _FAR_BLOCK, _FAR_BLOCK + 1),
            BONUS_MULTIPLIER.read(chef),
            BONUS_END.read(chef),
        ]
        # What few chefs have is asked of those few: every cycle reads all of this.
        if "token" not in self._words(position):
            reads.append(LP_TOKEN.read(chef, pid))
        if market.numbers.get("locks", 0):
            reads.append(CAN_HARVEST.read(chef, pid, me))
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; the forward rate is the pool's part of the emission, with the multiplier that holds now."""
        numbers = (USER_AMOUNT, BALANCE_OF, POOL_INFO, BALANCE_OF, self._emission(position)[0], BALANCE_OF, BALANCE_OF)
        values = [expect(fn, result, position, _KIND) for fn, result in zip(numbers, results[:7], strict=True)]
        stake, pending, _, total_alloc, rate, supply, held = values
        pool = words_of(results[2])
        token = self._token(position, results[2], results[-1 - market.numbers.get("locks", 0)])
        if token != market.stake_token.address:
            raise moved(position, market, token)
        reward, known = market.reward_tokens[0], self._meaning(position, pool)
        if "supply" in known:
            supply = known["supply"]
            held -= supply if reward.address == token and self.payer(position, market) == position.target else 0
        multiplier, ends_at = self._multiplier(position, results[7:10], block)
        pool_rate = share_of(rate * multiplier, known.get("alloc", 0), total_alloc)
        now = block.timestamp if self._per_second(position) else block.number
        unminted = pool_rate * max(0, now - known.get("last", now))
        per_year = grown(pool_rate, self._emission(position)[1])
        shut, opens_at = False, None
        if market.numbers.get("locks", 0):
            shut, opens_at = _lock_up(results[-1], words_of(results[0]), block)
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=(Amount(reward, pending),),
            accruals=(accrual(reward, per_year, stake, supply, ends_at),),
            # A chef mints what the pool has earned before it pays: what is not minted yet counts as held.
            underfunded=(reward.symbol,) if held + unminted < pending else (),
            deposit_fee_bps=self._fee_bps(position, pool),
            harvest_paused=shut,
            harvest_opens_at=opens_at,
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """A deposit or withdrawal of nothing pays what is pending."""
        return (claim_leg(position, market, self.verbs(position)[0]),)

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then deposit, which also pays what accrued since the claim."""
        _, template, word = self.verbs(position)
        return stake_legs(position, market, amount, template, word)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """``deposit`` into this pool only (it claims and stakes), and approve the chef for the staked token."""
        granted = pool_params(position, market, DEPOSIT, bounded(1))
        if self.verbs(position)[0][:4] == WITHDRAW.selector:
            granted += pool_params(position, market, WITHDRAW, fixed_word(1, 0), label="claim")[:1]
        return granted

    def discover(self, chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
        """Find the pools of a chef in which ``owner`` has a stake."""
        words = _split(str(place.params.get("pool", _SUSHI_WORDS)))
        if "token" not in words:
            return (yield from find_pools(chain, place, owner))
        at = words.index("token")
        return (
            yield from find_pools(
                chain,
                place,
                owner,
                lambda pid: POOL_INFO.read(place.target, pid, result_bytes=_POOL_BYTES),
                lambda answer: address_at(words_of(answer), at),
            )
        )

    # ------------------------------------------------------------------ params

    def _per_second(self, position: Position) -> bool:
        return "per_second" in position.params

    def _emission(self, position: Position) -> tuple[Fn, int]:
        """Return the getter of the emission and milliseconds per step. Raises ConfigError when neither is known."""
        if self._per_second(position):
            return getter(position, "per_second", "joePerSec()", "uint256"), 1000
        return getter(position, "per_block", self.per_block, "uint256"), step_ms(position)

    def _words(self, position: Position) -> tuple[str, ...]:
        words = _split(text_param(position, "pool", _SUSHI_WORDS))
        if not words:
            known = ", ".join(sorted(_MEANINGS))
            raise ConfigError(f'position {position.id}: pool must name words of poolInfo ({known}), "alloc" among them')
        return words

    def _meaning(self, position: Position, pool: Sequence[int]) -> dict[str, int]:
        return dict(zip(self._words(position), pool, strict=False))

    def _token(self, position: Position, pool: ReadResult, listed: ReadResult) -> Address:
        words = self._words(position)
        if "token" in words:
            return named_token(position, words_of(pool), words.index("token"), _KIND)
        return named_token(position, words_of(listed), 0, _KIND)

    def _fee_bps(self, position: Position, pool: Sequence[int]) -> int:
        """Return the deposit fee: as configured, else the word of that meaning, else Goose's place for it."""
        if "deposit_fee_bps" in position.params:
            return min(int_param(position, "deposit_fee_bps"), BPS)
        if "pool" in position.params:
            return min(self._meaning(position, pool).get("fee", 0), BPS)
        fee = pool[_GOOSE_FEE] if len(pool) > _GOOSE_FEE else 0
        return fee if fee <= BPS else 0

    def _multiplier(self, position: Position, results: Sequence[ReadResult], block: BlockRef) -> tuple[int, int | None]:
        """Return the emission's multiplier now, and when it ends.

        Sushi multiplies until ``bonusEndBlock``; Pancake's multiplier is a switch inside ``getMultiplier``; in forks
        where ``getMultiplier`` is 0 beyond ``bonusEndBlock`` that block is the end of the emission.
        """
        after, bonus, end_block = (
            optional(fn, result) for fn, result in zip((MULTIPLIER, BONUS_MULTIPLIER, BONUS_END), results, strict=True)
        )
        later = 1 if after is None else after
        if end_block is None or self._per_second(position) or block.number >= end_block:
            return later, block.timestamp if later == 0 else None
        ends_at = block.timestamp + (end_block - block.number) * self._emission(position)[1] // 1000
        return (1 if bonus is None else bonus), ends_at if later == 0 else None


@lru_cache(maxsize=64)
def _split(text: str) -> tuple[str, ...]:
    """Split a layout of poolInfo; empty when it makes no sense."""
    words = tuple(word.strip() for word in text.split(","))
    return words if "alloc" in words and _MEANINGS.issuperset(words) else ()


def _lock_up(answer: ReadResult, user: Sequence[int], block: BlockRef) -> tuple[bool, int | None]:
    """Return whether a harvest would only move rewards into a lock, and when that ends where the chef says so."""
    if optional(CAN_HARVEST, answer) != 0:
        return False, None
    opens_at = user[_NEXT_HARVEST] if len(user) > _NEXT_HARVEST else 0
    return (False, opens_at) if opens_at > block.timestamp else (True, None)
