// viem at its best, as a worker on standard input and output: one line in is one round, one line out its milliseconds.
// Signs locally, gives nonces by itself, and lets the transport gather all requests of a turn in one JSON-RPC batch.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

const [modules, url, secret, farm, gas, maxFee, tip, chainId] = process.argv.slice(2)
const require = createRequire(`${modules}/`)
const { createPublicClient, encodeFunctionData, http, parseAbi } = require('viem')
const { privateKeyToAccount } = require('viem/accounts')

const abi = parseAbi(['function deposit(uint256 pid, uint256 amount)'])
const account = privateKeyToAccount(secret)
const client = createPublicClient({ transport: http(url, { batch: { batchSize: 1000, wait: 0 }, retryCount: 0 }) })

async function round(count) {
  const first = await client.getTransactionCount({ address: account.address })
  const send = async (pid) => {
    const data = encodeFunctionData({ abi, functionName: 'deposit', args: [BigInt(pid), 0n] })
    const serializedTransaction = await account.signTransaction({
      type: 'eip1559',
      chainId: Number(chainId),
      nonce: first + pid,
      to: farm,
      data,
      gas: BigInt(gas),
      maxFeePerGas: BigInt(maxFee),
      maxPriorityFeePerGas: BigInt(tip),
    })
    return client.sendRawTransaction({ serializedTransaction })
  }
  let waiting = await Promise.all(Array.from({ length: count }, (_, pid) => send(pid)))
  for (;;) {
    const found = await Promise.all(
      waiting.map((hash) => client.getTransactionReceipt({ hash }).catch((error) => missing(error))),
    )
    if (found.some((receipt) => receipt && receipt.status !== 'success')) throw new Error('a harvest reverted')
    waiting = waiting.filter((_, index) => !found[index])
    if (waiting.length === 0) return
    await pause(5)
  }
}

function missing(error) {
  if (error.name !== 'TransactionReceiptNotFoundError') throw error
  return null
}

for await (const line of createInterface({ input: process.stdin })) {
  const begun = performance.now()
  await round(Number(line))
  console.log(performance.now() - begun)
}
