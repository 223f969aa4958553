// SPDX-License-Identifier: MIT
// A fake, for local chains only: an ERC-20 that one contract may mint and burn. It stands in for the tokens of chefs
// (CAKE, EGG) and for SYRUP, PancakeSwap's receipt for staked CAKE, which also holds the CAKE that its chef pays out.
pragma solidity ^0.8.20;

contract DevChefToken {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    address public minter;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory symbol_) {
        name = symbol_;
        symbol = symbol_;
        minter = msg.sender;
    }

    modifier onlyMinter() {
        require(msg.sender == minter, "DevChefToken: not the minter");
        _;
    }

    function setMinter(address minter_) external onlyMinter {
        minter = minter_;
    }

    function mint(address to, uint256 value) external onlyMinter {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function burn(address from, uint256 value) external onlyMinter {
        require(balanceOf[from] >= value, "BEP20: burn amount exceeds balance");
        balanceOf[from] -= value;
        totalSupply -= value;
        emit Transfer(from, address(0), value);
    }

    // SyrupBar.safeCakeTransfer: pays less in silence when there is less.
    function safeCakeTransfer(DevChefToken cake, address to, uint256 value) external onlyMinter {
        uint256 held = cake.balanceOf(address(this));
        cake.transfer(to, value > held ? held : value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            require(allowed >= value, "DevChefToken: allowance too low");
            allowance[from][msg.sender] = allowed - value;
        }
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        require(balanceOf[from] >= value, "DevChefToken: balance too low");
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}
