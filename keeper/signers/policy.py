"""What a key may sign: the rules at the boundary that no strategy, adapter or bug can talk its way around.

Everything is refused unless every rule allows it: the chain, the account, no value, no contract creation, a call shape
that the position's adapter has declared, nothing on the list of never, a simulation that passed, and the caps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from keeper.domain.events import Event, EventName, Level
from keeper.domain.money import Address, UsdWad, usd_decimal
from keeper.domain.transaction import Purpose, SignedTx, TxRequest
from keeper.errors import PolicyDenied, SignerError
from keeper.ports import EventSink, KeySigner, Permission, Warrant
from keeper.signers.never import forbidden
from keeper.signers.signing import verify_signed

__all__ = ["GuardedSigner", "Limits", "Policy", "matches", "same_request"]

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what transactions may cost. ``None`` means no such cap."""

    #: Most that one transaction's fees may be worth, at its fee caps.
    per_tx_usd: UsdWad | None = None
    #: Most that all fees of a day may be worth, those in flight at their caps.
    per_day_usd: UsdWad | None = None
    #: Highest fee cap per gas unit.
    max_gas_price_wei: int | None = None
    #: Most that a transaction which only uses up a nonce may be worth; ``per_tx_usd`` holds for it as well.
    cancel_usd: UsdWad | None = None
    #: Highest gas limit; the default is what EIP-7825 allows one transaction.
    max_gas: int = 2**24


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one key. Permissions come from the positions' own adapters, never from a plan."""

    chain_ids: frozenset[int]
    #: By position id. A position that is not named here may do nothing.
    permissions: Mapping[str, Sequence[Permission]] = field(default_factory=lambda: MappingProxyType({}))
    limits: Limits = field(default_factory=Limits)
    #: The one account that a position may send tokens to, by position id: the config says it, no adapter can.
    payouts: Mapping[str, Address] = field(default_factory=lambda: MappingProxyType({}))


class GuardedSigner:
    """A key behind its policy: ``keeper.ports.Signer``. What the key returns is decoded and compared before use."""

    def __init__(
        self,
        inner: KeySigner,
        policy: Policy,
        spent: Callable[[], UsdWad],
        emit: EventSink,
        *,
        verify: Callable[[TxRequest, SignedTx], None] = verify_signed,
        paused: Callable[[], str | None] = lambda: None,
        next_nonce: Callable[[int], int] = lambda _chain_id: 0,
    ) -> None:
        """Guard ``inner``.

        Args:
            inner: the key.
            policy: the rules.
            spent: what this account's fees of the last day are worth, in flight included (``Store.spent_usd``).
            emit: hears of every refusal.
            verify: proves that what was signed is what was asked; another one only for a fork's impersonated
                accounts, whose stand-in bytes carry no signature (``same_request``).
            paused: why no work may be signed now, if so; a cancel still may.
            next_nonce: one above the highest nonce on record, by chain id: only below it is a cancel signed.
        """
        self._inner = inner
        self._policy = policy
        self._spent = spent
        self._emit = emit
        self._verify = verify
        self._paused = paused
        self._next_nonce = next_nonce
        self.address: Address = inner.address

    def __repr__(self) -> str:
        return f"GuardedSigner({self.address})"

    def sign(self, request: TxRequest, warrant: Warrant) -> SignedTx:
        """Check the request against the policy, then sign, then check what was signed.

        Raises:
            PolicyDenied: naming the rule.
            KeyUnavailable: the key could not be opened.
            SignerError: the key signed something else.
        """
        policy = self._policy
        cancel = warrant.purpose is Purpose.CANCEL
        rule = (
            _account_rule(policy, self.address, request)
            or (self._cancel_rule(request, warrant) if cancel else self._work_rule(policy, request, warrant))
            or _simulation_rule(request, warrant)
            or _fee_rule(replace(policy.limits, max_gas_price_wei=None) if cancel else policy.limits, request)
            or _budget_rule(policy.limits, request, warrant, self._spent)
        )
        if rule is not None:
            self._deny(rule, request, warrant)
        signed = self._inner.sign(request)
        self._verify(request, signed)
        return signed

    def _work_rule(self, policy: Policy, request: TxRequest, warrant: Warrant) -> str | None:
        if (why := self._paused()) is not None:
            return f"pause: {why}; `keeper resume` ends it"
        allowed, pays = policy.permissions.get(warrant.position_id, ()), policy.payouts.get(warrant.position_id)
        return matches(allowed, request.to, request.data, request.value, pays)

    def _cancel_rule(self, request: TxRequest, warrant: Warrant) -> str | None:
        """Permit one thing: nothing, sent to the account itself, with a nonce that the journal knows already.

        Its own cap in dollars holds for it instead of the gas price: a bid that was cut to the gas-price limit could
        otherwise never be cancelled, as a replacement must bid more.
        """
        if request.to != self.address or request.data or request.value:
            return "cancel: only nothing, sent to the account itself, cancels"
        if request.nonce >= self._next_nonce(request.chain_id):
            return f"cancel: nonce {request.nonce} is not one that the journal has used"
        cap = self._policy.limits.cancel_usd
        if cap is not None and warrant.max_fee_usd > cap:
            return f"cancel cap: fees up to {_dollars(warrant.max_fee_usd)} are above {_dollars(cap)}"
        return None

    def _deny(self, rule: str, request: TxRequest, warrant: Warrant) -> None:
        facts: dict[str, str | int | bool | None] = {
            "position": warrant.position_id,
            "rule": rule,
            "chain_id": request.chain_id,
            "to": request.to,
            "selector": "0x" + request.data[:4].hex(),
        }
        self._emit.emit(Event(EventName.POLICY_DENIED, Level.ERROR, facts))
        raise PolicyDenied(
            f"position {warrant.position_id} may not sign this: {rule}; nothing was signed, "
            "look at `keeper explain` and at [limits]"
        )


