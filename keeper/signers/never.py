"""Calls that are never signed, whatever an adapter permits: those that give an account or its tokens away for good."""

from __future__ import annotations

from typing import Final

from keeper.abi import Fn
from keeper.domain.money import Address

__all__ = ["UNLIMITED", "forbidden"]

#: An allowance from here on counts as unlimited. Real amounts stay below; 2**160 - 1 and 2**256 - 1 are above.
UNLIMITED: Final = 2**128 - 1

#: What Uniswap's and Compound's own tokens take for unlimited.
_UNLIMITED_96: Final = 2**96 - 1

#: Refused with any arguments.
_SIGNATURES: Final = (
    # ownership and roles
    "transferOwnership(address)",
    "renounceOwnership()",
    "setOwner(address)",
    "changeAdmin(address)",
    "grantRole(bytes32,address)",
    "upgradeTo(address)",
    "upgradeToAndCall(address,bytes)",
    "enableModule(address)",
    "setImplementation(address)",
    # tokens to others
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "transferFrom(address,address,uint160,address)",
    "safeTransferFrom(address,address,uint256)",
    "safeTransferFrom(address,address,uint256,bytes)",
    "safeTransferFrom(address,address,uint256,uint256,bytes)",
    "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
    "safeTransfer(address,uint256)",
    "transferShares(address,uint256)",
    "transferSharesFrom(address,address,uint256)",
    "transferAsset(address,address,uint256)",
    "burn(uint256)",
    "burn(address,uint256)",
    # stakes to others
    "redeem(uint256,address,address)",
    "withdraw(uint256,address,address)",
    "withdraw(address,uint256,address)",
    "withdrawTo(address,uint256)",
    "withdrawTo(address,address,uint256)",
    "withdrawFrom(address,address,address,uint256)",
    "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))",
    # rights to others
    "setApprovalForAll(address,bool)",
    "setOperator(address,bool)",
    "authorizeOperator(address)",
    "approve(address,address,uint160,uint48)",
    "approveDelegation(address,uint256)",
    "approveAndCall(address,uint256,bytes)",
    "approveMax(address)",
    "safeApprove(address,uint256)",
    "allow(address,bool)",
    "setAuthorization(address,bool)",
    "setRelayerApproval(address,address,bool)",
    "hope(address)",
    "delegate(address)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)",
    "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)",
    "permit(address,((address,uint160,uint48,uint48)[],address,uint256),bytes)",
    "permitForAll(address,address,bool,uint256,uint256,bytes)",
    # a call that carries other calls
    "execute(bytes)",
    "execute(bytes32,bytes)",
    "execute(address,uint256,bytes)",
    "execute(bytes,bytes[])",
    "execute(bytes,bytes[],uint256)",
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    "execTransactionFromModule(address,uint256,bytes,uint8)",
    "delegatecall(address,bytes)",
    "functionDelegateCall(address,bytes)",
    "multicall(bytes[])",
    "multicall(uint256,bytes[])",
    "multicall(bytes32,bytes[])",
    "multiSend(bytes)",
    "aggregate((address,bytes)[])",
    "tryAggregate(bool,(address,bytes)[])",
    "aggregate3((address,bool,bytes)[])",
    "aggregate3Value((address,bool,uint256,bytes)[])",
    # debt
    "borrow(uint256)",
    "borrow(address,uint256,uint256,uint16,address)",
)

_NEVER: Final = {Fn(signature).selector: signature for signature in _SIGNATURES}

#: Refused from an unlimited amount on; the amount is the second word.
_ALLOWANCES: Final = {
    Fn(signature).selector: signature
    for signature in (
        "approve(address,uint256)",
        "increaseAllowance(address,uint256)",
        "increaseApproval(address,uint256)",
    )
}


#: The one function of the list that may be signed after all: to the account that the owner's config names.
_TRANSFER: Final = Fn("transfer(address,uint256)").selector


def forbidden(data: bytes, pays: Address | None = None) -> str | None:
    """Say why calldata is on the list of never; ``None`` when it is not.

    ``pays``: the account that the config of the position lets it pay tokens to; nobody by default.
    """
    selector = data[:4]
    if len(selector) < 4:
        return "calldata without a function"
    if selector == _TRANSFER and pays is not None:
        to = int.from_bytes(data[4:36].ljust(32, b"\xff"), "big")
        return None if to == int(pays, 16) else f"tokens may be sent to {pays} only"
    if selector in _NEVER:
        return f"{_NEVER[selector]} is never signed"
    if selector in _ALLOWANCES:
        amount = int.from_bytes(data[36:68].ljust(32, b"\xff"), "big")
        if amount >= UNLIMITED or amount == _UNLIMITED_96:
            return f"{_ALLOWANCES[selector]} with an unlimited amount is never signed"
    return None
