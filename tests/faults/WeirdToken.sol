// SPDX-License-Identifier: MIT
// A fake, for local chains only: the habits of tokens that are no good ERC-20, put in the place of a DevToken (same
// storage) while the chain runs. Slot 10 says which habit.
pragma solidity ^0.8.20;

contract WeirdToken {
    string public name;
    string public symbol;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    uint256 private constant NO_RETURN = 1;
    uint256 private constant FALSE_APPROVE = 2;
    uint256 private constant FEE = 3;
    uint256 private constant BLOCKED = 4;

    function decimals() external pure returns (uint8) {
        return 18;
    }

    function approve(address spender, uint256 value) external {
        uint256 kind = habit();
        if (kind == FALSE_APPROVE) answer(0);
        // As USDT: from something to something else only by way of zero.
        require(kind != NO_RETURN || value == 0 || allowance[msg.sender][spender] == 0, "approve from non-zero");
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        if (kind != NO_RETURN) answer(1);
    }

    function transfer(address to, uint256 value) external {
        move(msg.sender, to, value);
        if (habit() != NO_RETURN) answer(1);
    }

    function transferFrom(address from, address to, uint256 value) external {
        require(allowance[from][msg.sender] >= value, "allowance too low");
        allowance[from][msg.sender] -= value;
        move(from, to, value);
        if (habit() != NO_RETURN) answer(1);
    }

    function move(address from, address to, uint256 value) private {
        uint256 kind = habit();
        require(balanceOf[from] >= value, "balance too low");
        require(kind != BLOCKED || (from.code.length > 0 && to.code.length > 0), "blocked");
        balanceOf[from] -= value;
        uint256 fee = kind == FEE ? value / 100 : 0;
        balanceOf[to] += value - fee;
        emit Transfer(from, to, value - fee);
        if (fee > 0) {
            balanceOf[address(1)] += fee;
            emit Transfer(from, address(1), fee);
        }
    }

    function habit() private view returns (uint256 kind) {
        assembly {
            kind := sload(10)
        }
    }

    function answer(uint256 word) private pure {
        assembly {
            mstore(0, word)
            return(0, 32)
        }
    }
}
