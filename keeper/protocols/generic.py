"""Any farm by its signatures alone: the config says which views and calls it has, and no code is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from keeper.abi import checksum
from keeper.domain.block import BlockRef
from keeper.domain.money import Address, Amount, address
from keeper.domain.observation import Accrual, Observation
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import approve_legs, approve_permission, ask_tokens
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ParamSpec, Permission, Questions
from keeper.protocols.grammar import AMOUNT, OWNER, CallText, parse_call
from keeper.protocols.shared import YEAR_SECONDS, accrual, address_param, flag_param, int_param, text_param

__all__ = ["Generic"]

Said = TypeVar("Said")

#: Keys whose value is one view or call, or several between semicolons.
_LISTS: Final = frozenset({"pending", "claim", "reward_tokens", "rate_per_second", "rate_per_block", "ends_at"})

#: Gas of a compound of a usual farm, swap included.
_GAS: Final = 520_000


class Generic:
    """Adapter for farms that no adapter knows: ``docs/how-to/add-a-farm-without-code.md`` walks through one.

    Values are calls in words, e.g. ``"earned(address:owner)"``, ``"stake(uint256:amount)"`` or
    ``"userInfo(uint256=12,address:owner)[0]"``; several stand between semicolons, in the order of the reward tokens.
    What may be signed follows from them word by word: the owner and the numbers are fixed, the amount is bounded. Where
    no rate is given it is learnt by looking. As everywhere, what a claim brings is what its simulation moved, whatever
    the views say; whether the farm can pay is seen there, too.
    """

    name = "generic"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "stake_token": ParamSpec("str", True, 'Token that is staked: an address, or a view like "stakingToken()".'),
            "reward_tokens": ParamSpec("str", True, 'Tokens that are paid, between ";": addresses, or views.'),
            "principal": ParamSpec("str", True, 'View of the stake, e.g. "balanceOf(address:owner)".'),
            "pending": ParamSpec("str", True, 'Views of what is pending, one a reward token, between ";".'),
            "claim": ParamSpec("str", True, 'Call that claims everything, or one a reward token between ";".'),
            "deposit": ParamSpec("str", True, 'Call that stakes, e.g. "stake(uint256:amount)".'),
            "before": ParamSpec("str", False, "Public call that must come before the claim."),
            "spender": ParamSpec("address", False, "Contract that takes the stake, where that is not who is called."),
            "deposit_pays": ParamSpec("bool", False, "true: a deposit also pays what is pending."),
            "deposits_paused": ParamSpec(
                "str", False, 'View that is not 0 while deposits are refused, e.g. "paused()".'
            ),
            "harvest_paused": ParamSpec("str", False, "View that is not 0 while claims are refused."),
            "rate_per_second": ParamSpec("str", False, 'Views of the whole farm\'s emission, e.g. "rewardRate()".'),
            "rate_per_block": ParamSpec("str", False, "The same per block."),
            "total": ParamSpec("str", False, 'View of everybody\'s stake, e.g. "totalSupply()"; needed with a rate.'),
            "ends_at": ParamSpec("str", False, 'Views of the time of its end, e.g. "periodFinish()"; one is enough.'),
            "block_time_ms": ParamSpec("int", False, "Milliseconds between blocks; filled in from the chain's facts."),
        }
    )

    def resolve(self, position: Position) -> Questions[Market]:
        """Check every text, ask for the tokens, and that the views answer."""
        spoken = _Words(position)
        spoken.check()
        tokens = yield from _tokens(spoken)
        views = [*spoken.calls("principal"), *spoken.calls("pending")]
        results = yield [spoken.read(call) for call in views]
        for call, result in zip(views, results, strict=True):
            spoken.value(call, result)
        stake, *rewards = yield from ask_tokens(position.chain, tokens)
        wanted = len(spoken.calls("pending"))
        if len(rewards) != wanted:
            raise ConfigError(
                f"position {position.id}: reward_tokens names {len(rewards)} and pending {wanted}; one view a token"
            )
        effects = {SideEffect.OWNER_ONLY, SideEffect.NO_HARVEST_EVENT}
        effects |= {SideEffect.DEPOSIT_PAYS} if flag_param(position, "deposit_pays") else set()
        effects |= {SideEffect.PER_BLOCK} if "rate_per_block" in position.params else set()
        effects |= {SideEffect.TWO_STEPS} if "before" in position.params else set()
        return Market(stake, tuple(rewards), typical_gas=_GAS, side_effects=frozenset(effects))

    def reads(self, position: Position, market: Market) -> Sequence[Read]:  # noqa: ARG002
        """Every view that the config names."""
        spoken = _Words(position)
        return tuple(spoken.read(call) for _, call in spoken.views())

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode; a view that says how far the end is in blocks is none: ``ends_at`` is a time."""
        spoken = _Words(position)
        said: dict[str, list[int]] = {}
        for (key, call), result in zip(spoken.views(), results, strict=True):
            said.setdefault(key, []).append(spoken.value(call, result))
        stake = said["principal"][0]
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, stake),
            pending=tuple(Amount(t, raw) for t, raw in zip(market.reward_tokens, said["pending"], strict=True)),
            accruals=_accruals(position, market, said, stake, block),
            deposits_paused=any(said.get("deposits_paused", ())),
            harvest_paused=any(said.get("harvest_paused", ())),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:  # noqa: ARG002
        """The public call where one must come first, then the claim or claims."""
        spoken = _Words(position)
        claims = spoken.calls("claim")
        each = [market.reward_tokens] if len(claims) == 1 else [(token,) for token in market.reward_tokens]
        first = [
            Leg(LegKind.CLAIM, f"call {call.fn.name} first", spoken.at(call), spoken.encode(call))
            for call in spoken.calls("before")
        ]
        return (
            *first,
            *(
                Leg(
                    kind=LegKind.CLAIM,
                    label="claim " + ", ".join(token.symbol for token in brings),
                    to=spoken.at(call),
                    template=spoken.encode(call),
                    brings=brings,
                )
                for call, brings in zip(claims, each, strict=True)
            ),
        )

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then the configured call with the amount in its place."""
        spoken = _Words(position)
        (call,) = spoken.calls("deposit")
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"stake {market.stake_token.symbol}",
            to=spoken.at(call),
            template=spoken.encode(call),
            patches=tuple(Patch(word, amount) for word in call.amount_words),
            spends=(market.stake_token,),
        )
        return (*approve_legs(spoken.spender(), amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """The configured calls, word by word, and the exact approval."""
        spoken = _Words(position)
        return (
            *(
                call.permission(position.target, spoken.places, key)
                for key in ("before", "claim", "deposit")
                for call in spoken.calls(key)
            ),
            approve_permission(market.stake_token, spoken.spender()),
        )


class _Words:
    """What a position's params say, parsed (once for each text)."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.places: dict[str, Address] = {OWNER: position.owner}

    def calls(self, key: str) -> list[CallText]:
        """Return the calls of a key, none when it is not there. Raises ConfigError naming the key."""
        if key not in self.position.params:
            return []
        places = (OWNER, AMOUNT) if key == "deposit" else (OWNER,)
        try:
            return [parse_call(part, places) for part in self.parts(key)]
        except ValueError as error:
            raise ConfigError(f"position {self.position.id}: {key}: {error}") from error

    def parts(self, key: str) -> list[str]:
        """Return the texts between semicolons."""
        parts = [part.strip() for part in text_param(self.position, key, "").split(";")]
        if not all(parts):
            raise ConfigError(f'position {self.position.id}: {key}: nothing stands between two ";", or at an end')
        if len(parts) > 1 and key not in _LISTS:
            raise ConfigError(f"position {self.position.id}: {key}: takes one call only")
        return parts

    def views(self) -> list[tuple[str, CallText]]:
        """Return every view of each cycle with its key."""
        keys = (
            "principal",
            "pending",
            "deposits_paused",
            "harvest_paused",
            _rate_key(self.position),
            "total",
            "ends_at",
        )
        return [(key, call) for key in keys if key for call in self.calls(key)]

    def check(self) -> None:
        """Find every mistake that needs no chain. Raises ConfigError naming the key."""
        name = f"position {self.position.id}"
        for key in (key for key, spec in Generic.params.items() if spec.required and key not in self.position.params):
            raise ConfigError(f"{name}: {key} is missing: {Generic.params[key].doc}")
        self.views()
        rewards = len(self.parts("reward_tokens"))
        (deposit,) = self.calls("deposit")
        if len(deposit.amount_words) != 1:
            raise ConfigError(f'{name}: deposit: must say once where the amount goes, e.g. "stake(uint256:amount)"')
        for key in ("claim", _rate_key(self.position), "ends_at"):
            count = len(self.calls(key)) if key else 0
            if count not in {0, 1, rewards} or (count == 1 < rewards and key == _rate_key(self.position)):
                raise ConfigError(f"{name}: {key}: has {count} for {rewards} reward tokens")
        if bool(_rate_key(self.position)) != ("total" in self.position.params):
            raise ConfigError(f"{name}: total and a rate belong together; write both or neither")
        self.calls("before")
        self.spender()

    def at(self, call: CallText) -> Address:
        """Contract that a call goes to."""
        return call.target(self.position.target)

    def encode(self, call: CallText) -> bytes:
        """Return calldata."""
        return call.encode(self.places)

    def read(self, call: CallText) -> Read:
        """Make a view."""
        return call.read(self.position.target, self.places)

    def value(self, call: CallText, result: ReadResult) -> int:
        """Return what a view says. Raises ReadFailed naming position and contract."""
        return self._decoded(call, call.value, result)

    def token(self, call: CallText, result: ReadResult) -> Address:
        """Return the token that a view names; errors as in ``value``."""
        return self._decoded(call, call.token, result)

    def _decoded(self, call: CallText, decode: Callable[[ReadResult], Said], result: ReadResult) -> Said:
        try:
            return decode(result)
        except ReadFailed as error:
            raise ReadFailed(
                f"position {self.position.id}: {checksum(self.at(call))} on {self.position.chain} does not answer as "
                f"the config says ({error}); check target and params"
            ) from error

    def spender(self) -> Address:
        """Contract that the stake token is approved for."""
        if "spender" in self.position.params:
            return address_param(self.position, "spender")
        return self.at(self.calls("deposit")[0])


