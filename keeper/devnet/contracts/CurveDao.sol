// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for the Curve DAO (CRV, veCRV, GaugeController, Minter, liquidity gauges
// V1, V3, V5 and the child gauges of other chains with their factory), whose Vyper code is in no package registry.
// Kept of the originals: names and types of all functions that keepers call, working balances and boosts, the Minter's
// running totals, mint_for without approval doing nothing, views that are none, views that are stale, killed gauges.
// Left out: voting, moving emission rates, withdrawal of tokens by owners.
pragma solidity ^0.8.20;

abstract contract DevCurveErc20 {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory name_, string memory symbol_) {
        (name, symbol) = (name_, symbol_);
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
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= value;
        _move(from, to, value);
        return true;
    }

    function _mint(address to, uint256 value) internal {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function _burn(address from, uint256 value) internal {
        totalSupply -= value;
        balanceOf[from] -= value;
        emit Transfer(from, address(0), value);
    }

    function _move(address from, address to, uint256 value) internal {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

// A token with one minter: CRV, BAL, and the LP tokens of old pools.
contract DevCurveToken is DevCurveErc20 {
    address public minter;
    // Base units that all gauges together emit each second.
    uint256 public rate;

    constructor(string memory name_, string memory symbol_, uint256 rate_) DevCurveErc20(name_, symbol_) {
        (rate, minter) = (rate_, msg.sender);
    }

    function set_minter(address to) external {
        require(msg.sender == minter, "minter only");
        minter = to;
    }

    function mint(address to, uint256 value) external returns (bool) {
        require(msg.sender == minter, "minter only");
        _mint(to, value);
        return true;
    }
}

// veCRV without locks: whoever deploys it says who has how much.
contract DevVotingEscrow {
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    function set(address user, uint256 value) external {
        totalSupply = totalSupply - balanceOf[user] + value;
        balanceOf[user] = value;
    }
}

contract DevGaugeController {
    address[] public gauges;
    mapping(address => uint256) private _kind;
    mapping(address => uint256) public weight;
    address public voting_escrow;

    constructor(address voting_escrow_) {
        voting_escrow = voting_escrow_;
    }

    function n_gauges() external view returns (int128) {
        return int128(int256(gauges.length));
    }

    function add_gauge(address gauge, uint256 weight_) external {
        gauges.push(gauge);
        _kind[gauge] = 1;
        weight[gauge] = weight_;
    }

    function set_weight(address gauge, uint256 weight_) external {
        weight[gauge] = weight_;
    }

    function gauge_types(address gauge) external view returns (int128) {
        require(_kind[gauge] != 0, "not a gauge");
        return int128(int256(_kind[gauge])) - 1;
    }

    function gauge_relative_weight(address gauge) external view returns (uint256) {
        return weight[gauge];
    }

    function checkpoint_gauge(address) external {}
}

contract DevMinter {
    DevCurveToken public token;
    DevGaugeController public controller;
    mapping(address => mapping(address => uint256)) public minted;
    mapping(address => mapping(address => bool)) public allowed_to_mint_for;

    // The third word is all that was ever minted, not what was minted now.
    event Minted(address indexed recipient, address gauge, uint256 minted);

    constructor(DevCurveToken token_, DevGaugeController controller_) {
        (token, controller) = (token_, controller_);
    }

    function mint(address gauge) external {
        _mint_for(gauge, msg.sender);
    }

    function mint_many(address[8] calldata gauges) external {
        for (uint256 i = 0; i < 8 && gauges[i] != address(0); i++) _mint_for(gauges[i], msg.sender);
    }

    // Without the owner's leave it succeeds and does nothing.
    function mint_for(address gauge, address user) external {
        if (allowed_to_mint_for[msg.sender][user]) _mint_for(gauge, user);
    }

    function toggle_approve_mint(address keeper) external {
        allowed_to_mint_for[keeper][msg.sender] = !allowed_to_mint_for[keeper][msg.sender];
    }

    function _mint_for(address gauge, address user) internal {
        require(controller.gauge_types(gauge) >= 0);
        DevGaugeCore(gauge).user_checkpoint(user);
        uint256 total = DevGaugeCore(gauge).integrate_fraction(user);
        uint256 fresh = total - minted[user][gauge];
        if (fresh != 0) {
            token.mint(user, fresh);
            minted[user][gauge] = total;
            emit Minted(user, gauge, total);
        }
    }
}

// What all gauges have: stakes, working balances, the integral of emission over working supply.
abstract contract DevGaugeCore {
    address public lp_token;
    mapping(address => uint256) public balanceOf;
    uint256 public totalSupply;
    mapping(address => uint256) public working_balances;
    uint256 public working_supply;
    mapping(address => uint256) public integrate_fraction;
    mapping(address => uint256) public integrate_inv_supply_of;
    bool public is_killed;
    address internal _admin;
    uint256 internal _integral;
    uint256 internal _checkpoint_at;

    event UpdateLiquidityLimit(
        address user, uint256 original_balance, uint256 original_supply, uint256 working_balance, uint256 working_supply
    );
    event Deposit(address indexed provider, uint256 value);
    event Withdraw(address indexed provider, uint256 value);

    constructor(address lp_token_) {
        (lp_token, _admin, _checkpoint_at) = (lp_token_, msg.sender, block.timestamp);
    }

    function _minter() internal view virtual returns (address);

    function _minted(address user) internal view virtual returns (uint256);

    function _boost() internal view virtual returns (DevVotingEscrow);

    // Emission since the last checkpoint, times 1e18.
    function _emitted() internal virtual returns (uint256);

    function _checkpoint_rewards(address, bool) internal virtual {}

    function _pays_on_deposit() internal pure virtual returns (bool) {
        return false;
    }

    function set_killed(bool killed) external {
        require(msg.sender == _admin, "admin only");
        is_killed = killed;
    }

    function user_checkpoint(address user) external returns (bool) {
        require(msg.sender == user || msg.sender == _minter(), "unauthorized");
        _checkpoint(user);
        _update_liquidity_limit(user);
        return true;
    }

    // Not a view: it makes a checkpoint.
    function claimable_tokens(address user) external returns (uint256) {
        _checkpoint(user);
        return integrate_fraction[user] - _minted(user);
    }

    function deposit(uint256 value) external {
        _deposit(value, msg.sender);
    }

    function withdraw(uint256 value) external {
        _checkpoint(msg.sender);
        _checkpoint_rewards(msg.sender, _pays_on_deposit());
        balanceOf[msg.sender] -= value;
        totalSupply -= value;
        _update_liquidity_limit(msg.sender);
        DevCurveToken(lp_token).transfer(msg.sender, value);
        emit Withdraw(msg.sender, value);
    }

    function _deposit(uint256 value, address user) internal {
        _checkpoint(user);
        if (value != 0) {
            _checkpoint_rewards(user, _pays_on_deposit());
            balanceOf[user] += value;
            totalSupply += value;
            _update_liquidity_limit(user);
            require(DevCurveToken(lp_token).transferFrom(msg.sender, address(this), value));
        }
        emit Deposit(user, value);
    }

    function _checkpoint(address user) internal {
        uint256 emitted = _emitted();
        if (working_supply != 0) _integral += emitted / working_supply;
        _checkpoint_at = block.timestamp;
        integrate_fraction[user] += (working_balances[user] * (_integral - integrate_inv_supply_of[user])) / 1e18;
        integrate_inv_supply_of[user] = _integral;
    }

    function _update_liquidity_limit(address user) internal {
        uint256 limit = (balanceOf[user] * 40) / 100;
        uint256 votes = _boost().totalSupply();
        if (votes > 0) limit += (((totalSupply * _boost().balanceOf(user)) / votes) * 60) / 100;
        if (limit > balanceOf[user]) limit = balanceOf[user];
        working_supply = working_supply + limit - working_balances[user];
        working_balances[user] = limit;
        emit UpdateLiquidityLimit(user, balanceOf[user], totalSupply, limit, working_supply);
    }
}

// A gauge whose emission is minted.
abstract contract DevMintedGauge is DevGaugeCore {
    DevMinter internal immutable _m;

    constructor(address lp_token_, DevMinter minter_) DevGaugeCore(lp_token_) {
        _m = minter_;
    }

    function inflation_rate() external view returns (uint256) {
        return _m.token().rate();
    }

    function _minter() internal view override returns (address) {
        return address(_m);
    }

    function _minted(address user) internal view override returns (uint256) {
        return _m.minted(user, address(this));
    }

    function _boost() internal view override returns (DevVotingEscrow) {
        return DevVotingEscrow(_m.controller().voting_escrow());
    }

    function _emitted() internal override returns (uint256) {
        _m.controller().checkpoint_gauge(address(this));
        if (is_killed) return 0;
        uint256 weight = _m.controller().gauge_relative_weight(address(this));
        return _m.token().rate() * weight * (block.timestamp - _checkpoint_at);
    }
}

// V1: CRV only; says who its minter is.
contract DevGaugeV1 is DevMintedGauge {
    constructor(address lp_token_, DevMinter minter_) DevMintedGauge(lp_token_, minter_) {}

    function minter() external view returns (address) {
        return address(_m);
    }

    function crv_token() external view returns (address) {
        return address(_m.token());
    }

    function controller() external view returns (address) {
        return address(_m.controller());
    }
}

// V3: one more reward, taken in from elsewhere at most once an hour, so that claimable_reward is stale.
contract DevGaugeV3 is DevGaugeV1 {
    DevCurveToken private _extra;
    uint256 private _extra_rate;
    uint256 private _extra_integral;
    uint256 public last_claim;
    mapping(address => uint256) private _extra_integral_of;
    mapping(address => uint256) private _claimable;

    constructor(address lp_token_, DevMinter minter_, DevCurveToken extra, uint256 extra_rate)
        DevGaugeV1(lp_token_, minter_)
    {
        (_extra, _extra_rate, last_claim) = (extra, extra_rate, block.timestamp);
    }

    function reward_contract() external view returns (address) {
        return address(_extra);
    }

    function reward_tokens(uint256 index) external view returns (address) {
        return index == 0 ? address(_extra) : address(0);
    }

    // As of the user's last checkpoint.
    function claimable_reward(address user, address) external view returns (uint256) {
        return _claimable[user];
    }

    function claimable_reward_write(address user, address) external returns (uint256) {
        _checkpoint_rewards(user, false);
        return _claimable[user];
    }

    function claim_rewards() external {
        _checkpoint_rewards(msg.sender, true);
    }

    function _checkpoint_rewards(address user, bool claim) internal override {
        if (totalSupply > 0 && block.timestamp > last_claim + 3600) {
            _extra_integral += (_extra_rate * (block.timestamp - last_claim) * 1e18) / totalSupply;
            last_claim = block.timestamp;
        }
        _claimable[user] += (balanceOf[user] * (_extra_integral - _extra_integral_of[user])) / 1e18;
        _extra_integral_of[user] = _extra_integral;
        if (claim && _claimable[user] > 0) {
            uint256 owed = _claimable[user];
            _claimable[user] = 0;
            require(_extra.transfer(user, owed));
        }
    }
}

// Rewards that distributors stream for a week, beside the emission (V4 and later, child gauges).
abstract contract DevStreams is DevGaugeCore {
    struct Reward {
        address token;
        address distributor;
        uint256 period_finish;
        uint256 rate;
        uint256 last_update;
        uint256 integral;
    }

    uint256 public reward_count;
    address[8] public reward_tokens;
    mapping(address => Reward) internal _rewards;
    mapping(address => address) public rewards_receiver;
    mapping(address => mapping(address => uint256)) private _integral_for;
    mapping(address => mapping(address => uint256)) private _owed;

    function set_rewards_receiver(address receiver) external {
        rewards_receiver[msg.sender] = receiver;
    }

    function add_reward(address token, address distributor) external {
        require(msg.sender == _admin, "admin only");
        reward_tokens[reward_count++] = token;
        (_rewards[token].token, _rewards[token].distributor) = (token, distributor);
    }

    // Like the original it streams for a week from now; `weeks_` of them at once here, so that a chain can be kept.
    function deposit_reward_token(address token, uint256 amount, uint256 weeks_) external {
        Reward storage reward = _rewards[token];
        require(msg.sender == reward.distributor, "distributor only");
        _checkpoint_rewards(address(0), false);
        require(DevCurveToken(token).transferFrom(msg.sender, address(this), amount));
        uint256 left = block.timestamp < reward.period_finish ? reward.period_finish - block.timestamp : 0;
        reward.rate = (amount + left * reward.rate) / (weeks_ * 7 days);
        reward.last_update = block.timestamp;
        reward.period_finish = block.timestamp + weeks_ * 7 days;
    }

    function claimable_reward(address user, address token) external view returns (uint256) {
        Reward storage reward = _rewards[token];
        uint256 integral = reward.integral;
        if (totalSupply != 0) integral += (_since(reward) * reward.rate * 1e18) / totalSupply;
        return _owed[user][token] + (balanceOf[user] * (integral - _integral_for[token][user])) / 1e18;
    }

    function claim_rewards() external {
        _checkpoint_rewards(msg.sender, true);
    }

    function claim_rewards(address user) external {
        _checkpoint_rewards(user, true);
    }

    // A reward that the gauge holds too little of makes the whole claim fail.
    function _checkpoint_rewards(address user, bool claim) internal virtual override {
        for (uint256 i = 0; i < reward_count; i++) {
            address token = reward_tokens[i];
            Reward storage reward = _rewards[token];
            uint256 duration = _since(reward);
            if (duration != 0) {
                reward.last_update += duration;
                if (totalSupply != 0) reward.integral += (duration * reward.rate * 1e18) / totalSupply;
            }
            if (user == address(0)) continue;
            _owed[user][token] += (balanceOf[user] * (reward.integral - _integral_for[token][user])) / 1e18;
            _integral_for[token][user] = reward.integral;
            uint256 owed = _owed[user][token];
            if (claim && owed > 0) {
                address receiver = rewards_receiver[user] == address(0) ? user : rewards_receiver[user];
                _owed[user][token] = 0;
                require(DevCurveToken(token).transfer(receiver, owed));
            }
        }
    }

    function _since(Reward storage reward) private view returns (uint256) {
        uint256 last = block.timestamp < reward.period_finish ? block.timestamp : reward.period_finish;
        return last - reward.last_update;
    }
}

// V5: knows its minter, and tells nobody.
contract DevGaugeV5 is DevMintedGauge, DevStreams {
    constructor(address lp_token_, DevMinter minter_) DevMintedGauge(lp_token_, minter_) {}

    function reward_data(address token) external view returns (Reward memory) {
        return _rewards[token];
    }

    function _checkpoint_rewards(address user, bool claim) internal override(DevGaugeCore, DevStreams) {
        DevStreams._checkpoint_rewards(user, claim);
    }
}

// A gauge of another chain: emission is what the bridge brings, spread over the rest of the week.
contract DevChildGauge is DevStreams {
    DevChildFactory public factory;
    mapping(uint256 => uint256) public inflation_rate;

    struct ChildReward {
        address distributor;
        uint256 period_finish;
        uint256 rate;
        uint256 last_update;
        uint256 integral;
    }

    constructor(address lp_token_, DevChildFactory factory_, address admin) DevGaugeCore(lp_token_) {
        (factory, _admin) = (factory_, admin);
    }

    function reward_data(address token) external view returns (ChildReward memory) {
        Reward memory r = _rewards[token];
        return ChildReward(r.distributor, r.period_finish, r.rate, r.last_update, r.integral);
    }

    function _minter() internal view override returns (address) {
        return address(factory);
    }

    function _minted(address user) internal view override returns (uint256) {
        return factory.minted(user, address(this));
    }

    function _boost() internal view override returns (DevVotingEscrow) {
        return DevVotingEscrow(factory.voting_escrow());
    }

    function _emitted() internal override returns (uint256 emitted) {
        uint256 at = _checkpoint_at;
        while (at < block.timestamp) {
            uint256 next = (at / 7 days + 1) * 7 days;
            if (next > block.timestamp) next = block.timestamp;
            emitted += inflation_rate[at / 7 days] * 1e18 * (next - at);
            at = next;
        }
        uint256 arrived = factory.crv().balanceOf(address(this));
        if (arrived != 0) {
            uint256 week = block.timestamp / 7 days;
            inflation_rate[week] += arrived / ((week + 1) * 7 days - block.timestamp);
            factory.crv().transfer(address(factory), arrived);
        }
    }

    // For tests and the fair: as if the bridge brought so much each week.
    function prepare(uint256 weeks_, uint256 rate) external {
        require(msg.sender == _admin, "admin only");
        for (uint256 i = 0; i < weeks_; i++) inflation_rate[block.timestamp / 7 days + i] = rate;
    }
}

contract DevChildFactory {
    DevCurveToken public crv;
    address public voting_escrow;
    address[] public get_gauge;
    mapping(address => bool) public is_valid_gauge;
    mapping(address => mapping(address => uint256)) public minted;

    event Minted(address indexed user, address indexed gauge, uint256 new_total);

    constructor(DevCurveToken crv_, address voting_escrow_) {
        (crv, voting_escrow) = (crv_, voting_escrow_);
    }

    function get_gauge_count() external view returns (uint256) {
        return get_gauge.length;
    }

    function deploy_gauge(address lp_token) external returns (address) {
        address gauge = address(new DevChildGauge(lp_token, this, msg.sender));
        get_gauge.push(gauge);
        is_valid_gauge[gauge] = true;
        return gauge;
    }

    // Pays out of what the gauges handed in; when that is short, it fails.
    function mint(address gauge) external {
        require(is_valid_gauge[gauge], "invalid gauge");
        DevGaugeCore(gauge).user_checkpoint(msg.sender);
        uint256 total = DevGaugeCore(gauge).integrate_fraction(msg.sender);
        uint256 fresh = total - minted[msg.sender][gauge];
        if (fresh != 0) {
            require(crv.transfer(msg.sender, fresh));
            minted[msg.sender][gauge] = total;
            emit Minted(msg.sender, gauge, total);
        }
    }
}
