// SPDX-License-Identifier: MIT
// Fakes, for local chains only: a Yearn V2 vault (0.4.x) with a strategy, a Yearn V3 TokenizedStrategy (3.x), an
// allocator vault over it, and the Keeper of yHaaS that anybody may call. What earns is a pot that drips evenly. They
// keep the roles (a V2 strategy refuses strangers without a word, a V3 one with "!keeper"), the profit that unlocks
// over time, the fees paid in shares, the triggers, and the events.
pragma solidity ^0.8.20;

interface IYearnToken {
    function balanceOf(address who) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
    function approve(address spender, uint256 value) external returns (bool);
}

/// Pays its one client so much a second, as long as it has it.
contract YearnPot {
    IYearnToken public immutable token;
    address public client;
    uint256 public perSecond;
    uint256 public since;

    constructor(IYearnToken token_) {
        token = token_;
    }

    function start(address client_, uint256 perSecond_) external {
        (client, perSecond, since) = (client_, perSecond_, block.timestamp);
    }

    function pending() public view returns (uint256) {
        uint256 earned = (block.timestamp - since) * perSecond;
        uint256 held = token.balanceOf(address(this));
        return earned < held ? earned : held;
    }

    function take() external {
        require(msg.sender == client, "!client");
        uint256 amount = pending();
        since = block.timestamp;
        token.transfer(client, amount);
    }
}

/// Shares of whatever inherits them.
abstract contract YearnShares {
    string public name;
    string public symbol;
    uint8 public decimals;
    uint256 internal _supply;
    mapping(address => uint256) internal _balances;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function balanceOf(address who) public view virtual returns (uint256) {
        return _balances[who];
    }

    function _mint(address to, uint256 shares) internal {
        _supply += shares;
        _balances[to] += shares;
        emit Transfer(address(0), to, shares);
    }

    function _burn(address from, uint256 shares) internal {
        _supply -= shares;
        _balances[from] -= shares;
        emit Transfer(from, address(0), shares);
    }
}

// ---------------------------------------------------------------------------- V2

contract YearnV2Vault is YearnShares {
    struct StrategyParams {
        uint256 performanceFee;
        uint256 activation;
        uint256 debtRatio;
        uint256 minDebtPerHarvest;
        uint256 maxDebtPerHarvest;
        uint256 lastReport;
        uint256 totalDebt;
        uint256 totalGain;
        uint256 totalLoss;
    }

    IYearnToken public immutable token;
    address public governance;
    address public management;
    address public guardian;
    uint256 public performanceFee = 1_000;
    uint256 public totalDebt;
    uint256 public lockedProfit;
    uint256 public lastReport;
    /// Parts of 10**18 a second: all of it within six hours.
    uint256 public constant lockedProfitDegradation = 46e12;
    address[20] public withdrawalQueue;
    mapping(address => StrategyParams) public strategies;

    constructor(IYearnToken token_, uint8 decimals_) {
        (token, decimals, name, symbol) = (token_, decimals_, "Curve yVault", "yvUSD");
        (governance, management, guardian) = (msg.sender, msg.sender, msg.sender);
    }

    function addStrategy(address strategy) external {
        require(msg.sender == governance);
        withdrawalQueue[0] = strategy;
        strategies[strategy].activation = block.timestamp;
        strategies[strategy].lastReport = block.timestamp;
        strategies[strategy].debtRatio = 10_000;
        strategies[strategy].performanceFee = 1_000;
    }

    function setManagement(address who) external {
        require(msg.sender == governance);
        management = who;
    }

    function totalSupply() external view returns (uint256) {
        return _supply;
    }

    function totalAssets() public view returns (uint256) {
        return token.balanceOf(address(this)) + totalDebt;
    }

    function _free() private view returns (uint256) {
        uint256 unlocked = (block.timestamp - lastReport) * lockedProfitDegradation;
        return totalAssets() - (unlocked < 1e18 ? lockedProfit - lockedProfit * unlocked / 1e18 : 0);
    }

    function pricePerShare() external view returns (uint256) {
        return _supply == 0 ? 10 ** decimals : 10 ** decimals * _free() / _supply;
    }

    function deposit(uint256 amount) external returns (uint256 shares) {
        shares = _supply == 0 ? amount : amount * _supply / _free();
        token.transferFrom(msg.sender, address(this), amount);
        _mint(msg.sender, shares);
    }

    function report(uint256 gain, uint256, uint256) external returns (uint256) {
        StrategyParams storage its = strategies[msg.sender];
        require(its.activation > 0);
        uint256 fees = gain * (performanceFee + its.performanceFee) / 10_000;
        if (fees > 0) _mint(governance, fees * _supply / _free());
        (its.lastReport, lastReport, lockedProfit) = (block.timestamp, block.timestamp, gain - fees);
        uint256 credit = token.balanceOf(address(this));
        its.totalGain += gain;
        its.totalDebt += credit + gain;
        totalDebt += credit + gain;
        token.transfer(msg.sender, credit);
        return 0;
    }
}

