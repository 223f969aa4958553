// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

/// A farm in MasterChef's shape with as many positions as a measurement needs: pool p of position i is i modulo the
/// number of pools, its owner is the address i + 1. Its stake token is itself, so that pendingReward makes an outer call
/// as a real chef does.
contract BenchFarm {
    struct User {
        uint256 amount;
        uint256 rewardDebt;
    }

    struct Pool {
        uint256 allocPoint;
        uint256 lastRewardBlock;
        uint256 accRewardPerShare;
    }

    event Transfer(address indexed from, address indexed to, uint256 value);

    uint256 private constant PER_BLOCK = 1e18;

    Pool[] public poolInfo;
    uint256 public totalAllocPoint;
    mapping(uint256 => mapping(address => User)) public userInfo;
    mapping(address => uint256) public balanceOf;

    function addPools(uint256 count) external {
        for (uint256 i = 0; i < count; i++) {
            poolInfo.push(Pool(100, block.number, 1e12));
        }
        totalAllocPoint += 100 * count;
        balanceOf[address(this)] = 1e24;
    }

    function stake(uint256 first, uint256 last) external {
        uint256 pools = poolInfo.length;
        for (uint256 i = first; i < last; i++) {
            address owner = address(uint160(i + 1));
            userInfo[i % pools][owner] = User(1e18 + i, i);
            balanceOf[owner] = i + 1;
        }
    }

    /// Stakes for an owner in the first pools.
    function join(address owner, uint256 pools) external {
        for (uint256 p = 0; p < pools; p++) {
            userInfo[p][owner] = User(1e18, 0);
        }
    }

    /// Pays what is pending and adds to the stake; with an amount of 0 it is a harvest.
    function deposit(uint256 pid, uint256 amount) external {
        User storage user = userInfo[pid][msg.sender];
        uint256 perShare = _perShare(pid);
        uint256 pending = user.amount * perShare / 1e12 - user.rewardDebt;
        user.amount += amount;
        user.rewardDebt = user.amount * perShare / 1e12;
        balanceOf[msg.sender] += pending;
        emit Transfer(address(this), msg.sender, pending);
    }

    function pendingReward(uint256 pid, address owner) external view returns (uint256) {
        User storage user = userInfo[pid][owner];
        return user.amount * _perShare(pid) / 1e12 - user.rewardDebt;
    }

    function _perShare(uint256 pid) private view returns (uint256 perShare) {
        Pool storage pool = poolInfo[pid];
        perShare = pool.accRewardPerShare;
        uint256 supply = BenchFarm(address(this)).balanceOf(address(this));
        if (block.number > pool.lastRewardBlock && supply != 0) {
            uint256 reward = (block.number - pool.lastRewardBlock) * PER_BLOCK * pool.allocPoint / totalAllocPoint;
            perShare += reward * 1e12 / supply;
        }
    }
}
