"use strict";
// EDR (the engine of the Hardhat network) as a JSON-RPC server on a free loopback port, which it prints first.
// Arguments: the node_modules folder, options as JSON. Ends when its standard input does.
const http = require("node:http");
const edr = require(require.resolve("@nomicfoundation/edr", { paths: [process.argv[2]] }));

const options = JSON.parse(process.argv[3] ?? "{}");
const hardfork = edr.CANCUN;

async function open() {
  const context = new edr.EdrContext();
  await context.registerProviderFactory(edr.GENERIC_CHAIN_TYPE, edr.genericChainProviderFactory());
  const genesisState = edr.l1GenesisState(edr.l1HardforkFromString(hardfork));
  for (const [address, wei] of Object.entries(options.balances ?? {})) {
    genesisState.push({ address: Buffer.from(address.slice(2), "hex"), balance: BigInt(wei), code: new Uint8Array() });
  }
  const config = {
    allowBlocksWithSameTimestamp: false,
    allowUnlimitedContractSize: true,
    bailOnCallFailure: true,
    bailOnTransactionFailure: false,
    blockGasLimit: 30000000n,
    chainId: BigInt(options.chainId ?? 31337),
    coinbase: Buffer.alloc(20, 0xc0),
    precompileOverrides: [],
    genesisState,
    hardfork,
    initialBaseFeePerGas: BigInt(options.baseFee ?? 1000000000),
    minGasPrice: 0n,
    mining: { autoMine: false, interval: undefined, memPool: { order: edr.MineOrdering.Priority } },
    networkId: BigInt(options.chainId ?? 31337),
    observability: {},
    ownedAccounts: [],
  };
  const logger = { enable: false, decodeConsoleLogInputsCallback: () => [], printLineCallback: () => {} };
  const decoder = edr.ContractDecoder.withContracts({});
  return context.createProvider(edr.GENERIC_CHAIN_TYPE, config, logger, { subscriptionCallback: () => {} }, decoder);
}

async function answer(provider, call) {
  const { id, method, params } = call;
  const reply = await provider.handleRequest(JSON.stringify({ method, params: params ?? [] }));
  const body = typeof reply.data === "string" ? JSON.parse(reply.data) : reply.data;
  return { ...body, jsonrpc: "2.0", id };
}

async function main() {
  const provider = await open();
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const calls = JSON.parse(Buffer.concat(chunks).toString());
    const many = Array.isArray(calls);
    const replies = [];
    for (const call of many ? calls : [calls]) replies.push(await answer(provider, call));
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(many ? replies : replies[0]));
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
}

main();
