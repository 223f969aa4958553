"""Cumulative merkle drops (Merkl's Distributor): rewards that are reckoned off the chain and claimed with a proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, encode, keccak
from keeper.domain.block import BlockRef
from keeper.domain.drops import MAX_PROOF, Drop, Drops, parse_drops
from keeper.domain.money import Address, Amount, address
from keeper.domain.observation import Observation
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.position import Market, Position, SideEffect
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import AMOUNT_CAP, BALANCE_OF, approve_legs, approve_permission, ask_tokens, fixed_word, word_of
from keeper.errors import ConfigError
from keeper.ports import ArgRule, ParamSpec, Permission, ProtocolAdapter, Questions
from keeper.protocols.grammar import AMOUNT, OWNER, CallText, parse_call
from keeper.protocols.shared import address_param, expect, text_param

__all__ = ["Merkle", "claim_permissions"]

#: The root that claims are checked against now: the last one until the dispute period of the new one is over.
ROOT: Final = Fn("getMerkleRoot()", "bytes32")
#: Amount claimed so far, when, and under which root.
CLAIMED: Final = Fn("claimed(address,address)", "uint208,uint48,bytes32")
CLAIM: Final = Fn("claim(address[],address[],uint256[],bytes32[][])")

_KIND: Final = "a Merkl Distributor"
#: Most reward tokens of one position.
_MOST_TOKENS: Final = 8
#: Words of a claim of one token before the proof's own: offsets, and what each array holds.
_HEAD_WORDS: Final = 13

#: Gas of a claim with a proof of twenty, a swap and a deposit.
_GAS: Final = 480_000


def _nothing(_source: str, _owner: Address, _chain: str) -> Drops:
    return Drops(problem="no proofs have come yet")


class Merkle:
    """Adapter: ``target`` is the Distributor; ``proofs`` says where amounts and proofs are.

    Nothing that comes from there is believed: a leaf counts only for the configured tokens, for the owner, and when its
    proof leads to the root that the contract has at that block; what it pays is what the simulated claim moves. Tokens
    are claimed one by one, so that one that cannot be paid holds up no other.

    Nothing is staked here. What is claimed is sold for ``into`` (the first token unless said) and stays in the wallet,
    or goes on by ``deposit``, a call in words as ``generic`` has them: into the vault, the pool or the farm that the
    rewards came from. Without a ``principal`` to grow, say by ``target_yield`` what the proceeds earn; without either,
    only ``max_interval`` fires.
    """

    name = "merkle"
    #: Gas units of one compound in the dearest case; what `keeper plan` reckons with.
    typical_gas = _GAS
    params: Mapping[str, ParamSpec] = MappingProxyType(
        {
            "tokens": ParamSpec("str", True, 'Reward tokens that may be claimed, between ";".'),
            "proofs": ParamSpec(
                "str", True, "File or http(s) address of the proofs, {owner} and {chain_id} filled in; or the JSON."
            ),
            "into": ParamSpec("address", False, "Token that rewards are sold for; the first of tokens unless said."),
            "deposit": ParamSpec(
                "str", False, 'Call that takes it on, e.g. "deposit(uint256:amount,address:owner)@0xVAULT".'
            ),
            "principal": ParamSpec("str", False, 'View of what is there, e.g. "maxWithdraw(address:owner)@0xVAULT".'),
            "spender": ParamSpec("address", False, "Contract that takes the token, where that is not who is called."),
        }
    )

    def __init__(self, drops: Callable[[str, Address, str], Drops] = _nothing) -> None:
        """Ask ``drops`` for proofs; without it only those that stand in the config are known."""
        self._drops = drops

    def drop_source(self, position: Position) -> str:
        """Where the proofs are; ``""`` where they stand in the config."""
        source = text_param(position, "proofs", "")
        return "" if source.lstrip().startswith("{") and '"' in source else source

    def with_drops(self, drops: Callable[[str, Address, str], Drops]) -> ProtocolAdapter:
        """Return the adapter that asks ``drops``."""
        return Merkle(drops)

    def resolve(self, position: Position) -> Questions[Market]:
        """Check the params, and that the target is a Distributor."""
        tokens = _tokens(position)
        into = address_param(position, "into") if "into" in position.params else tokens[0]
        deposit, principal = _deposit(position), _call(position, "principal", (OWNER,))
        if deposit is not None and len(deposit.amount_words) != 1:
            raise ConfigError(f"position {position.id}: deposit: must say once where the amount goes")
        if not self.drop_source(position):
            self._known(position)
        results = yield [
            ROOT.read(position.target),
            CLAIMED.read(position.target, position.owner, tokens[0]),
            *((principal.read(position.target, {OWNER: position.owner}),) if principal else ()),
        ]
        expect(ROOT, results[0], position, _KIND)
        expect(CLAIMED, results[1], position, _KIND)
        if principal:
            principal.value(results[2])
        stake, *rewards = yield from ask_tokens(position.chain, (into, *tokens))
        return Market(
            stake_token=stake,
            reward_tokens=tuple(rewards),
            typical_gas=_GAS,
            side_effects=frozenset({SideEffect.OWNER_ONLY}),
        )

    def reads(self, position: Position, market: Market) -> Sequence[Read]:
        """The root in force; of each token what was claimed, and what the Distributor holds; the principal."""
        target, principal = position.target, _call(position, "principal", (OWNER,))
        reads = [ROOT.read(target)]
        for token in market.reward_tokens:
            reads += [CLAIMED.read(target, position.owner, token.address), BALANCE_OF.read(token.address, target)]
        if principal:
            reads.append(principal.read(target, {OWNER: position.owner}))
        return reads

    def observe(
        self, position: Position, market: Market, results: Sequence[ReadResult], block: BlockRef
    ) -> Observation:
        """Decode. A leaf whose proof leads elsewhere counts for nothing: it is old, or not to be disputed any more."""
        root = int.from_bytes(expect(ROOT, results[0], position, _KIND), "big")
        known, principal = self._known(position), _call(position, "principal", (OWNER,))
        pending, short, strange = [], [], 0
        for index, token in enumerate(market.reward_tokens):
            claimed = expect(CLAIMED, results[1 + 2 * index], position, _KIND)
            held = expect(BALANCE_OF, results[2 + 2 * index], position, _KIND)
            drop = _fitting(position.owner, known.by_token.get(token.address, ()), root)
            strange += drop is None and token.address in known.by_token
            owed = max(0, drop.amount - claimed) if drop is not None else 0
            pending.append(Amount(token, owed))
            if held < owed:
                short.append(token.symbol)
        stuck = _stuck(position, known, strange) if not any(amount.raw for amount in pending) else ""
        return Observation(
            position_id=position.id,
            block=block,
            principal=Amount(market.stake_token, principal.value(results[-1]) if principal else 0),
            pending=tuple(pending),
            accruals=(),
            harvest_paused=bool(stuck),
            paused_because=stuck,
            underfunded=tuple(short),
            notes=(("root", root),),
        )

    def harvest(self, position: Position, market: Market, observation: Observation) -> Sequence[Leg]:
        """One claim a token that can be paid, for the owner and nobody else."""
        known, root = self._known(position), observation.note("root")
        owed = {
            a.token.address for a in observation.pending if a.raw > 0 and a.token.symbol not in observation.underfunded
        }
        drops = (
            (token, _fitting(position.owner, known.by_token.get(token.address, ()), root))
            for token in market.reward_tokens
            if token.address in owed
        )
        return [
            Leg(
                kind=LegKind.CLAIM,
                label=f"claim {token.symbol}",
                to=position.target,
                template=_claim(position.owner, drop),
                brings=(token,),
            )
            for token, drop in drops
            if drop is not None
        ]

    def deposit(
        self,
        position: Position,
        market: Market,
        amount: Share,
        observation: Observation | None = None,  # noqa: ARG002
    ) -> Sequence[Leg]:
        """Approve exactly, then the configured call; nothing where the proceeds stay in the wallet."""
        call = _deposit(position)
        if call is None:
            return ()
        to = call.target(position.target)
        stake = Leg(
            kind=LegKind.DEPOSIT,
            label=f"deposit {market.stake_token.symbol}",
            to=to,
            template=call.encode({OWNER: position.owner}),
            patches=tuple(Patch(word, amount) for word in call.amount_words),
            spends=(market.stake_token,),
        )
        return (*approve_legs(_spender(position, to), amount), stake)

    def permissions(self, position: Position, market: Market) -> Sequence[Permission]:
        """Claims of one configured token for the owner, by proofs of any length; the deposit as it is written."""
        claims = claim_permissions(position.target, position.owner, [t.address for t in market.reward_tokens])
        call = _deposit(position)
        if call is None:
            return claims
        to = call.target(position.target)
        deposit = call.permission(position.target, {OWNER: position.owner}, "deposit")
        return (*claims, deposit, approve_permission(market.stake_token, _spender(position, to)))

    def _known(self, position: Position) -> Drops:
        """Return what is known of the position's drops. Raises ConfigError for wrong JSON in the config."""
        source = self.drop_source(position)
        if source:
            return self._drops(source, position.owner, position.chain)
        try:
            return Drops(parse_drops(json.loads(text_param(position, "proofs", "")), position.owner, 0))
        except ValueError as error:
            raise ConfigError(f"position {position.id}: proofs: {error}") from error


