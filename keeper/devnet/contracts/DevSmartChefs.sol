// SPDX-License-Identifier: MIT
// Fakes, for local chains only: PancakeSwap's syrup pools. DevSousChef stands in for the first SmartChef (a pool in a
// list of one), DevSmartChef for SmartChefInitializable (a limit for each account, for a time or for ever).
pragma solidity ^0.8.20;

interface IToken {
    function balanceOf(address) external view returns (uint256);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

contract DevSmartChef {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
    }

    IToken public immutable stakedToken;
    IToken public immutable rewardToken;
    uint256 public immutable startBlock;
    address public immutable owner;
    uint256 public rewardPerBlock;
    uint256 public bonusEndBlock;
    uint256 public lastRewardBlock;
    uint256 public accTokenPerShare;
    uint256 public poolLimitPerUser;
    uint256 public numberBlocksForUserLimit;
    uint256 public constant PRECISION_FACTOR = 1e24;
    bool public userLimit;
    mapping(address => UserInfo) public userInfo;

    event Deposit(address indexed user, uint256 amount);
    event Withdraw(address indexed user, uint256 amount);

    constructor(IToken staked, IToken reward, uint256 perBlock, uint256 blocks, uint256 limit, uint256 limitBlocks) {
        require(staked != reward, "Tokens must be be different");
        (stakedToken, rewardToken, rewardPerBlock) = (staked, reward, perBlock);
        (startBlock, lastRewardBlock, bonusEndBlock) = (block.number, block.number, block.number + blocks);
        (poolLimitPerUser, numberBlocksForUserLimit, userLimit) = (limit, limitBlocks, limit > 0);
        owner = msg.sender;
    }

    function hasUserLimit() public view returns (bool) {
        return userLimit && block.number < startBlock + numberBlocksForUserLimit;
    }

    function updatePoolLimitPerUser(bool limited, uint256 limit) external {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        require(hasUserLimit(), "Must be set");
        (userLimit, poolLimitPerUser) = (limited, limit);
    }

    function stopReward() external {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        bonusEndBlock = block.number;
    }

    function pendingReward(address who) external view returns (uint256) {
        UserInfo memory user = userInfo[who];
        return (user.amount * _accumulated()) / PRECISION_FACTOR - user.rewardDebt;
    }

    function deposit(uint256 amount) external {
        UserInfo storage user = userInfo[msg.sender];
        require(!hasUserLimit() || amount + user.amount <= poolLimitPerUser, "Deposit: Amount above limit");
        _settle(user);
        if (amount > 0) {
            user.amount += amount;
            stakedToken.transferFrom(msg.sender, address(this), amount);
        }
        user.rewardDebt = (user.amount * accTokenPerShare) / PRECISION_FACTOR;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        UserInfo storage user = userInfo[msg.sender];
        require(user.amount >= amount, "Amount to withdraw too high");
        _settle(user);
        if (amount > 0) {
            user.amount -= amount;
            stakedToken.transfer(msg.sender, amount);
        }
        user.rewardDebt = (user.amount * accTokenPerShare) / PRECISION_FACTOR;
        emit Withdraw(msg.sender, amount);
    }

    function _settle(UserInfo memory user) private {
        accTokenPerShare = _accumulated();
        if (block.number > lastRewardBlock) lastRewardBlock = block.number;
        uint256 pending = (user.amount * accTokenPerShare) / PRECISION_FACTOR - user.rewardDebt;
        if (pending > 0) rewardToken.transfer(msg.sender, pending);
    }

    function _accumulated() private view returns (uint256) {
        uint256 supply = stakedToken.balanceOf(address(this));
        uint256 to = block.number < bonusEndBlock ? block.number : bonusEndBlock;
        if (to <= lastRewardBlock || supply == 0) return accTokenPerShare;
        return accTokenPerShare + ((to - lastRewardBlock) * rewardPerBlock * PRECISION_FACTOR) / supply;
    }
}

contract DevSousChef {
    struct UserInfo {
        uint256 amount;
        uint256 rewardDebt;
    }

    struct PoolInfo {
        IToken lpToken;
        uint256 allocPoint;
        uint256 lastRewardBlock;
        uint256 accCakePerShare;
    }

    IToken public immutable syrup;
    IToken public immutable rewardToken;
    uint256 public immutable startBlock;
    uint256 public rewardPerBlock;
    uint256 public bonusEndBlock;
    PoolInfo[] public poolInfo;
    mapping(address => UserInfo) public userInfo;

    event Deposit(address indexed user, uint256 amount);
    event Withdraw(address indexed user, uint256 amount);

    constructor(IToken staked, IToken reward, uint256 perBlock, uint256 blocks) {
        (syrup, rewardToken, rewardPerBlock) = (staked, reward, perBlock);
        (startBlock, bonusEndBlock) = (block.number, block.number + blocks);
        poolInfo.push(PoolInfo(staked, 1000, block.number, 0));
    }

    function getMultiplier(uint256 from, uint256 to) public view returns (uint256) {
        if (to <= bonusEndBlock) return to - from;
        return from >= bonusEndBlock ? 0 : bonusEndBlock - from;
    }

    function pendingReward(address who) external view returns (uint256) {
        UserInfo memory user = userInfo[who];
        return (user.amount * _accumulated()) / 1e12 - user.rewardDebt;
    }

    function deposit(uint256 amount) external {
        UserInfo storage user = userInfo[msg.sender];
        _settle(user);
        if (amount > 0) {
            poolInfo[0].lpToken.transferFrom(msg.sender, address(this), amount);
            user.amount += amount;
        }
        user.rewardDebt = (user.amount * poolInfo[0].accCakePerShare) / 1e12;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        UserInfo storage user = userInfo[msg.sender];
        require(user.amount >= amount, "withdraw: not good");
        _settle(user);
        if (amount > 0) {
            user.amount -= amount;
            poolInfo[0].lpToken.transfer(msg.sender, amount);
        }
        user.rewardDebt = (user.amount * poolInfo[0].accCakePerShare) / 1e12;
        emit Withdraw(msg.sender, amount);
    }

    function _settle(UserInfo memory user) private {
        poolInfo[0].accCakePerShare = _accumulated();
        poolInfo[0].lastRewardBlock = block.number;
        uint256 pending = (user.amount * poolInfo[0].accCakePerShare) / 1e12 - user.rewardDebt;
        if (pending > 0) rewardToken.transfer(msg.sender, pending);
    }

    function _accumulated() private view returns (uint256) {
        PoolInfo memory pool = poolInfo[0];
        uint256 supply = pool.lpToken.balanceOf(address(this));
        if (block.number <= pool.lastRewardBlock || supply == 0) return pool.accCakePerShare;
        uint256 earned = getMultiplier(pool.lastRewardBlock, block.number) * rewardPerBlock;
        return pool.accCakePerShare + (earned * 1e12) / supply;
    }
}
