// The unmodified official SDK against a server that claims to be E2B: what it makes of each reply must hold.

import assert from 'node:assert/strict'
import { CommandExitError, FileNotFoundError, Sandbox } from '@e2b/code-interpreter'

const sandbox = await Sandbox.create({
  timeoutMs: 120_000,
  metadata: { tenant: 'acme & sons' },
  envs: { GREETING: 'hello' },
})
const info = await sandbox.getInfo()
assert.equal(info.metadata.tenant, 'acme & sons')
assert.ok(info.endAt > info.startedAt)
assert.equal(info.cpuCount, 2)
assert.equal(info.memoryMB, 2048)
assert.ok(await sandbox.isRunning())

// The kernel keeps its names, and shows what it is asked to.
assert.deepEqual((await sandbox.runCode("x = 41; print('hi')")).logs.stdout, ['hi\n'])
let execution = await sandbox.runCode('x + 1')
assert.equal(execution.text, '42')
assert.equal(execution.error, undefined)
execution = await sandbox.runCode('1 / 0')
assert.equal(execution.error.name, 'ZeroDivisionError')
const table = (await sandbox.runCode("import pandas as pd; pd.DataFrame({'a': [1, 2]})")).results[0]
assert.deepEqual(table.data.a, [1, 2])
const heard = []
await sandbox.runCode("print('streamed')", { onStdout: (message) => heard.push(message.line) })
assert.deepEqual(heard, ['streamed\n'])
const context = await sandbox.createCodeContext({ language: 'python' })
assert.equal((await sandbox.runCode('1 + 1', { context })).text, '2')

// Files, as text and bytes, one and several.
await sandbox.files.write('notes/first.txt', 'one')
assert.equal(await sandbox.files.read('/home/user/notes/first.txt'), 'one')
await sandbox.files.write([
  { path: 'a.bin', data: new Blob([new Uint8Array([0, 255])]) },
  { path: 'b.txt', data: 'b' },
])
assert.deepEqual([...(await sandbox.files.read('a.bin', { format: 'bytes' }))], [0, 255])
const names = new Map((await sandbox.files.list('/home/user')).map((entry) => [entry.name, entry]))
assert.equal(names.get('a.bin').size, 2)
assert.equal(names.get('notes').type, 'dir')
await assert.rejects(sandbox.files.read('nowhere.txt'), FileNotFoundError)

// Processes.
const done = await sandbox.commands.run('echo $GREETING; echo oops >&2')
assert.deepEqual([done.stdout, done.stderr, done.exitCode], ['hello\n', 'oops\n', 0])
await assert.rejects(sandbox.commands.run('exit 3'), (error) => error instanceof CommandExitError && error.exitCode === 3)
const handle = await sandbox.commands.run('sleep 60', { background: true })
assert.ok(await handle.kill())

// The control plane.
const before = (await sandbox.getInfo()).endAt
await sandbox.setTimeout(3_600_000)
assert.ok((await sandbox.getInfo()).endAt - before > 600_000)
const again = await Sandbox.connect(sandbox.sandboxId)
assert.equal((await again.runCode('1 + 2')).text, '3')
const found = await Sandbox.list({ query: { metadata: { tenant: 'acme & sons' } } }).nextItems()
assert.deepEqual(found.map((item) => item.sandboxId), [sandbox.sandboxId])
assert.ok(await sandbox.kill())
assert.ok(!(await sandbox.kill()))
assert.ok(!(await sandbox.isRunning()))
console.log('all as expected')