def claim_permissions(target: Address, owner: Address, tokens: Sequence[Address]) -> tuple[Permission, ...]:
    """Permit claims of one leaf: a shape for each length of a proof, everything fixed but amount and proof."""
    words = tuple(word_of(token) for token in tokens)
    fixed = {0: 0x80, 1: 0xC0, 2: 0x100, 3: 0x140, 4: 1, 5: word_of(owner), 6: 1, 8: 1, 10: 1, 11: 0x20}
    rules = (
        *(fixed_word(word, value) for word, value in fixed.items()),
        ArgRule(7, allowed=words),
        ArgRule(9, at_most=AMOUNT_CAP),
    )
    return tuple(
        Permission(target, CLAIM.selector, _HEAD_WORDS + size, (*rules, fixed_word(12, size)), "claim for the owner")
        for size in range(MAX_PROOF + 1)
    )


def _claim(owner: Address, drop: Drop) -> bytes:
    proof = [node.to_bytes(32, "big") for node in drop.proof]
    return CLAIM.encode([owner], [drop.token], [drop.amount], [proof])


def _fitting(owner: Address, drops: Sequence[Drop], root: int) -> Drop | None:
    """Return the newest leaf whose proof leads to the root; ``None`` when none does."""
    return next((drop for drop in drops if _root_of(owner, drop) == root), None)


