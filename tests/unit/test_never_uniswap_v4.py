"""What Uniswap V4's periphery would need of an account is never signed, in whatever form."""

from __future__ import annotations

import pytest

from keeper.abi import Fn, encode
from keeper.signers.never import forbidden

TOKEN, ROUTER, OWNER = ("0x" + f"{n:02x}" * 20 for n in (0x11, 0x22, 0x33))
KEY = (TOKEN, ROUTER, 3000, 60, "0x" + "00" * 20)

EXECUTE = Fn("execute(bytes,bytes[],uint256)")
EXECUTE_NOW = Fn("execute(bytes,bytes[])")


def v4_swap() -> bytes:
    """The one input that would sell exactly in one pool: SWAP_EXACT_IN_SINGLE, SETTLE_ALL, TAKE_ALL."""
    swap = ("((address,address,uint24,int24,address),bool,uint128,uint128,bytes)",)
    params = [
        encode(swap, ((KEY, True, 10**18, 1, b""),)),
        encode(("address", "uint256"), (TOKEN, 10**18)),
        encode(("address", "uint256"), (ROUTER, 1)),
    ]
    return encode(("bytes", "bytes[]"), (bytes([0x06, 0x0C, 0x0F]), params))


@pytest.mark.parametrize(
    "commands",
    [b"\x10", b"\x90", b"\x0a\x10", b"\x10\x05", b"\x21", b"\x04", b""],
    ids=["v4 swap", "may fail", "permit first", "transfer after", "sub plan", "sweep", "nothing"],
)
def test_the_universal_routers_execute_is_refused_in_every_form(commands):
    """Also for the plain V4 swap alone: it could only be paid through Permit2, so there is nothing to gain by it."""
    inputs = [v4_swap() for _ in commands]

    assert "never signed" in forbidden(EXECUTE.encode(commands, inputs, 2**40))
    assert "never signed" in forbidden(EXECUTE_NOW.encode(commands, inputs))


SINGLE = (OWNER, ((TOKEN, 10**18, 2**40, 0), ROUTER, 2**40), bytes(65))
MANY = (OWNER, ([(TOKEN, 10**18, 2**40, 0)], ROUTER, 2**40), bytes(65))


@pytest.mark.parametrize(
    ("signature", "args"),
    [
        ("approve(address,address,uint160,uint48)", (TOKEN, ROUTER, 1, 2**40)),
        ("permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)", SINGLE),
        ("permit(address,((address,uint160,uint48,uint48)[],address,uint256),bytes)", MANY),
        ("transferFrom(address,address,uint160,address)", (OWNER, ROUTER, 1, TOKEN)),
        ("permitForAll(address,address,bool,uint256,uint256,bytes)", (OWNER, ROUTER, True, 2**40, 0, bytes(65))),
        ("multicall(bytes[])", ([b""],)),
    ],
)
def test_permit2_and_rights_to_all_nfts_are_refused(signature, args):
    assert "never signed" in forbidden(Fn(signature).encode(*args))


def test_the_position_managers_own_call_is_not_on_the_list():
    """It is bound word for word by the permissions of the position."""
    assert forbidden(Fn("modifyLiquidities(bytes,uint256)").encode(b"", 0)) is None
