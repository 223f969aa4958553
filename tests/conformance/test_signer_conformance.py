"""What every key signer promises, against eth_account as the oracle."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from eth_account import Account
from eth_utils import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.money import Address
from keeper.domain.transaction import TxRequest
from keeper.errors import SignerError
from keeper.ports import KeySigner
from keeper.signers.env_key import EnvKeySigner
from keeper.signers.importer import import_key
from keeper.signers.keystore import KeystoreSigner
from keeper.signers.local import LocalKey
from keeper.signers.signing import decode_signed, verify_signed

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
SENDER = Address("0x2c7536e3605d9c16a7a3d7b1898e529396a65c23")
REQUEST = TxRequest(1, SENDER, 7, Address("0x" + "22" * 20), b"\x3d\x18\xb9\x12", 0, 210_000, 40 * 10**9, 10**9)


def local(tmp_path, monkeypatch) -> KeySigner:
    return LocalKey(bytes.fromhex(SECRET))


def env(tmp_path, monkeypatch) -> KeySigner:
    monkeypatch.setenv("THROW_AWAY", "0x" + SECRET)
    return EnvKeySigner("THROW_AWAY", allow=True)


def keystore(tmp_path, monkeypatch) -> KeySigner:
    import_key(out=tmp_path / "key.json", password="horse", private_key=SECRET, work_factor=2)
    (tmp_path / "pw").write_text("horse\n")
    (tmp_path / "pw").chmod(0o600)
    return KeystoreSigner(tmp_path / "key.json", password_file=tmp_path / "pw")


@pytest.fixture(params=[local, env, keystore])
def signer(request, tmp_path, monkeypatch) -> KeySigner:
    return request.param(tmp_path, monkeypatch)


def oracle(request: TxRequest) -> bytes:
    """The same transaction, signed by eth_account."""
    tx = {
        "chainId": request.chain_id,
        "nonce": request.nonce,
        "to": to_checksum_address(request.to),
        "data": request.data,
        "value": request.value,
        "gas": request.gas,
    }
    if request.eip1559:
        tx |= {"maxFeePerGas": request.max_fee_wei, "maxPriorityFeePerGas": request.max_tip_wei, "type": 2}
    else:
        tx |= {"gasPrice": request.max_fee_wei}
    return bytes(Account.sign_transaction(tx, SECRET).raw_transaction)


def test_it_is_a_key_signer_with_its_address(signer):
    assert isinstance(signer, KeySigner)
    assert signer.address == SENDER


@pytest.mark.parametrize("eip1559", [True, False])
@pytest.mark.parametrize("chain_id", [1, 31337, 43114, 2**40])
def test_bytes_and_hash_equal_those_of_eth_account(signer, eip1559, chain_id):
    request = replace(REQUEST, chain_id=chain_id, eip1559=eip1559)

    signed = signer.sign(request)

    assert signed.raw == oracle(request)
    assert signed.request is request
    assert Account.recover_transaction(signed.raw).lower() == SENDER
    verify_signed(request, signed)


def test_a_request_of_another_account_is_refused(signer):
    with pytest.raises(SignerError):
        signer.sign(replace(REQUEST, sender=Address("0x" + "99" * 20)))


@pytest.mark.parametrize("wrong", [{"chain_id": 0}, {"nonce": -1}, {"gas": -1}, {"to": "0x"}, {"to": ""}])
def test_an_incomplete_request_is_refused(signer, wrong):
    with pytest.raises(SignerError):
        signer.sign(replace(REQUEST, **wrong))


def test_no_readable_form_shows_the_key(signer):
    shown = repr(signer) + str(signer) + repr(getattr(signer, "__dict__", {}))

    assert SECRET not in shown.lower()
    assert str(int(SECRET, 16)) not in shown
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(signer)


sizes = st.integers(0, 2**256 - 1)
requests = st.builds(
    TxRequest,
    st.integers(1, 2**53),
    st.just(SENDER),
    st.integers(0, 2**64 - 2),
    st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex())),
    st.binary(max_size=400),
    sizes,
    st.integers(0, 2**63),
    sizes,
    sizes,
    st.booleans(),
)


@settings(deadline=None)
@given(requests)
def test_any_request_is_signed_like_eth_account_and_read_back(request):
    if request.eip1559 and request.max_tip_wei > request.max_fee_wei:
        request = replace(request, max_tip_wei=request.max_fee_wei)

    signed = LocalKey(bytes.fromhex(SECRET)).sign(request)

    assert signed.raw == oracle(request)
    expected = request if request.eip1559 else replace(request, max_tip_wei=request.max_fee_wei)
    assert decode_signed(signed.raw) == expected


CHANGES = {
    "chain_id": 2,
    "nonce": 8,
    "to": Address("0x" + "23" * 20),
    "data": b"\x3d\x18\xb9\x13",
    "value": 1,
    "gas": 210_001,
    "max_fee_wei": 40 * 10**9 + 1,
    "max_tip_wei": 10**9 + 1,
    "eip1559": False,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_signer_that_signs_something_else_is_caught(name):
    lie = LocalKey(bytes.fromhex(SECRET)).sign(replace(REQUEST, **{name: CHANGES[name]}))

    with pytest.raises(SignerError, match=name):
        verify_signed(REQUEST, replace(lie, request=REQUEST))


def test_a_signer_with_another_key_is_caught():
    other = LocalKey(bytes([1]) * 32)
    lie = other.sign(replace(REQUEST, sender=other.address))

    with pytest.raises(SignerError, match="sender"):
        verify_signed(REQUEST, replace(lie, request=REQUEST))


def test_a_wrong_hash_and_broken_bytes_are_caught():
    signed = LocalKey(bytes.fromhex(SECRET)).sign(REQUEST)

    with pytest.raises(SignerError, match="hash"):
        verify_signed(REQUEST, replace(signed, hash="0x" + "00" * 32))
    for raw in (b"", b"\x02", signed.raw[:-1], signed.raw + b"\0", b"\x01" + signed.raw[1:], b"\xc0"):
        with pytest.raises(SignerError):
            verify_signed(REQUEST, replace(signed, raw=raw))


@given(st.binary(max_size=200))
def test_decoding_garbage_raises_value_error_only(raw):
    for data in (raw, b"\x02" + raw):
        with pytest.raises(ValueError):
            decode_signed(data)


def test_a_replayable_legacy_transaction_is_refused():
    tx = {"nonce": 7, "to": to_checksum_address(REQUEST.to), "value": 0, "gas": 21_000, "gasPrice": 1}
    raw = bytes(Account.sign_transaction(tx, SECRET).raw_transaction)

    with pytest.raises(ValueError, match="replayable"):
        decode_signed(raw)
