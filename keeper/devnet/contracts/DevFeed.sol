// SPDX-License-Identifier: MIT
// A fake, for local chains only: a Chainlink price feed (AggregatorV2V3Interface) whose answer its deployer sets.
// DevToken and DevFeed are the only fakes of the local world; everything else is the protocols' own code.
pragma solidity ^0.8.20;

contract DevFeed {
    string public description;
    uint8 public immutable decimals;
    uint256 public constant version = 4;
    address public immutable owner;
    uint80 public latestRound;
    int256 public latestAnswer;
    uint256 private _updatedAt;
    // While fresh, every answer carries the current block's time, as if a new round came with each block.
    bool public fresh = true;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    constructor(string memory description_, uint8 decimals_, int256 answer) {
        description = description_;
        decimals = decimals_;
        owner = msg.sender;
        _set(answer, block.timestamp);
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "DevFeed: not the owner");
        _;
    }

    function setAnswer(int256 answer) external onlyOwner {
        _set(answer, block.timestamp);
    }

    // Report a fixed time from now on: to test how stale answers are met.
    function setUpdatedAt(uint256 updatedAt) external onlyOwner {
        _updatedAt = updatedAt;
        fresh = false;
    }

    function setFresh(bool fresh_) external onlyOwner {
        fresh = fresh_;
        _updatedAt = block.timestamp;
    }

    function latestTimestamp() public view returns (uint256) {
        return fresh ? block.timestamp : _updatedAt;
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return (latestRound, latestAnswer, latestTimestamp(), latestTimestamp(), latestRound);
    }

    function _set(int256 answer, uint256 updatedAt) private {
        latestRound += 1;
        latestAnswer = answer;
        _updatedAt = updatedAt;
        emit AnswerUpdated(answer, latestRound, updatedAt);
    }
}
