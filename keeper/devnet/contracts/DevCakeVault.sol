// SPDX-License-Identifier: MIT
// A fake, for local chains only: PancakeSwap's CakeVault, which compounds pool 0 of its chef for everybody and pays the
// caller a bounty; no contract may call it, and whoever leaves within three days of depositing pays a fee.
pragma solidity ^0.8.20;

interface IVaultToken {
    function balanceOf(address) external view returns (uint256);
    function approve(address, uint256) external returns (bool);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

interface IVaultChef {
    function enterStaking(uint256) external;
    function leaveStaking(uint256) external;
    function pendingCake(uint256, address) external view returns (uint256);
    function userInfo(uint256, address) external view returns (uint256, uint256);
}

contract DevCakeVault {
    struct UserInfo {
        uint256 shares;
        uint256 lastDepositedTime;
        uint256 cakeAtLastUserAction;
        uint256 lastUserActionTime;
    }

    IVaultToken public immutable token;
    IVaultChef public immutable masterchef;
    address public immutable owner;
    address public immutable treasury;
    mapping(address => UserInfo) public userInfo;
    uint256 public totalShares;
    uint256 public lastHarvestedTime;
    uint256 public performanceFee = 200;
    uint256 public callFee = 25;
    uint256 public withdrawFee = 10;
    uint256 public withdrawFeePeriod = 72 hours;
    bool public paused;

    event Deposit(address indexed sender, uint256 amount, uint256 shares, uint256 lastDepositedTime);
    event Withdraw(address indexed sender, uint256 amount, uint256 shares);
    event Harvest(address indexed sender, uint256 performanceFee, uint256 callFee);

    constructor(IVaultToken token_, IVaultChef chef, address treasury_) {
        (token, masterchef, treasury, owner) = (token_, chef, treasury_, msg.sender);
        token_.approve(address(chef), type(uint256).max);
    }

    modifier whenNotPaused() {
        require(!paused, "Pausable: paused");
        _;
    }

    modifier notContract() {
        require(msg.sender.code.length == 0, "contract not allowed");
        require(msg.sender == tx.origin, "proxy contract not allowed");
        _;
    }

    function setPaused(bool paused_) external {
        require(msg.sender == owner, "admin: wut?");
        paused = paused_;
    }

    function available() public view returns (uint256) {
        return token.balanceOf(address(this));
    }

    function balanceOf() public view returns (uint256) {
        (uint256 staked, ) = masterchef.userInfo(0, address(this));
        return available() + staked;
    }

    function getPricePerFullShare() external view returns (uint256) {
        return totalShares == 0 ? 1e18 : (balanceOf() * 1e18) / totalShares;
    }

    function calculateTotalPendingCakeRewards() public view returns (uint256) {
        return masterchef.pendingCake(0, address(this)) + available();
    }

    function calculateHarvestCakeRewards() external view returns (uint256) {
        return (calculateTotalPendingCakeRewards() * callFee) / 10000;
    }

    function deposit(uint256 amount) external whenNotPaused notContract {
        require(amount > 0, "Nothing to deposit");
        uint256 pool = balanceOf();
        token.transferFrom(msg.sender, address(this), amount);
        uint256 shares = totalShares == 0 ? amount : (amount * totalShares) / pool;
        UserInfo storage user = userInfo[msg.sender];
        user.shares += shares;
        user.lastDepositedTime = block.timestamp;
        totalShares += shares;
        user.cakeAtLastUserAction = (user.shares * balanceOf()) / totalShares;
        user.lastUserActionTime = block.timestamp;
        _earn();
        emit Deposit(msg.sender, amount, shares, block.timestamp);
    }

    function harvest() external notContract whenNotPaused {
        masterchef.leaveStaking(0);
        uint256 bal = available();
        uint256 performance = (bal * performanceFee) / 10000;
        token.transfer(treasury, performance);
        uint256 call = (bal * callFee) / 10000;
        token.transfer(msg.sender, call);
        _earn();
        lastHarvestedTime = block.timestamp;
        emit Harvest(msg.sender, performance, call);
    }

    function withdraw(uint256 shares) external notContract {
        UserInfo storage user = userInfo[msg.sender];
        require(shares > 0, "Nothing to withdraw");
        require(shares <= user.shares, "Withdraw amount exceeds balance");
        uint256 amount = (balanceOf() * shares) / totalShares;
        user.shares -= shares;
        totalShares -= shares;
        if (available() < amount) masterchef.leaveStaking(amount - available());
        if (available() < amount) amount = available();
        if (block.timestamp < user.lastDepositedTime + withdrawFeePeriod) {
            uint256 fee = (amount * withdrawFee) / 10000;
            token.transfer(treasury, fee);
            amount -= fee;
        }
        token.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount, shares);
    }

    function _earn() private {
        if (available() > 0) masterchef.enterStaking(available());
    }
}
