"""Whatever is asked of a guarded key: what the policy does not name never reaches the key."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.abi import Fn
from keeper.domain.events import EventName
from keeper.domain.money import NO_USD, Address, UsdWad, usd
from keeper.domain.transaction import Purpose, SignedTx, SimulatedCall, Simulation, TxRequest
from keeper.errors import PolicyDenied, SignerError, StoreUnavailable
from keeper.ports import ArgRule, Permission, Signer, Warrant
from keeper.signers.local import LocalKey
from keeper.signers.never import _ALLOWANCES, _SIGNATURES, UNLIMITED
from keeper.signers.policy import GuardedSigner, Limits, Policy, matches, same_request

KEY = LocalKey(bytes([7]) * 32)
OWNER = KEY.address
FARM = Address("0x" + "22" * 20)
ROUTER = Address("0x" + "33" * 20)
TOKEN = Address("0x" + "44" * 20)

APPROVE = Fn("approve(address,uint256)")
SUPPLY = Fn("supply(address,uint256,address,uint16)")
CLAIM = Fn("getReward()")

PERMISSIONS = (
    Permission(FARM, CLAIM.selector, 0, (), "claim"),
    Permission(TOKEN, APPROVE.selector, 2, (ArgRule(0, (int(ROUTER, 16),)), ArgRule(1, at_most=2**112)), "approve"),
    Permission(
        FARM,
        SUPPLY.selector,
        4,
        (
            ArgRule(0, (int(TOKEN, 16),)),
            ArgRule(1, at_least=1, at_most=2**112),
            ArgRule(2, (int(OWNER, 16),)),
            ArgRule(3, (0,)),
        ),
        "supply",
    ),
)
CALLS = (
    (FARM, CLAIM.encode()),
    (TOKEN, APPROVE.encode(ROUTER, 10**18)),
    (FARM, SUPPLY.encode(TOKEN, 10**18, OWNER, 0)),
)
LIMITS = Limits(per_tx_usd=usd(5), per_day_usd=usd(20), max_gas_price_wei=10**11)
POLICY = Policy(frozenset({31337}), {"farm": PERMISSIONS}, LIMITS)
SIMULATION = Simulation(100, "eth_simulateV1", (SimulatedCall(True, 50_000), SimulatedCall(True, 90_000)))
WARRANT = Warrant("farm", "plan", 1, SIMULATION, usd(1))


class Spy:
    """A key that remembers what reached it."""

    def __init__(self, inner=KEY) -> None:
        self.address, self.inner, self.reached = OWNER, inner, []

    def sign(self, request: TxRequest) -> SignedTx:
        self.reached.append(request)
        return self.inner.sign(request)


class Heard:
    def __init__(self) -> None:
        self.events = []

    def emit(self, event) -> None:
        self.events.append(event)


def guarded(policy=POLICY, spent=NO_USD, inner=None):
    spy, heard = Spy() if inner is None else inner, Heard()
    return GuardedSigner(spy, policy, lambda: spent, heard), spy, heard


def request(to=FARM, data=CLAIM.selector, **more) -> TxRequest:
    values = {"value": 0, "gas": 120_000, "max_fee_wei": 10**10, "max_tip_wei": 10**9}
    return TxRequest(31337, OWNER, 0, to, data, **(values | more))


def denied(policy=POLICY, spent=NO_USD, warrant=WARRANT, **more) -> str:
    """Ask, and return the words of the refusal; the key must not have been reached."""
    signer, spy, heard = guarded(policy, spent)
    with pytest.raises(PolicyDenied) as caught:
        signer.sign(request(**more) if "chain_id" not in more else replace(request(), **more), warrant)
    assert spy.reached == []
    (event,) = heard.events
    assert event.name is EventName.POLICY_DENIED
    assert str(event.fields["rule"]) in str(caught.value)
    return str(event.fields["rule"]).partition(":")[0]


@pytest.mark.parametrize(("to", "data"), CALLS)
def test_what_the_policy_names_is_signed(to, data):
    signer, spy, heard = guarded()

    signed = signer.sign(request(to, data), WARRANT)

    assert isinstance(signer, Signer)
    assert signed.request == spy.reached[0] == request(to, data)
    assert heard.events == []


@given(
    st.sampled_from([FARM, ROUTER, TOKEN, OWNER]) | st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex()),
    st.sampled_from([data[:4] for _, data in CALLS]) | st.binary(max_size=4),
    st.lists(
        st.sampled_from([int(a, 16) for a in (FARM, ROUTER, TOKEN, OWNER)]) | st.integers(0, 2**256 - 1), max_size=5
    ),
    st.binary(max_size=3),
    st.sampled_from([0, 0, 0, 1, 10**18]),
)
def test_random_calls_never_reach_the_key(to, selector, words, tail, value):
    data = selector + b"".join(word.to_bytes(32, "big") for word in words) + tail
    assume((to, data) not in CALLS)
    assume(not is_meant(to, data, value))

    denied(to=Address(to), data=data, value=value)


def is_meant(to, data, value) -> bool:
    """The policy said again, by hand, for the calls that a random search may well hit."""
    words = [int.from_bytes(data[4 + 32 * i : 36 + 32 * i], "big") for i in range((len(data) - 4) // 32)]
    if value or (len(data) - 4) % 32:
        return False
    if (to, data) == (FARM, CLAIM.encode()):
        return True
    if (to, data[:4], len(words)) == (TOKEN, APPROVE.selector, 2):
        return words[0] == int(ROUTER, 16) and words[1] <= 2**112
    if (to, data[:4], len(words)) == (FARM, SUPPLY.selector, 4):
        return words[0] == int(TOKEN, 16) and 1 <= words[1] <= 2**112 and words[2:] == [int(OWNER, 16), 0]
    return False


@given(st.sampled_from(CALLS), st.data())
def test_one_changed_bit_of_a_fixed_part_never_reaches_the_key(call, data):
    to, calldata = call
    bit = data.draw(st.integers(0, 8 * len(calldata) - 1))
    changed = bytearray(calldata)
    changed[bit // 8] ^= 1 << (bit % 8)
    assume(not is_meant(to, bytes(changed), 0))

    denied(to=to, data=bytes(changed))


@given(st.sampled_from(CALLS), st.integers(1, 64), st.booleans())
def test_cut_or_padded_calldata_never_reaches_the_key(call, size, cut):
    to, calldata = call
    changed = calldata[:-size] if cut else calldata + bytes(size)

    denied(to=to, data=changed)


@pytest.mark.parametrize("signature", _SIGNATURES)
def test_never_means_never_even_when_permitted(signature):
    function = Fn(signature)
    for words in range(12):
        lax = Permission(FARM, function.selector, words, (), "a careless adapter")

        assert matches([lax], FARM, function.selector + bytes(32 * words), 0).startswith("never")


@given(st.sampled_from(list(_ALLOWANCES)), st.integers(UNLIMITED, 2**256 - 1) | st.just(2**96 - 1))
def test_unlimited_allowances_are_refused_even_when_permitted(selector, amount):
    lax = Permission(TOKEN, selector, 2, (), "a careless adapter")
    data = selector + int(ROUTER, 16).to_bytes(32, "big") + amount.to_bytes(32, "big")

    assert matches([lax], TOKEN, data, 0).startswith("never")
    assert matches([lax], TOKEN, data[:36] + (10**30).to_bytes(32, "big"), 0) is None


def test_each_rule_names_itself():
    failed = replace(SIMULATION, calls=(SimulatedCall(True, 50_000), SimulatedCall(False, 90_000, "no")))
    assert denied(chain_id=1) == "chain"
    assert denied(chain_id=31337, sender=FARM) == "sender"
    assert denied(value=1) == "value"
    assert denied(to=Address("0x")) == "creation"
    assert denied(to=Address("0x" + "00" * 20)) == "creation"
    assert denied(to=ROUTER) == "contract"
    assert denied(data=Fn("exit()").encode()) == "function"
    assert denied(data=CLAIM.encode() + b"\0") == "length"
    assert denied(to=TOKEN, data=APPROVE.encode(FARM, 1)) == "argument 0"
    assert denied(to=TOKEN, data=APPROVE.encode(ROUTER, 2**112 + 1)) == "argument 1"
    assert denied(warrant=replace(WARRANT, position_id="other")) == "contract"
    assert denied(warrant=replace(WARRANT, simulation=failed)) == "simulation"
    assert denied(warrant=replace(WARRANT, simulation=replace(SIMULATION, calls=()))) == "simulation"
    assert denied(gas=89_999) == "gas"
    assert denied(gas=2**24 + 1) == "gas"
    assert denied(max_fee_wei=10**11 + 1) == "gas price"
    assert denied(max_tip_wei=10**10 + 1) == "fee"
    assert denied(warrant=replace(WARRANT, max_fee_usd=usd(0))) == "fee"
    assert denied(warrant=replace(WARRANT, max_fee_usd=usd("5.01"))) == "per-transaction cap"
    assert denied(spent=usd("19.01")) == "per-day cap"


@given(st.integers(0, 10**20), st.integers(1, 10**20))
def test_the_days_budget_is_never_passed(spent, fee):
    signer, spy, _ = guarded(replace(POLICY, limits=Limits(per_day_usd=usd(20))), UsdWad(spent))
    warrant = replace(WARRANT, max_fee_usd=UsdWad(fee))

    if spent + fee <= usd(20):
        signer.sign(request(), warrant)
    else:
        with pytest.raises(PolicyDenied, match="per-day"):
            signer.sign(request(), warrant)
    assert len(spy.reached) == (spent + fee <= usd(20))


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.integers(1, 10**20))
def test_what_is_signed_together_counts_as_spent(spent, beside, fee):
    signer, spy, _ = guarded(replace(POLICY, limits=Limits(per_day_usd=usd(20))), UsdWad(spent))
    warrant = replace(WARRANT, max_fee_usd=UsdWad(fee), beside_usd=UsdWad(beside))
    with contextlib.suppress(PolicyDenied):
        signer.sign(request(), warrant)
    assert len(spy.reached) == (spent + beside + fee <= usd(20))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, None),
        ({"to": ROUTER}, "cancel"),
        ({"data": b"\x01"}, "cancel"),
        ({"value": 1}, "cancel"),
        ({"nonce": 8}, "cancel"),
        ({"chain_id": 2}, "chain"),
    ],
)
def test_a_cancel_is_nothing_to_oneself_with_a_nonce_of_the_journal(changes, rule):
    spy = Spy()
    policy = replace(POLICY, limits=replace(LIMITS, cancel_usd=usd(2)))
    guard = GuardedSigner(spy, policy, lambda: usd(0), Heard(), next_nonce=lambda _: 8, paused=lambda: "maintenance")
    nothing = replace(request(), to=guard.address, data=b"", value=0, nonce=7)
    cancel = replace(WARRANT, position_id="", purpose=Purpose.CANCEL)
    if rule is None:
        assert guard.sign(nothing, cancel).request == nothing, "a pause stops work, not cancels"
        with pytest.raises(PolicyDenied, match="cancel cap"):
            guard.sign(nothing, replace(cancel, max_fee_usd=usd("2.01")))
        return
    with pytest.raises(PolicyDenied, match=f"this: {rule}"):
        guard.sign(replace(nothing, **changes), cancel)
    assert spy.reached == []


def test_a_pause_is_checked_where_things_are_signed():
    spy, why = Spy(), ["maintenance"]
    guard = GuardedSigner(spy, POLICY, lambda: usd(0), Heard(), paused=lambda: why[0])
    with pytest.raises(PolicyDenied, match="pause: maintenance"):
        guard.sign(request(), WARRANT)
    assert spy.reached == []
    why[0] = None
    guard.sign(request(), WARRANT)


def test_without_a_journal_to_ask_nothing_is_signed():
    def broken() -> UsdWad:
        raise StoreUnavailable("locked")

    spy = Spy()
    with pytest.raises(StoreUnavailable):
        GuardedSigner(spy, POLICY, broken, Heard()).sign(request(), WARRANT)
    assert spy.reached == []


def test_a_key_that_signs_something_else_is_caught():
    class Liar(Spy):
        def sign(self, request: TxRequest) -> SignedTx:
            return replace(KEY.sign(replace(request, to=ROUTER)), request=request)

    signer, _, _ = guarded(inner=Liar())

    with pytest.raises(SignerError, match="to differ"):
        signer.sign(request(), WARRANT)


def test_a_fork_signs_nothing_but_the_policy_and_the_request_hold():
    class Impersonated(Spy):
        def sign(self, request: TxRequest) -> SignedTx:
            self.reached.append(request)
            return SignedTx(request, b"no signature", "0x" + "00" * 32)

    spy = Impersonated()
    strict = GuardedSigner(spy, POLICY, lambda: NO_USD, Heard())
    fork = GuardedSigner(spy, POLICY, lambda: NO_USD, Heard(), verify=same_request)

    with pytest.raises(SignerError):
        strict.sign(request(), WARRANT)
    assert fork.sign(request(), WARRANT).request == request()
    with pytest.raises(PolicyDenied):
        fork.sign(request(value=1), WARRANT)
    with pytest.raises(SignerError):
        same_request(request(), SignedTx(request(gas=1), b"", ""))


def test_a_rule_about_a_word_that_is_not_there_allows_nothing():
    broken = Permission(FARM, CLAIM.selector, 0, (ArgRule(0, (1,)),), "broken")

    assert matches([broken], FARM, CLAIM.encode(), 0).startswith("argument")
