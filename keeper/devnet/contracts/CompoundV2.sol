// SPDX-License-Identifier: MIT
// Fakes, for local chains only: they stand in for Compound v2 (CErc20, Comptroller, CompoundLens) and for Venus, its fork
// on BNB Chain (Comptroller with its own names, caps and switches), of which only supplying and its rewards are here.
// Kept from the originals: rewards by block and index, claims by anybody that pay nothing in silence while the reservoir
// is short, views that know of nothing since the last touch, a stale stored exchange rate, and old cTokens' habit of
// returning an error code (with a Failure event) where others revert.
pragma solidity ^0.8.20;

interface IDevUnderlying {
    function balanceOf(address who) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

interface IDevComptroller {
    function mintAllowed(address cToken, address minter, uint256 amount) external returns (uint256);
    function redeemAllowed(address cToken, address redeemer, uint256 tokens) external returns (uint256);
}

contract DevCToken {
    uint256 private constant _COMPTROLLER_REJECTION = 3;
    uint256 private constant _INSUFFICIENT_ALLOWANCE = 12;
    uint256 private constant _INSUFFICIENT_BALANCE = 13;

    string public symbol;
    uint8 public constant decimals = 8;
    bool public constant isCToken = true;
    address public immutable underlying;
    address public immutable comptroller;
    address public immutable admin;
    // The build of 2019: what is refused is told by a code, not by a revert.
    bool public immutable old;
    uint256 private immutable _initialRate;

    uint256 public totalSupply;
    uint256 public totalBorrows;
    uint256 public borrowRatePerBlock;
    uint256 public accrualBlockNumber;
    mapping(address => uint256) public balanceOf;

    event Mint(address minter, uint256 mintAmount, uint256 mintTokens);
    event Redeem(address redeemer, uint256 redeemAmount, uint256 redeemTokens);
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Failure(uint256 error, uint256 info, uint256 detail);

    constructor(string memory symbol_, address underlying_, address comptroller_, uint256 initialRate, bool old_) {
        symbol = symbol_;
        underlying = underlying_;
        comptroller = comptroller_;
        _initialRate = initialRate;
        old = old_;
        admin = msg.sender;
        accrualBlockNumber = block.number;
    }

    // Somebody borrows: `amount` leaves, and is owed with interest from now on.
    function lend(uint256 amount, uint256 ratePerBlock) external {
        require(msg.sender == admin, "only admin");
        accrueInterest();
        totalBorrows += amount;
        borrowRatePerBlock = ratePerBlock;
        IDevUnderlying(underlying).transfer(admin, amount);
    }

    function getCash() public view returns (uint256) {
        return IDevUnderlying(underlying).balanceOf(address(this));
    }

    function supplyRatePerBlock() external view returns (uint256) {
        uint256 all = getCash() + totalBorrows;
        return all == 0 ? 0 : borrowRatePerBlock * totalBorrows / all;
    }

    function exchangeRateStored() public view returns (uint256) {
        return totalSupply == 0 ? _initialRate : (getCash() + totalBorrows) * 1e18 / totalSupply;
    }

    function exchangeRateCurrent() external returns (uint256) {
        accrueInterest();
        return exchangeRateStored();
    }

    function accrueInterest() public returns (uint256) {
        totalBorrows += totalBorrows * borrowRatePerBlock * (block.number - accrualBlockNumber) / 1e18;
        accrualBlockNumber = block.number;
        return 0;
    }

    function mint(uint256 amount) external returns (uint256) {
        accrueInterest();
        uint256 refused = IDevComptroller(comptroller).mintAllowed(address(this), msg.sender, amount);
        if (refused != 0) return _fail(_COMPTROLLER_REJECTION, 31, refused);
        IDevUnderlying asset = IDevUnderlying(underlying);
        if (asset.allowance(msg.sender, address(this)) < amount) return _fail(_INSUFFICIENT_ALLOWANCE, 37, 0);
        if (asset.balanceOf(msg.sender) < amount) return _fail(_INSUFFICIENT_BALANCE, 37, 0);
        uint256 rate = exchangeRateStored();
        uint256 before = getCash();
        require(asset.transferFrom(msg.sender, address(this), amount), "TOKEN_TRANSFER_IN_FAILED");
        uint256 tokens = (getCash() - before) * 1e18 / rate;
        totalSupply += tokens;
        balanceOf[msg.sender] += tokens;
        emit Mint(msg.sender, amount, tokens);
        emit Transfer(address(this), msg.sender, tokens);
        return 0;
    }

    function redeem(uint256 tokens) external returns (uint256) {
        accrueInterest();
        uint256 refused = IDevComptroller(comptroller).redeemAllowed(address(this), msg.sender, tokens);
        if (refused != 0) return _fail(_COMPTROLLER_REJECTION, 40, refused);
        uint256 amount = tokens * exchangeRateStored() / 1e18;
        balanceOf[msg.sender] -= tokens;
        totalSupply -= tokens;
        IDevUnderlying(underlying).transfer(msg.sender, amount);
        emit Redeem(msg.sender, amount, tokens);
        emit Transfer(msg.sender, address(this), tokens);
        return 0;
    }

    function _fail(uint256 error, uint256 info, uint256 detail) private returns (uint256) {
        require(old, "refused");
        emit Failure(error, info, detail);
        return error;
    }
}

// The reward side of a Comptroller, under neither project's names.
abstract contract DevFlywheel {
    uint256 internal constant _NOT_LISTED = 9;
    uint224 internal constant _INITIAL_INDEX = 1e36;

    struct State {
        uint224 index;
        uint32 block;
    }

    address public immutable admin;
    address internal immutable _reward;
    address[] internal _markets;
    mapping(address => bool) public listed;
    mapping(address => address[]) internal _assetsIn;
    mapping(address => uint256) internal _speeds;
    mapping(address => State) internal _states;
    mapping(address => mapping(address => uint256)) internal _indices;
    mapping(address => uint256) internal _accrued;
    mapping(address => bool) internal _mintPaused;

    constructor(address reward) {
        admin = msg.sender;
        _reward = reward;
    }

    modifier onlyAdmin() {
        require(msg.sender == admin, "only admin");
        _;
    }

    function support(address cToken, uint256 speed) external onlyAdmin {
        _update(cToken);
        if (!listed[cToken]) {
            listed[cToken] = true;
            _markets.push(cToken);
            _states[cToken] = State(_INITIAL_INDEX, uint32(block.number));
        }
        _speeds[cToken] = speed;
    }

    function unlist(address cToken) external onlyAdmin {
        listed[cToken] = false;
    }

    function pauseMint(address cToken, bool paused) external onlyAdmin {
        _mintPaused[cToken] = paused;
    }

    // Listed, collateral factor, and whether it is rewarded; as in the originals, older ones have the first two only.
    function markets(address cToken) external view returns (bool, uint256, bool) {
        return (listed[cToken], 0.8e18, _speeds[cToken] > 0);
    }

    function getAllMarkets() external view returns (address[] memory) {
        return _markets;
    }

    function getAssetsIn(address account) external view returns (address[] memory) {
        return _assetsIn[account];
    }

    function enterMarkets(address[] calldata cTokens) external {
        for (uint256 i = 0; i < cTokens.length; i++) _assetsIn[msg.sender].push(cTokens[i]);
    }

    function mintAllowed(address cToken, address minter, uint256 amount) external returns (uint256) {
        _checkMint(cToken, amount);
        if (!listed[cToken]) return _NOT_LISTED;
        _update(cToken);
        _distribute(cToken, minter);
        return 0;
    }

    function redeemAllowed(address cToken, address redeemer, uint256) external returns (uint256) {
        if (!listed[cToken]) return _NOT_LISTED;
        _update(cToken);
        _distribute(cToken, redeemer);
        return 0;
    }

    function _checkMint(address cToken, uint256 amount) internal view virtual;

    function _update(address cToken) internal {
        State storage state = _states[cToken];
        uint256 passed = block.number - state.block;
        uint256 supply = DevCToken(cToken).totalSupply();
        if (passed > 0 && _speeds[cToken] > 0 && supply > 0) {
            state.index += uint224(passed * _speeds[cToken] * 1e36 / supply);
        }
        state.block = uint32(block.number);
    }

    function _distribute(address cToken, address who) internal {
        uint256 index = _states[cToken].index;
        uint256 old = _indices[cToken][who];
        _indices[cToken][who] = index;
        if (old == 0 && index >= _INITIAL_INDEX) old = _INITIAL_INDEX;
        _accrued[who] += DevCToken(cToken).balanceOf(who) * (index - old) / 1e36;
    }

    function _claim(address holder, address[] memory cTokens) internal {
        for (uint256 i = 0; i < cTokens.length; i++) {
            require(listed[cTokens[i]], "market must be listed");
            _update(cTokens[i]);
            _distribute(cTokens[i], holder);
        }
        uint256 owed = _accrued[holder];
        // All or nothing, and no word about it.
        if (owed > 0 && owed <= IDevUnderlying(_reward).balanceOf(address(this))) {
            _accrued[holder] = 0;
            IDevUnderlying(_reward).transfer(holder, owed);
        }
    }
}

contract DevComptroller is DevFlywheel {
    constructor(address comp) DevFlywheel(comp) {}

    function getCompAddress() external view returns (address) {
        return _reward;
    }

    function compAccrued(address who) external view returns (uint256) {
        return _accrued[who];
    }

    function compSupplyState(address cToken) external view returns (uint224, uint32) {
        return (_states[cToken].index, _states[cToken].block);
    }

    function compSupplierIndex(address cToken, address who) external view returns (uint256) {
        return _indices[cToken][who];
    }

    function compSupplySpeeds(address cToken) external view returns (uint256) {
        return _speeds[cToken];
    }

    function mintGuardianPaused(address cToken) external view returns (bool) {
        return _mintPaused[cToken];
    }

    function claimComp(address holder) external {
        _claim(holder, _markets);
    }

    function claimComp(address holder, address[] memory cTokens) external {
        _claim(holder, cTokens);
    }

    function _checkMint(address cToken, uint256) internal view override {
        require(!_mintPaused[cToken], "mint is paused");
    }
}

// Claims in earnest within a call that is meant to be static: a second look in the same call finds nothing left.
contract DevCompoundLens {
    struct CompBalanceMetadataExt {
        uint256 balance;
        uint256 votes;
        address delegate;
        uint256 allocated;
    }

    function getCompBalanceMetadataExt(IDevUnderlying comp, DevComptroller comptroller, address account)
        external
        returns (CompBalanceMetadataExt memory)
    {
        uint256 balance = comp.balanceOf(account);
        comptroller.claimComp(account);
        uint256 total = comptroller.compAccrued(account) + comp.balanceOf(account);
        return CompBalanceMetadataExt(balance, 0, address(0), total - balance);
    }
}

contract DevVenusComptroller is DevFlywheel {
    mapping(address => uint256) public supplyCaps;

    constructor(address xvs) DevFlywheel(xvs) {}

    function setSupplyCap(address vToken, uint256 cap) external onlyAdmin {
        supplyCaps[vToken] = cap;
    }

    function getXVSAddress() external view returns (address) {
        return _reward;
    }

    function venusAccrued(address who) external view returns (uint256) {
        return _accrued[who];
    }

    function venusSupplyState(address vToken) external view returns (uint224, uint32) {
        return (_states[vToken].index, _states[vToken].block);
    }

    function venusSupplierIndex(address vToken, address who) external view returns (uint256) {
        return _indices[vToken][who];
    }

    function venusSupplySpeeds(address vToken) external view returns (uint256) {
        return _speeds[vToken];
    }

    // Action 0 is minting.
    function actionPaused(address vToken, uint8 action) external view returns (bool) {
        return action == 0 && _mintPaused[vToken];
    }

    function claimVenus(address holder) external {
        _claim(holder, _markets);
    }

    function claimVenus(address holder, address[] memory vTokens) external {
        _claim(holder, vTokens);
    }

    function _checkMint(address vToken, uint256 amount) internal view override {
        require(!_mintPaused[vToken], "action is paused");
        uint256 supplied = DevCToken(vToken).totalSupply() * DevCToken(vToken).exchangeRateStored() / 1e18;
        require(supplied + amount <= supplyCaps[vToken], "market supply cap reached");
    }
}
