// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

/// What an intent is in the arena: one increment of its own counter. A second one is a transaction executed twice.
contract Counter {
    mapping(uint256 => uint256) public count;

    function bump(uint256 id) external {
        count[id] += 1;
    }
}
