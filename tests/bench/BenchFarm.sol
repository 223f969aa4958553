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

    function pendingReward(uint256 pid, address owner) external view returns (uint256) {
        Pool storage pool = poolInfo[pid];
        User storage user = userInfo[pid][owner];
        uint256 perShare = pool.accRewardPerShare;
        uint256 supply = BenchFarm(address(this)).balanceOf(address(this));
        if (block.number > pool.lastRewardBlock && supply != 0) {
            uint256 reward = (block.number - pool.lastRewardBlock) * PER_BLOCK * pool.allocPoint / totalAllocPoint;
            perShare += reward * 1e12 / supply;
        }
        return user.amount * perShare / 1e12 - user.rewardDebt;
    }
}