def same_request(request: TxRequest, signed: SignedTx) -> None:
    """Compare requests only: for a fork, where nothing is signed.

    Raises:
        SignerError: when they differ.
    """
    if signed.request != request:
        raise SignerError("the fork took another request than the one asked; report this")


def matches(
    permissions: Sequence[Permission], to: Address, data: bytes, value: int, pays: Address | None = None
) -> str | None:
    """Say which rule keeps a call from being allowed; ``None`` when one of the permissions fits it exactly.

    ``pays``: the account that tokens may be sent to, where a permission allows that too; nobody by default.
    """
    if value != 0:
        return f"value: {value} wei would be sent along"
    if not to.strip("0x"):
        return "creation: the call has no recipient"
    if (never := forbidden(data, pays)) is not None:
        return f"never: {never}"
    there = [each for each in permissions if each.to == to]
    if not there:
        return f"contract: {to} is not one of the position's contracts"
    shaped = [each for each in there if each.selector == data[:4] and len(each.selector) == 4]
    if not shaped:
        return f"function: 0x{data[:4].hex()} of {to} is not one that the position uses"
    reasons = [_misfit(each, data) for each in shaped]
    return None if None in reasons else reasons[0]


def _misfit(permission: Permission, data: bytes) -> str | None:
    """Say why the calldata does not fit the permission; ``None`` when it does."""
    if len(data) != 4 + _WORD * permission.words:
        return f"length: {permission.label or 'the call'} takes {permission.words} words, got {len(data) - 4} bytes"
    for rule in permission.args:
        if not 0 <= rule.word < permission.words:
            return f"argument {rule.word}: the permission names a word that the call does not have"
        at = 4 + _WORD * rule.word
        word = int.from_bytes(data[at : at + _WORD], "big")
        if (rule.allowed and word not in rule.allowed) or not rule.at_least <= word <= rule.at_most:
            return f"argument {rule.word}: 0x{word:x} is not allowed in {permission.label or 'this call'}"
    return None


def _account_rule(policy: Policy, account: Address, request: TxRequest) -> str | None:
    if request.chain_id not in policy.chain_ids:
        return f"chain: {request.chain_id} is not one of {sorted(policy.chain_ids)}"
    if request.sender != account:
        return f"sender: {request.sender} is not the key's account {account}"
    return None


def _simulation_rule(request: TxRequest, warrant: Warrant) -> str | None:
    simulation = warrant.simulation
    if not simulation.success:
        return "simulation: it has no passing simulation"
    last = simulation.calls[-1]
    if last.gas_used <= 0:
        return "simulation: it measured no gas for this call"
    if request.gas < last.gas_used:
        return f"gas: the limit {request.gas} is below the {last.gas_used} that the simulation used"
    return None


def _fee_rule(limits: Limits, request: TxRequest) -> str | None:
    if request.gas > limits.max_gas:
        return f"gas: the limit {request.gas} is above {limits.max_gas}"
    if request.max_tip_wei > request.max_fee_wei:
        return "fee: the tip is above the fee cap"
    if limits.max_gas_price_wei is not None and request.max_fee_wei > limits.max_gas_price_wei:
        return f"gas price: {request.max_fee_wei} wei is above limits.max_gas_price ({limits.max_gas_price_wei} wei)"
    return None


def _budget_rule(limits: Limits, request: TxRequest, warrant: Warrant, spent_today: Callable[[], UsdWad]) -> str | None:
    per_tx, per_day, fee = limits.per_tx_usd, limits.per_day_usd, warrant.max_fee_usd
    if fee < 0 or (fee == 0 and request.gas * request.max_fee_wei > 0):
        return "fee: its value in dollars is unknown"
    if per_tx is not None and fee > per_tx:
        return f"per-transaction cap: fees up to {_dollars(fee)} are above {_dollars(per_tx)}"
    if per_day is not None and (spent := spent_today() + warrant.beside_usd) + fee > per_day:
        return f"per-day cap: {_dollars(spent)} spent and up to {_dollars(fee)} now are above {_dollars(per_day)}"
    return None


def _dollars(wad: int) -> str:
    return f"${usd_decimal(wad):.4f}"