def _root_of(owner: Address, drop: Drop) -> int:
    """Walk a proof from its leaf up, each pair in order of size."""
    node = keccak(encode(("address", "address", "uint256"), (owner, drop.token, drop.amount)))
    for sibling in drop.proof:
        other = sibling.to_bytes(32, "big")
        node = keccak(min(node, other) + max(node, other))
    return int.from_bytes(node, "big")


def _stuck(position: Position, known: Drops, strange: int) -> str:
    """Say why nothing can be claimed, where that is not because nothing is owed."""
    if strange:
        return (
            f"the proofs do not lead to the root that {checksum(position.target)} has now: they are old, or of a tree "
            "that is still open to dispute; waiting for those that fit"
        )
    return "" if known.by_token or not known.problem else f"{known.problem}; look at proofs"


def _tokens(position: Position) -> tuple[Address, ...]:
    texts = [part.strip() for part in text_param(position, "tokens", "").split(";")]
    try:
        tokens = tuple(dict.fromkeys(address(text) for text in texts))
    except ValueError as error:
        raise ConfigError(f"position {position.id}: tokens: {error}") from error
    if len(tokens) > _MOST_TOKENS:
        raise ConfigError(f"position {position.id}: tokens: at most {_MOST_TOKENS}; make a second position of the rest")
    return tokens


def _call(position: Position, key: str, places: tuple[str, ...]) -> CallText | None:
    if key not in position.params:
        return None
    try:
        return parse_call(text_param(position, key, ""), places)
    except ValueError as error:
        raise ConfigError(f"position {position.id}: {key}: {error}") from error


def _deposit(position: Position) -> CallText | None:
    return _call(position, "deposit", (OWNER, AMOUNT))


def _spender(position: Position, to: Address) -> Address:
    return address_param(position, "spender") if "spender" in position.params else to