contract YearnV2Strategy {
    YearnV2Vault public immutable vault;
    IYearnToken public immutable want;
    YearnPot public immutable pot;
    address public strategist;
    address public keeper;
    uint256 public maxReportDelay = 30 days;
    uint256 public creditThreshold = 1_000_000e6;
    bool public forceHarvestTriggerOnce;
    bool public tends;

    event Harvested(uint256 profit, uint256 loss, uint256 debtPayment, uint256 debtOutstanding);

    constructor(YearnV2Vault vault_, YearnPot pot_) {
        (vault, want, pot, strategist, keeper) = (vault_, vault_.token(), pot_, msg.sender, msg.sender);
    }

    modifier onlyKeepers() {
        require(
            msg.sender == keeper || msg.sender == strategist || msg.sender == vault.governance()
                || msg.sender == vault.guardian() || msg.sender == vault.management()
        );
        _;
    }

    function setKeeper(address who) external {
        require(msg.sender == strategist);
        keeper = who;
    }

    function setForceHarvestTriggerOnce(bool to) external {
        require(msg.sender == strategist);
        forceHarvestTriggerOnce = to;
    }

    function setTends(bool to) external {
        require(msg.sender == strategist);
        tends = to;
    }

    function isActive() public view returns (bool) {
        (,, uint256 ratio,,,,,,) = vault.strategies(address(this));
        return ratio > 0 || estimatedTotalAssets() > 0;
    }

    function estimatedTotalAssets() public view returns (uint256) {
        return want.balanceOf(address(this)) + pot.pending();
    }

    /// As in 0.4.6: what the call costs does not matter.
    function harvestTrigger(uint256) external view returns (bool) {
        if (!isActive()) return false;
        if (forceHarvestTriggerOnce) return true;
        (,,,,, uint256 last,,,) = vault.strategies(address(this));
        if (block.timestamp - last >= maxReportDelay) return true;
        return want.balanceOf(address(vault)) > creditThreshold;
    }

    function tendTrigger(uint256) external view returns (bool) {
        return tends;
    }

    function tend() external onlyKeepers {
        pot.take();
        tends = false;
    }

    function harvest() external onlyKeepers {
        pot.take();
        (,,,,,, uint256 debt,,) = vault.strategies(address(this));
        uint256 gain = want.balanceOf(address(this)) - debt;
        vault.report(gain, 0, 0);
        forceHarvestTriggerOnce = false;
        emit Harvested(gain, 0, 0, 0);
    }
}

// ---------------------------------------------------------------------------- V3

contract YearnV3Strategy is YearnShares {
    IYearnToken public immutable asset;
    YearnPot public immutable pot;
    address public management;
    address public keeper;
    address public feeRecipient;
    uint16 public performanceFee = 1_000;
    uint256 public constant profitMaxUnlockTime = 10 days;
    uint256 public totalAssets;
    uint256 public lastReport;
    uint256 public fullProfitUnlockDate;
    /// Shares a second times 10**12.
    uint256 public profitUnlockingRate;
    bool public tends;

    event Reported(uint256 profit, uint256 loss, uint256 protocolFees, uint256 performanceFees);

    constructor(IYearnToken asset_, YearnPot pot_, uint8 decimals_) {
        (asset, pot, decimals, name, symbol) = (asset_, pot_, decimals_, "Tokenized strategy", "ysUSD");
        (management, keeper, feeRecipient, lastReport) = (msg.sender, msg.sender, msg.sender, block.timestamp);
    }

    modifier onlyKeepers() {
        require(msg.sender == keeper || msg.sender == management, "!keeper");
        _;
    }

    function setKeeper(address who) external {
        require(msg.sender == management, "!management");
        keeper = who;
    }

    function setTends(bool to) external {
        require(msg.sender == management, "!management");
        tends = to;
    }

    function _unlocked() private view returns (uint256) {
        uint256 locked = _balances[address(this)];
        if (fullProfitUnlockDate <= block.timestamp) return fullProfitUnlockDate == 0 ? 0 : locked;
        return profitUnlockingRate * (block.timestamp - lastReport) / 1e12;
    }

    function totalSupply() public view returns (uint256) {
        return _supply - _unlocked();
    }

    /// The strategy's own shares are profit that is not unlocked yet.
    function balanceOf(address who) public view override returns (uint256) {
        return who == address(this) ? _balances[who] - _unlocked() : _balances[who];
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return totalSupply() == 0 ? shares : shares * totalAssets / totalSupply();
    }

    function convertToShares(uint256 assets) public view returns (uint256) {
        return totalSupply() == 0 || totalAssets == 0 ? assets : assets * totalSupply() / totalAssets;
    }

    function pricePerShare() external view returns (uint256) {
        return convertToAssets(10 ** decimals);
    }

    function estimatedTotalAssets() public view returns (uint256) {
        return asset.balanceOf(address(this)) + pot.pending();
    }

    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        shares = convertToShares(assets);
        asset.transferFrom(msg.sender, address(this), assets);
        totalAssets += assets;
        _mint(receiver, shares);
    }

    function tendTrigger() external view returns (bool, bytes memory) {
        return (tends, abi.encodeWithSelector(this.tend.selector));
    }

    function tend() external onlyKeepers {
        pot.take();
        tends = false;
    }

    function report() external onlyKeepers returns (uint256 profit, uint256 loss) {
        pot.take();
        _burn(address(this), _unlocked());
        profit = asset.balanceOf(address(this)) - totalAssets;
        uint256 fees = profit * performanceFee / 10_000;
        uint256 shares = convertToAssets(1e18) == 0 ? profit : profit * _supply / totalAssets;
        uint256 feeShares = shares * fees / (profit == 0 ? 1 : profit);
        totalAssets += profit;
        _mint(feeRecipient, feeShares);
        _mint(address(this), shares - feeShares);
        (lastReport, fullProfitUnlockDate) = (block.timestamp, block.timestamp + profitMaxUnlockTime);
        profitUnlockingRate = _balances[address(this)] * 1e12 / profitMaxUnlockTime;
        emit Reported(profit, loss, 0, fees);
    }
}

