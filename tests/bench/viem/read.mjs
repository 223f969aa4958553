// viem at its best, as a worker on standard input and output: one line in is how many positions are read, one line out
// the milliseconds, the views that failed, and the resident bytes. With a number behind the
// arguments it reads so many once, prints and ends.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const [modules, url, file, multicall3, once] = process.argv.slice(2)
const require = createRequire(`${modules}/`)
const { createPublicClient, http, parseAbiItem } = require('viem')

const client = createPublicClient({ transport: http(url, { retryCount: 0, timeout: 600_000 }) })
const known = new Map()
const told = JSON.parse(readFileSync(file, 'utf8'))
const each = told.each.map((calls) => calls.map(contract))
const shared = told.shared.map(contract)

function contract({ target, signature, returns, args }) {
  const text = `function ${signature} view returns (${returns})`
  if (!known.has(text)) known.set(text, parseAbiItem(text))
  const item = known.get(text)
  const values = args.map((arg, index) => number(item.inputs[index], arg))
  return { address: target, abi: [item], functionName: item.name, args: values }
}

function number({ type, components }, value) {
  if (type.endsWith('[]')) return value.map((part) => number({ type: type.slice(0, -2), components }, part))
  if (components) return value.map((part, index) => number(components[index], part))
  const bits = /^u?int(\d*)$/.exec(type)
  return bits ? (Number(bits[1] || 256) > 48 ? BigInt(value) : Number(value)) : value
}

async function cycle(count) {
  const contracts = Array.from({ length: count }, (_, index) => each[index % each.length]).flat().concat(shared)
  const block = await client.getBlock()
  const options = { contracts, blockNumber: block.number, batchSize: 200_000, multicallAddress: multicall3 }
  const results = await client.multicall({ ...options, allowFailure: true })
  if (results.length !== contracts.length) throw new Error('answers are missing')
  return results.filter(({ status }) => status !== 'success').length
}

if (once) {
  console.log(await cycle(Number(once)))
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const begun = performance.now()
    const failed = await cycle(Number(line))
    console.log(performance.now() - begun, failed, process.memoryUsage().rss)
  }
}