def _rate_key(position: Position) -> str:
    """Return the key of the emission, ``""`` where there is none. Raises ConfigError when there are two."""
    found = [key for key in ("rate_per_second", "rate_per_block") if key in position.params]
    if len(found) > 1:
        raise ConfigError(f"position {position.id}: rate_per_second and rate_per_block are one too many")
    return found[0] if found else ""


def _tokens(spoken: _Words) -> Questions[list[Address]]:
    """Find the stake token and the reward tokens: addresses as they are, views asked."""
    texts = [("stake_token", text) for text in spoken.parts("stake_token")]
    texts += [("reward_tokens", text) for text in spoken.parts("reward_tokens")]
    asked: dict[int, CallText] = {}
    found: list[Address] = []
    for index, (key, text) in enumerate(texts):
        if text.startswith("0x") and "(" not in text:
            try:
                found.append(address(text))
            except ValueError as error:
                raise ConfigError(f"position {spoken.position.id}: {key}: {error}") from error
            continue
        found.append(spoken.position.target)
        try:
            asked[index] = parse_call(text, (OWNER,))
        except ValueError as error:
            raise ConfigError(f"position {spoken.position.id}: {key}: {error}") from error
    results = yield [spoken.read(call) for call in asked.values()]
    for (index, call), result in zip(asked.items(), results, strict=True):
        found[index] = spoken.token(call, result)
    return found


def _accruals(
    position: Position, market: Market, said: Mapping[str, list[int]], stake: int, block: BlockRef
) -> tuple[Accrual, ...]:
    """Size the position's part of the emission; nothing where the config names no rate."""
    key = _rate_key(position)
    if not key:
        return ()
    step = 1000 if key == "rate_per_second" else int_param(position, "block_time_ms")
    ends: list[int | None] = [*said.get("ends_at", [])] or [None]
    ends = ends * len(market.reward_tokens) if len(ends) == 1 else ends
    return tuple(
        accrual(
            token,
            0 if end is not None and block.timestamp >= end else rate * YEAR_SECONDS * 1000 // step,
            stake,
            said["total"][0],
            end,
        )
        for token, rate, end in zip(market.reward_tokens, said[key], ends, strict=True)
    )
