"""Read the fields of a raw transaction as a node does, sender recovered from the signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from eth_account import Account

from keeper.abi import keccak
from keeper.signers import rlp

__all__ = ["RawTx", "decode_raw"]

_FLOOR_TOKEN_GAS: Final = 10


@dataclass(frozen=True, slots=True)
class RawTx:
    """A signed transaction."""

    raw: bytes
    hash: str
    sender: str
    #: ``None`` for a legacy transaction without replay protection.
    chain_id: int | None
    nonce: int
    to: str | None
    gas: int
    fee_cap: int
    tip_cap: int
    value: int
    data: bytes

    @property
    def cost(self) -> int:
        """The most that it can take from its sender, wei."""
        return self.gas * self.fee_cap + self.value

    @property
    def intrinsic_gas(self) -> int:
        """Gas that it needs before anything is executed (Shanghai)."""
        zeros = self.data.count(0)
        gas = 21_000 + 4 * zeros + 16 * (len(self.data) - zeros)
        return gas if self.to is not None else gas + 32_000 + 2 * -(-len(self.data) // 32)

    @property
    def floor_gas(self) -> int:
        """Gas that its calldata costs at least (EIP-7623)."""
        zeros = self.data.count(0)
        return 21_000 + _FLOOR_TOKEN_GAS * (zeros + 4 * (len(self.data) - zeros))


def decode_raw(raw: bytes) -> RawTx:
    """Decode a legacy or EIP-1559 transaction.

    Raises:
        ValueError: when it is neither.
    """
    sender = str(Account.recover_transaction(raw)).lower()
    tx_hash = "0x" + keccak(raw).hex()
    if raw[0] == 2:
        chain, nonce, tip, fee, gas, to, value, data = _fields(raw[1:])[:8]
        chain_id: int | None = _number(chain)
    elif raw[0] >= 0xC0:
        nonce, fee, gas, to, value, data, v = _fields(raw)[:7]
        tip = fee
        chain_id = (_number(v) - 35) // 2 if _number(v) >= 35 else None
    else:
        raise ValueError(f"transaction type not supported: {raw[0]}")
    return RawTx(
        raw=raw,
        hash=tx_hash,
        sender=sender,
        chain_id=chain_id,
        nonce=_number(nonce),
        to="0x" + to.hex() if to else None,
        gas=_number(gas),
        fee_cap=_number(fee),
        tip_cap=_number(tip),
        value=_number(value),
        data=bytes(data),
    )


def _fields(body: bytes) -> list[Any]:
    item = rlp.decode(body)
    if isinstance(item, bytes):
        raise ValueError("rlp: expected a list")
    return list(item)


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")
