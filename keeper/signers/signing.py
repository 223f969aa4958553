"""A complete request in, raw signed bytes out; and the proof that signed bytes say what was asked.

Type 2 (EIP-1559) and legacy transactions, the latter always with a chain id (EIP-155). libsecp256k1 signs, with
deterministic nonces (RFC 6979) and low s, so the bytes equal those of every other careful signer.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey

from keeper.abi import keccak
from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import KeyUnavailable, SignerError
from keeper.signers import rlp
from keeper.signers.heavy import eth_account

__all__ = ["address_of", "check_backend", "decode_signed", "sign_request", "verify_signed"]

#: Transaction type byte of EIP-1559.
_TYPE_2: Final = b"\x02"

#: Hash of the signature that key 1 must give to the hash of nothing.
_KNOWN_ANSWER: Final = "ee7ecffffd7925775d14dc2cd72edb74d3ebe37d8fe640c1917637f4a176f565"

#: Half of secp256k1's order: a higher s is refused by nodes (EIP-2).
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def check_backend() -> None:
    """Prove at start that signatures come from libsecp256k1: pure Python is 16 times slower and leaks by its timing.

    Raises:
        KeyUnavailable: when eth_keys would use its pure Python code.
    """
    backend = type(eth_account("account").Account._keys.backend).__name__  # noqa: SLF001  (the only place where it can be seen)
    # Deterministic nonces leave one answer only.
    sample = PrivateKey.from_int(1).sign_recoverable(keccak(b""), hasher=None)
    if keccak(sample).hex() != _KNOWN_ANSWER:
        raise KeyUnavailable("libsecp256k1 gives a wrong signature; reinstall coincurve before anything is signed")
    if "CoinCurve" not in backend:
        raise KeyUnavailable(
            f"eth_keys would sign with its {backend}; install coincurve here, and unset ECC_BACKEND_CLASS"
        )


def sign_request(key: PrivateKey, request: TxRequest) -> SignedTx:
    """Sign exactly ``request``, which must be of the key's own address.

    Raises:
        SignerError: when the request is of another account, incomplete or negative.
    """
    if address_of(key.public_key) != request.sender:
        raise SignerError(
            f"the request is of {request.sender}, the key is not; check `signer` and `owner` in the config"
        )
    body = _body(request)
    if request.eip1559:
        signature = key.sign_recoverable(keccak(_TYPE_2 + rlp.encode(body)), hasher=None)
        parity = signature[64]
    else:
        unsigned = [*body, rlp.number(request.chain_id), b"", b""]
        signature = key.sign_recoverable(keccak(rlp.encode(unsigned)), hasher=None)
        parity = signature[64] + 35 + 2 * request.chain_id
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
    raw = rlp.encode([*body, rlp.number(parity), rlp.number(r), rlp.number(s)])
    if request.eip1559:
        raw = _TYPE_2 + raw
    return SignedTx(request, raw, "0x" + keccak(raw).hex())


def verify_signed(request: TxRequest, signed: SignedTx) -> None:
    """Decode the signed bytes, recover the sender, compare every field: a signer that lies is caught here.

    Raises:
        SignerError: naming the fields that differ.
    """
    try:
        found = decode_signed(signed.raw)
    except ValueError as error:
        raise SignerError(
            f"the signer returned bytes that are no transaction ({error}); do not use this signer"
        ) from error
    # A legacy transaction has one price on the wire; the tip of its request says nothing.
    asked = request if request.eip1559 else replace(request, max_tip_wei=request.max_fee_wei)
    wrong = [field.name for field in fields(TxRequest) if getattr(found, field.name) != getattr(asked, field.name)]
    if signed.request != request:
        wrong.append("request")
    if signed.hash != "0x" + keccak(signed.raw).hex():
        wrong.append("hash")
    if wrong:
        raise SignerError(f"the signer signed something else: {', '.join(wrong)} differ; do not use this signer")


def decode_signed(raw: bytes) -> TxRequest:
    """Read a signed transaction back as the request it carries out, sender recovered from the signature.

    Raises:
        ValueError: when it is not a canonical type 2 or EIP-155 transaction with a valid signature.
    """
    typed = raw[:1] == _TYPE_2
    items = rlp.decode(raw[1:] if typed else raw)
    if not isinstance(items, list) or len(items) != (12 if typed else 9):
        raise ValueError("wrong number of fields")
    if typed and items.pop(8) != []:
        raise ValueError("an access list nobody asked for")
    if not all(isinstance(item, bytes) for item in items):
        raise ValueError("a list where a value belongs")
    return _decode_typed(items) if typed else _decode_legacy(items)


def address_of(public: PublicKey) -> Address:
    """Return the account that a public key controls."""
    return _account(public.format(compressed=False))


@lru_cache(maxsize=64)  # the same few accounts sign, and each signature is checked twice
def _account(point: bytes) -> Address:
    return Address("0x" + keccak(point[1:])[-20:].hex())


def _body(request: TxRequest) -> list[rlp.Item]:
    """Fields up to the data, in the order of the wire."""
    numbers = (request.chain_id, request.nonce, request.value, request.gas, request.max_fee_wei, request.max_tip_wei)
    if min(numbers) < 0 or request.chain_id == 0:
        raise SignerError(f"the request has a negative number or no chain id; report this: {request.chain_id=}")
    to, data, n = bytes.fromhex(request.to[2:]), bytes(request.data), rlp.number
    if len(to) != 20:
        raise SignerError("the request creates a contract or names no account; keeper signs neither, report this")
    if request.eip1559:
        fees: list[rlp.Item] = [n(request.max_tip_wei), n(request.max_fee_wei), n(request.gas)]
        return [n(request.chain_id), n(request.nonce), *fees, to, n(request.value), data, []]
    return [n(request.nonce), n(request.max_fee_wei), n(request.gas), to, n(request.value), data]


def _decode_typed(items: list[bytes]) -> TxRequest:
    chain_id, nonce, tip, fee, gas, to, value, data, parity, r, s = items
    body: list[rlp.Item] = [chain_id, nonce, tip, fee, gas, to, value, data, []]
    return TxRequest(
        chain_id=_integer(chain_id),
        sender=_recover(keccak(_TYPE_2 + rlp.encode(body)), _integer(parity), r, s),
        nonce=_integer(nonce),
        to=Address("0x" + to.hex()),
        data=data,
        value=_integer(value),
        gas=_integer(gas),
        max_fee_wei=_integer(fee),
        max_tip_wei=_integer(tip),
        eip1559=True,
    )


def _decode_legacy(items: list[bytes]) -> TxRequest:
    """Read a legacy transaction; its one price stands as cap and tip, as requests write it."""
    nonce, price, gas, to, value, data, v, r, s = items
    chain_id, parity = divmod(_integer(v) - 35, 2)
    if chain_id < 1:
        raise ValueError("no chain id: replayable on every chain")
    body: list[rlp.Item] = [nonce, price, gas, to, value, data, rlp.number(chain_id), b"", b""]
    return TxRequest(
        chain_id=chain_id,
        sender=_recover(keccak(rlp.encode(body)), parity, r, s),
        nonce=_integer(nonce),
        to=Address("0x" + to.hex()),
        data=data,
        value=_integer(value),
        gas=_integer(gas),
        max_fee_wei=_integer(price),
        max_tip_wei=_integer(price),
        eip1559=False,
    )


def _integer(field: bytes) -> int:
    if field[:1] == b"\0":
        raise ValueError("a number with leading zeros")
    return int.from_bytes(field, "big")


def _recover(digest: bytes, parity: int, r: bytes, s: bytes) -> Address:
    if parity not in (0, 1) or _integer(s) > _HALF_ORDER or max(len(r), len(s)) > 32:
        raise ValueError("a signature out of range")
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([parity])
    try:
        return address_of(PublicKey.from_signature_and_message(signature, digest, hasher=None))
    except ValueError as error:
        raise ValueError("no key made this signature") from error
