// SPDX-License-Identifier: MIT
// Fakes, for local chains only. They stand in for the Solidly family, which is in no package registry: pairs (volatile
// and stable) with their factory, routers in Aerodrome's and in Solidly's first form, gauges of Aerodrome/Velodrome V2,
// of Solidly V1 and of Thena, and the voter that knows them all.
// Kept of the originals: names and types of all functions that keepers call, the invariant and its rounding, fees that
// leave the reserves, weekly epochs that end at a fixed time, owner-only claims, deposits of nothing refused, killed
// gauges and emergencies, boosts by an NFT. Left out: votes, bribes, flash swaps, price observations.
pragma solidity ^0.8.20;

interface IPairToken {
    function balanceOf(address) external view returns (uint256);
    function decimals() external view returns (uint8);
    function symbol() external view returns (string memory);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
}

contract DevSolidlyPair {
    string public symbol;
    uint8 public constant decimals = 18;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    address public immutable factory;
    address public immutable token0;
    address public immutable token1;
    bool public immutable stable;
    uint256 public immutable feeBps;
    uint256 private immutable unit0;
    uint256 private immutable unit1;
    uint256 private reserve0;
    uint256 private reserve1;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Swap(address indexed sender, address indexed to, uint256 in0, uint256 in1, uint256 out0, uint256 out1);

    constructor(address first, address second, bool stable_, uint256 feeBps_) {
        (factory, token0, token1, stable, feeBps) = (msg.sender, first, second, stable_, feeBps_);
        (IPairToken a, IPairToken b) = (IPairToken(first), IPairToken(second));
        (unit0, unit1) = (10 ** a.decimals(), 10 ** b.decimals());
        symbol = string.concat(stable_ ? "sAMM-" : "vAMM-", a.symbol(), "/", b.symbol());
    }

    function name() external view returns (string memory) {
        return symbol;
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
        allowance[from][msg.sender] -= value;
        _move(from, to, value);
        return true;
    }

    function tokens() external view returns (address, address) {
        return (token0, token1);
    }

    function metadata() external view returns (uint256, uint256, uint256, uint256, bool, address, address) {
        return (unit0, unit1, reserve0, reserve1, stable, token0, token1);
    }

    function getReserves() external view returns (uint256, uint256, uint256) {
        return (reserve0, reserve1, block.timestamp);
    }

    function getAmountOut(uint256 amount, address sold) external view returns (uint256) {
        amount -= (amount * feeBps) / 10000;
        bool first = sold == token0;
        (uint256 from, uint256 to) = first ? (reserve0, reserve1) : (reserve1, reserve0);
        if (!stable) return (amount * to) / (from + amount);
        (uint256 unitIn, uint256 unitOut) = first ? (unit0, unit1) : (unit1, unit0);
        uint256 wadTo = (to * 1e18) / unitOut;
        uint256 wadFrom = (from * 1e18) / unitIn;
        uint256 y = wadTo - _other((amount * 1e18) / unitIn + wadFrom, _k(wadFrom, wadTo), wadTo);
        return (y * unitOut) / 1e18;
    }

    function mint(address to) external returns (uint256 liquidity) {
        (uint256 in0, uint256 in1) = _held();
        (in0, in1) = (in0 - reserve0, in1 - reserve1);
        if (totalSupply == 0) {
            liquidity = _sqrt(in0 * in1) - 1000;
            _mint(address(1), 1000);
        } else {
            uint256 second = (in1 * totalSupply) / reserve1;
            liquidity = (in0 * totalSupply) / reserve0;
            if (second < liquidity) liquidity = second;
        }
        require(liquidity > 0, "ILM");
        _mint(to, liquidity);
        (reserve0, reserve1) = _held();
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata) external {
        require(out0 + out1 > 0 && out0 < reserve0 && out1 < reserve1, "IL");
        if (out0 > 0) IPairToken(token0).transfer(to, out0);
        if (out1 > 0) IPairToken(token1).transfer(to, out1);
        (uint256 held0, uint256 held1) = _held();
        uint256 in0 = held0 > reserve0 - out0 ? held0 - (reserve0 - out0) : 0;
        uint256 in1 = held1 > reserve1 - out1 ? held1 - (reserve1 - out1) : 0;
        require(in0 + in1 > 0, "IIA");
        // Fees leave the pair: they are the voters', not the liquidity's.
        if (in0 > 0) IPairToken(token0).transfer(factory, (in0 * feeBps) / 10000);
        if (in1 > 0) IPairToken(token1).transfer(factory, (in1 * feeBps) / 10000);
        (held0, held1) = _held();
        require(_invariant(held0, held1) >= _invariant(reserve0, reserve1), "K");
        (reserve0, reserve1) = (held0, held1);
        emit Swap(msg.sender, to, in0, in1, out0, out1);
    }

    function _held() private view returns (uint256, uint256) {
        return (IPairToken(token0).balanceOf(address(this)), IPairToken(token1).balanceOf(address(this)));
    }

    function _invariant(uint256 x, uint256 y) private view returns (uint256) {
        return stable ? _k((x * 1e18) / unit0, (y * 1e18) / unit1) : x * y;
    }

    function _k(uint256 x, uint256 y) private pure returns (uint256) {
        uint256 a = (x * y) / 1e18;
        uint256 b = (x * x) / 1e18 + (y * y) / 1e18;
        return (a * b) / 1e18;
    }

    // Newton's way to the y that keeps x * y * (x * x + y * y) at k.
    function _other(uint256 x, uint256 k, uint256 y) private pure returns (uint256) {
        for (uint256 i = 0; i < 255; i++) {
            uint256 now_ = _k(x, y);
            uint256 slope = (3 * x * ((y * y) / 1e18)) / 1e18 + (((x * x) / 1e18) * x) / 1e18;
            uint256 step = now_ < k ? ((k - now_) * 1e18) / slope : ((now_ - k) * 1e18) / slope;
            if (step == 0) return now_ < k ? y + 1 : y;
            y = now_ < k ? y + step : y - step;
        }
        revert("!y");
    }

    function _sqrt(uint256 value) private pure returns (uint256 root) {
        root = value;
        for (uint256 next = (value + 1) / 2; next < root; next = (value / next + next) / 2) root = next;
    }

    function _mint(address to, uint256 value) private {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function _move(address from, address to, uint256 value) private {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

contract DevSolidlyFactory {
    mapping(address => mapping(address => mapping(bool => address))) public getPool;
    mapping(address => bool) public isPool;
    uint256 public immutable volatileBps;
    uint256 public immutable stableBps;

    constructor(uint256 volatileBps_, uint256 stableBps_) {
        (volatileBps, stableBps) = (volatileBps_, stableBps_);
    }

    function createPool(address a, address b, bool stable) public returns (address pool) {
        (address first, address second) = a < b ? (a, b) : (b, a);
        require(getPool[first][second][stable] == address(0), "PE");
        pool = address(new DevSolidlyPair(first, second, stable, stable ? stableBps : volatileBps));
        getPool[first][second][stable] = getPool[second][first][stable] = pool;
        isPool[pool] = true;
    }

    // Solidly's first form.
    function getPair(address a, address b, bool stable) external view returns (address) {
        return getPool[a][b][stable];
    }

    function isPair(address pair) external view returns (bool) {
        return isPool[pair];
    }
}

abstract contract SolidlyRouter {
    DevSolidlyFactory internal immutable pools;

    struct Hop {
        address from;
        address to;
        bool stable;
    }

    constructor(DevSolidlyFactory factory_) {
        pools = factory_;
    }

    modifier ensure(uint256 deadline) {
        require(deadline >= block.timestamp, "BaseV1Router: EXPIRED");
        _;
    }

    function addLiquidity(
        address tokenA,
        address tokenB,
        bool stable,
        uint256 desiredA,
        uint256 desiredB,
        uint256 minA,
        uint256 minB,
        address to,
        uint256 deadline
    ) external ensure(deadline) returns (uint256 amountA, uint256 amountB, uint256 liquidity) {
        require(desiredA >= minA && desiredB >= minB, "BaseV1Router: DESIRED");
        address pool = pools.getPool(tokenA, tokenB, stable);
        if (pool == address(0)) pool = pools.createPool(tokenA, tokenB, stable);
        (amountA, amountB) = _taken(pool, tokenA, tokenB, desiredA, desiredB);
        require(amountA >= minA, "BaseV1Router: INSUFFICIENT_A_AMOUNT");
        require(amountB >= minB, "BaseV1Router: INSUFFICIENT_B_AMOUNT");
        IPairToken(tokenA).transferFrom(msg.sender, pool, amountA);
        IPairToken(tokenB).transferFrom(msg.sender, pool, amountB);
        liquidity = DevSolidlyPair(pool).mint(to);
    }

    function _taken(address pool, address tokenA, address tokenB, uint256 desiredA, uint256 desiredB)
        private
        view
        returns (uint256, uint256)
    {
        (uint256 first, uint256 second, ) = DevSolidlyPair(pool).getReserves();
        (uint256 a, uint256 b) = tokenA < tokenB ? (first, second) : (second, first);
        if (a == 0) return (desiredA, desiredB);
        uint256 optimalB = (desiredA * b) / a;
        return optimalB <= desiredB ? (desiredA, optimalB) : ((desiredB * a) / b, desiredB);
    }

    function _quote(uint256 amount, Hop[] memory hops) internal view returns (uint256[] memory amounts) {
        amounts = new uint256[](hops.length + 1);
        amounts[0] = amount;
        for (uint256 i = 0; i < hops.length; i++) {
            address pool = pools.getPool(hops[i].from, hops[i].to, hops[i].stable);
            if (pool != address(0)) amounts[i + 1] = DevSolidlyPair(pool).getAmountOut(amounts[i], hops[i].from);
        }
    }

    function _swap(uint256 amount, uint256 least, Hop[] memory hops, address to) internal returns (uint256[] memory got) {
        got = _quote(amount, hops);
        require(got[hops.length] >= least, "BaseV1Router: INSUFFICIENT_OUTPUT_AMOUNT");
        address pool = pools.getPool(hops[0].from, hops[0].to, hops[0].stable);
        IPairToken(hops[0].from).transferFrom(msg.sender, pool, amount);
        for (uint256 i = 0; i < hops.length; i++) {
            address next = i + 1 == hops.length
                ? to
                : pools.getPool(hops[i + 1].from, hops[i + 1].to, hops[i + 1].stable);
            bool first = hops[i].from < hops[i].to;
            DevSolidlyPair(pool).swap(first ? 0 : got[i + 1], first ? got[i + 1] : 0, next, "");
            pool = next;
        }
    }
}

// A hop names its factory; zero is the default one.
contract DevAeroRouter is SolidlyRouter {
    struct Route {
        address from;
        address to;
        bool stable;
        address factory;
    }

    constructor(DevSolidlyFactory factory_) SolidlyRouter(factory_) {}

    function defaultFactory() external view returns (address) {
        return address(pools);
    }

    function getAmountsOut(uint256 amount, Route[] memory routes) public view returns (uint256[] memory) {
        return _quote(amount, _hops(routes));
    }

    function swapExactTokensForTokens(uint256 amount, uint256 least, Route[] calldata routes, address to, uint256 until)
        external
        ensure(until)
        returns (uint256[] memory)
    {
        return _swap(amount, least, _hops(routes), to);
    }

    function _hops(Route[] memory routes) private view returns (Hop[] memory hops) {
        hops = new Hop[](routes.length);
        for (uint256 i = 0; i < routes.length; i++) {
            require(routes[i].factory == address(0) || routes[i].factory == address(pools), "PoolFactoryDoesNotExist");
            hops[i] = Hop(routes[i].from, routes[i].to, routes[i].stable);
        }
    }
}

contract DevSolidlyRouter is SolidlyRouter {
    constructor(DevSolidlyFactory factory_) SolidlyRouter(factory_) {}

    function factory() external view returns (address) {
        return address(pools);
    }

    function getAmountsOut(uint256 amount, Hop[] memory routes) public view returns (uint256[] memory) {
        return _quote(amount, routes);
    }

    function swapExactTokensForTokens(uint256 amount, uint256 least, Hop[] calldata routes, address to, uint256 until)
        external
        ensure(until)
        returns (uint256[] memory)
    {
        return _swap(amount, least, routes, to);
    }
}

// Pools and their gauges.
contract DevVoter {
    address public immutable owner = msg.sender;
    address[] public pools;
    mapping(address => address) public gauges;
    mapping(address => bool) public isAlive;

    function length() external view returns (uint256) {
        return pools.length;
    }

    function register(address pool, address gauge) external {
        if (gauges[pool] == address(0)) pools.push(pool);
        gauges[pool] = gauge;
        isAlive[gauge] = true;
    }

    function killGauge(address gauge) external {
        isAlive[gauge] = false;
    }
}

// What one reward token has accrued, as every gauge of this family counts it.
abstract contract WeeklyRewards {
    uint256 public lastUpdateTime;
    uint256 public rewardPerTokenStored;
    mapping(address => uint256) public userRewardPerTokenPaid;
    mapping(address => uint256) internal owed;

    function _rate() internal view virtual returns (uint256);
    function _finish() internal view virtual returns (uint256);
    function _total() internal view virtual returns (uint256);
    function _weight(address who) internal view virtual returns (uint256);

    function _until() internal view returns (uint256) {
        return block.timestamp < _finish() ? block.timestamp : _finish();
    }

    function _perToken() internal view returns (uint256) {
        if (_total() == 0 || _until() < lastUpdateTime) return rewardPerTokenStored;
        return rewardPerTokenStored + ((_until() - lastUpdateTime) * _rate() * 1e18) / _total();
    }

    function _earned(address who) internal view returns (uint256) {
        return (_weight(who) * (_perToken() - userRewardPerTokenPaid[who])) / 1e18 + owed[who];
    }

    function _settle(address who) internal {
        rewardPerTokenStored = _perToken();
        lastUpdateTime = _until();
        if (who == address(0)) return;
        owed[who] = _earned(who);
        userRewardPerTokenPaid[who] = rewardPerTokenStored;
    }

    function _take(address who) internal returns (uint256 reward) {
        reward = owed[who];
        owed[who] = 0;
    }
}

// Aerodrome and Velodrome V2.
contract DevAeroGauge is WeeklyRewards {
    IPairToken public immutable stakingToken;
    IPairToken public immutable rewardToken;
    DevVoter public immutable voter;
    uint256 public rewardRate;
    uint256 public periodFinish;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    error NotAlive();
    error NotAuthorized();
    error ZeroAmount();

    event Deposit(address indexed from, address indexed to, uint256 amount);
    event ClaimRewards(address indexed from, uint256 amount);

    constructor(IPairToken staking, IPairToken reward, DevVoter voter_) {
        (stakingToken, rewardToken, voter) = (staking, reward, voter_);
    }

    function earned(address who) external view returns (uint256) {
        return _earned(who);
    }

    function getReward(address who) external {
        if (msg.sender != who && msg.sender != address(voter)) revert NotAuthorized();
        _settle(who);
        uint256 reward = _take(who);
        if (reward == 0) return;
        require(rewardToken.transfer(who, reward), "transfer");
        emit ClaimRewards(who, reward);
    }

    function deposit(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        if (!voter.isAlive(address(this))) revert NotAlive();
        _settle(msg.sender);
        stakingToken.transferFrom(msg.sender, address(this), amount);
        totalSupply += amount;
        balanceOf[msg.sender] += amount;
        emit Deposit(msg.sender, msg.sender, amount);
    }

    // One epoch: until the next Thursday at most.
    function notifyRewardAmount(uint256 amount) external {
        notifyRewardWeeks(amount, 1);
    }

    // Not in the original: several epochs at once, so that a local chain needs no voter each week.
    function notifyRewardWeeks(uint256 amount, uint256 weeksAhead) public {
        _settle(address(0));
        uint256 left = weeksAhead * 7 days - (block.timestamp % 7 days);
        uint256 rest = block.timestamp < periodFinish ? (periodFinish - block.timestamp) * rewardRate : 0;
        rewardToken.transferFrom(msg.sender, address(this), amount);
        rewardRate = (amount + rest) / left;
        (lastUpdateTime, periodFinish) = (block.timestamp, block.timestamp + left);
    }

    function _rate() internal view override returns (uint256) {
        return rewardRate;
    }

    function _finish() internal view override returns (uint256) {
        return periodFinish;
    }

    function _total() internal view override returns (uint256) {
        return totalSupply;
    }

    function _weight(address who) internal view override returns (uint256) {
        return balanceOf[who];
    }
}

// Solidly V1: any number of reward tokens (one here), boosts by a ve NFT, deposits with its number.
contract DevSolidlyGauge is WeeklyRewards {
    IPairToken public immutable stake;
    IPairToken private immutable reward_;
    uint256 private rate_;
    uint256 private finish_;
    uint256 public totalSupply;
    uint256 public derivedSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => uint256) public derivedBalances;
    mapping(address => uint256) public tokenIds;
    mapping(uint256 => address) public veOwner;

    event Deposit(address indexed from, uint256 tokenId, uint256 amount);
    event ClaimRewards(address indexed from, address indexed reward, uint256 amount);

    constructor(IPairToken staking, IPairToken reward) {
        (stake, reward_) = (staking, reward);
    }

    function rewardsListLength() external pure returns (uint256) {
        return 1;
    }

    function rewards(uint256) external view returns (address) {
        return address(reward_);
    }

    function rewardRate(address token) external view returns (uint256) {
        return token == address(reward_) ? rate_ : 0;
    }

    function periodFinish(address token) external view returns (uint256) {
        return token == address(reward_) ? finish_ : 0;
    }

    function earned(address token, address who) external view returns (uint256) {
        return token == address(reward_) ? _earned(who) : 0;
    }

    function getReward(address who, address[] calldata tokens) external {
        require(msg.sender == who);
        _settle(who);
        for (uint256 i = 0; i < tokens.length; i++) {
            if (tokens[i] != address(reward_)) continue;
            uint256 amount = _take(who);
            if (amount > 0) require(reward_.transfer(who, amount));
            emit ClaimRewards(who, tokens[i], amount);
        }
        _derive(who);
    }

    function giveVe(address who, uint256 tokenId) external {
        veOwner[tokenId] = who;
    }

    function deposit(uint256 amount, uint256 tokenId) external {
        require(amount > 0);
        _settle(msg.sender);
        if (tokenId > 0) {
            require(veOwner[tokenId] == msg.sender);
            if (tokenIds[msg.sender] == 0) tokenIds[msg.sender] = tokenId;
            require(tokenIds[msg.sender] == tokenId);
        }
        stake.transferFrom(msg.sender, address(this), amount);
        totalSupply += amount;
        balanceOf[msg.sender] += amount;
        _derive(msg.sender);
        emit Deposit(msg.sender, tokenIds[msg.sender], amount);
    }

    function notifyRewardAmount(address token, uint256 amount) external {
        require(token == address(reward_));
        notifyRewardWeeks(amount, 1);
    }

    // Not in the original: several weeks at once.
    function notifyRewardWeeks(uint256 amount, uint256 weeksAhead) public {
        _settle(address(0));
        uint256 rest = block.timestamp < finish_ ? (finish_ - block.timestamp) * rate_ : 0;
        reward_.transferFrom(msg.sender, address(this), amount);
        rate_ = (amount + rest) / (weeksAhead * 7 days);
        (lastUpdateTime, finish_) = (block.timestamp, block.timestamp + weeksAhead * 7 days);
    }

    // Without an NFT a stake counts 40 %, with one all of it.
    function _derive(address who) private {
        uint256 derived = tokenIds[who] == 0 ? (balanceOf[who] * 40) / 100 : balanceOf[who];
        derivedSupply = derivedSupply - derivedBalances[who] + derived;
        derivedBalances[who] = derived;
    }

    function _rate() internal view override returns (uint256) {
        return rate_;
    }

    function _finish() internal view override returns (uint256) {
        return finish_;
    }

    function _total() internal view override returns (uint256) {
        return derivedSupply;
    }

    function _weight(address who) internal view override returns (uint256) {
        return derivedBalances[who];
    }
}

// Thena and its kin: the stake is called TOKEN, the claim takes no argument, an emergency stops deposits.
contract DevThenaGauge is WeeklyRewards {
    IPairToken public immutable TOKEN;
    IPairToken public immutable rewardToken;
    uint256 public rewardRate;
    uint256 public periodFinish;
    uint256 public totalSupply;
    bool public emergency;
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed user, uint256 amount);
    event Harvest(address indexed user, uint256 reward);

    constructor(IPairToken staking, IPairToken reward) {
        (TOKEN, rewardToken) = (staking, reward);
    }

    function activateEmergencyMode() external {
        emergency = true;
    }

    function earned(address who) external view returns (uint256) {
        return _earned(who);
    }

    function getReward() external {
        _settle(msg.sender);
        uint256 reward = _take(msg.sender);
        if (reward == 0) return;
        require(rewardToken.transfer(msg.sender, reward), "transfer");
        emit Harvest(msg.sender, reward);
    }

    function deposit(uint256 amount) external {
        require(!emergency, "emergency");
        require(amount > 0, "deposit(Gauge): cannot stake 0");
        _settle(msg.sender);
        balanceOf[msg.sender] += amount;
        totalSupply += amount;
        TOKEN.transferFrom(msg.sender, address(this), amount);
        emit Deposit(msg.sender, amount);
    }

    function notifyRewardAmount(address, uint256 amount) external {
        notifyRewardWeeks(amount, 1);
    }

    // Not in the original: several weeks at once.
    function notifyRewardWeeks(uint256 amount, uint256 weeksAhead) public {
        _settle(address(0));
        uint256 rest = block.timestamp < periodFinish ? (periodFinish - block.timestamp) * rewardRate : 0;
        rewardToken.transferFrom(msg.sender, address(this), amount);
        rewardRate = (amount + rest) / (weeksAhead * 7 days);
        (lastUpdateTime, periodFinish) = (block.timestamp, block.timestamp + weeksAhead * 7 days);
    }

    function _rate() internal view override returns (uint256) {
        return rewardRate;
    }

    function _finish() internal view override returns (uint256) {
        return periodFinish;
    }

    function _total() internal view override returns (uint256) {
        return totalSupply;
    }

    function _weight(address who) internal view override returns (uint256) {
        return balanceOf[who];
    }
}