contract YearnV3Vault is YearnShares {
    struct StrategyParams {
        uint256 activation;
        uint256 last_report;
        uint256 current_debt;
        uint256 max_debt;
    }

    /// Of the vault's roles: may have strategies reported.
    uint256 private constant REPORTING_MANAGER = 32;

    IYearnToken public immutable asset;
    address public immutable role_manager;
    uint256 public totalIdle;
    uint256 public totalDebt;
    mapping(address => uint256) public roles;
    mapping(address => StrategyParams) public strategies;

    event StrategyReported(
        address indexed strategy,
        uint256 gain,
        uint256 loss,
        uint256 current_debt,
        uint256 protocol_fees,
        uint256 total_fees,
        uint256 total_refunds
    );

    constructor(IYearnToken asset_, uint8 decimals_) {
        (asset, decimals, name, symbol, role_manager) = (asset_, decimals_, "Allocator", "yvUSD-3", msg.sender);
    }

    function set_role(address who, uint256 role) external {
        require(msg.sender == role_manager);
        roles[who] = role;
    }

    function totalSupply() public view returns (uint256) {
        return _supply;
    }

    function totalAssets() public view returns (uint256) {
        return totalIdle + totalDebt;
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return _supply == 0 ? shares : shares * totalAssets() / _supply;
    }

    function profitMaxUnlockTime() external pure returns (uint256) {
        return 0;
    }

    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        shares = _supply == 0 ? assets : assets * _supply / totalAssets();
        asset.transferFrom(msg.sender, address(this), assets);
        totalIdle += assets;
        _mint(receiver, shares);
    }

    function add_strategy(YearnV3Strategy strategy) external {
        require(msg.sender == role_manager);
        asset.approve(address(strategy), totalIdle);
        strategy.deposit(totalIdle, address(this));
        strategies[address(strategy)] = StrategyParams(block.timestamp, block.timestamp, totalIdle, type(uint256).max);
        (totalDebt, totalIdle) = (totalDebt + totalIdle, 0);
    }

    function process_report(YearnV3Strategy strategy) external returns (uint256 gain, uint256 loss) {
        require(roles[msg.sender] & REPORTING_MANAGER != 0, "not allowed");
        StrategyParams storage its = strategies[address(strategy)];
        require(its.activation != 0, "inactive strategy");
        uint256 worth = strategy.convertToAssets(strategy.balanceOf(address(this)));
        gain = worth > its.current_debt ? worth - its.current_debt : 0;
        loss = worth < its.current_debt ? its.current_debt - worth : 0;
        totalDebt = totalDebt + gain - loss;
        (its.current_debt, its.last_report) = (worth, block.timestamp);
        emit StrategyReported(address(strategy), gain, loss, worth, 0, 0, 0);
    }
}

/// yHaaS: a keeper that everybody may call, for the strategies that have named it theirs.
contract YearnKeeper {
    function report(YearnV3Strategy strategy) external returns (uint256 profit, uint256 loss) {
        return strategy.report();
    }

    function tend(YearnV3Strategy strategy) external {
        strategy.tend();
    }

    function process_report(YearnV3Vault vault, YearnV3Strategy strategy) external returns (uint256, uint256) {
        return vault.process_report(strategy);
    }
}
