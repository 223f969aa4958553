// SPDX-License-Identifier: MIT
// A fake, for local chains only: Sky's StakingRewards, which can be paused (staking stops, claiming goes on) and takes
// a referral code with a stake.
pragma solidity ^0.8.20;

interface IFarmToken {
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

contract DevSkyFarm {
    IFarmToken public immutable rewardsToken;
    IFarmToken public immutable stakingToken;
    address public immutable owner;
    uint256 public periodFinish;
    uint256 public rewardRate;
    uint256 public rewardsDuration = 7 days;
    uint256 public lastUpdateTime;
    uint256 public rewardPerTokenStored;
    uint256 public totalSupply;
    bool public paused;
    mapping(address => uint256) public balanceOf;
    mapping(address => uint256) public userRewardPerTokenPaid;
    mapping(address => uint256) public rewards;

    event Staked(address indexed user, uint256 amount);
    event Referral(uint16 indexed referral, address indexed user, uint256 amount);
    event RewardPaid(address indexed user, uint256 reward);

    constructor(IFarmToken reward, IFarmToken staking) {
        (rewardsToken, stakingToken, owner) = (reward, staking, msg.sender);
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "Only the contract owner may perform this action");
        _;
    }

    function setPaused(bool paused_) external onlyOwner {
        paused = paused_;
    }

    function setRewardsDuration(uint256 duration) external onlyOwner {
        rewardsDuration = duration;
    }

    function notifyRewardAmount(uint256 reward) external onlyOwner {
        _settle(address(0));
        uint256 left = block.timestamp < periodFinish ? (periodFinish - block.timestamp) * rewardRate : 0;
        rewardRate = (reward + left) / rewardsDuration;
        (lastUpdateTime, periodFinish) = (block.timestamp, block.timestamp + rewardsDuration);
    }

    function lastTimeRewardApplicable() public view returns (uint256) {
        return block.timestamp < periodFinish ? block.timestamp : periodFinish;
    }

    function rewardPerToken() public view returns (uint256) {
        if (totalSupply == 0) return rewardPerTokenStored;
        return rewardPerTokenStored + ((lastTimeRewardApplicable() - lastUpdateTime) * rewardRate * 1e18) / totalSupply;
    }

    function earned(address who) public view returns (uint256) {
        return (balanceOf[who] * (rewardPerToken() - userRewardPerTokenPaid[who])) / 1e18 + rewards[who];
    }

    function stake(uint256 amount) public {
        require(!paused, "Pausable: paused");
        require(amount > 0, "Cannot stake 0");
        _settle(msg.sender);
        totalSupply += amount;
        balanceOf[msg.sender] += amount;
        stakingToken.transferFrom(msg.sender, address(this), amount);
        emit Staked(msg.sender, amount);
    }

    function stake(uint256 amount, uint16 referral) external {
        stake(amount);
        emit Referral(referral, msg.sender, amount);
    }

    function getReward() external {
        _settle(msg.sender);
        uint256 reward = rewards[msg.sender];
        if (reward == 0) return;
        rewards[msg.sender] = 0;
        rewardsToken.transfer(msg.sender, reward);
        emit RewardPaid(msg.sender, reward);
    }

    function _settle(address who) private {
        rewardPerTokenStored = rewardPerToken();
        lastUpdateTime = lastTimeRewardApplicable();
        if (who == address(0)) return;
        rewards[who] = earned(who);
        userRewardPerTokenPaid[who] = rewardPerTokenStored;
    }
}
