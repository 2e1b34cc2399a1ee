// The unmodified official SDK against a code interpreter that claims to be E2B's: what code shows, and what becomes of it.

import assert from 'node:assert/strict'
import { Sandbox, TimeoutError } from '@e2b/code-interpreter'

const sandbox = await Sandbox.create({ timeoutMs: 600_000, envs: { OF_MACHINE: 'machine' } })

async function run(code, options) {
  const execution = await sandbox.runCode(code, options)
  assert.equal(execution.error, undefined)
  return execution
}

// A table and a picture, with what is in them.
const [table] = (await run("import pandas as pd; pd.DataFrame({'a': [1, float('nan')]})")).results
assert.ok(table.isMainResult && table.html.includes('<td>1.0</td>'))
assert.deepEqual(table.data, { a: [1, null] })
const [figure] = (await run("import matplotlib.pyplot as plt; plt.plot([1, 2], [3, 4]); plt.show()")).results
assert.equal(Buffer.from(figure.png, 'base64').subarray(1, 4).toString(), 'PNG')
assert.equal(figure.chart.type, 'line')
assert.deepEqual(figure.chart.elements[0].points, [[1, 3], [2, 4]])

// Everything that is displayed, in its order.
const heard = []
const shown = await run(
  "from IPython.display import *\ndisplay(HTML('<b>h</b>'), Markdown('*m*'), Latex('$l$'), Javascript('1'))\n" +
    "display({'application/x-own': {'o': 1}}, raw=True)\n[1, 'two']",
  { onResult: (result) => heard.push(result) },
)
assert.deepEqual(shown.results.map((result) => [...result.formats()].at(-1)), [
  'html',
  'markdown',
  'latex',
  'javascript',
  undefined,
  'json',
])
assert.equal(heard.length, 6)
// Of other forms it tells only as they came.
assert.deepEqual(shown.results[4].raw.extra, { 'application/x-own': { o: 1 } })
assert.deepEqual(shown.results[5].json, [1, 'two'])

// Errors, and variables of one execution.
const { error } = await sandbox.runCode("raise KeyError('key')")
assert.deepEqual([error.name, error.value], ['KeyError', "'key'"])
assert.ok(error.traceback.includes('----> 1'))
const asked = "import os; f\"{os.environ.get('OF_RUN')} {os.environ['OF_MACHINE']}\""
assert.equal((await run(asked, { envs: { OF_RUN: 'run' } })).text, 'run machine')
assert.equal((await run(asked)).text, 'None machine')

// Contexts.
await run('x = 1')
const context = await sandbox.createCodeContext({ cwd: '/tmp' })
assert.equal((await run('import os; os.getcwd()', { context })).text, '/tmp')
assert.equal((await sandbox.runCode('x', { context })).error.name, 'NameError')
assert.equal((await sandbox.listCodeContexts()).length, 2)
await run('x = 2', { context })
await sandbox.restartCodeContext(context)
const afresh = await sandbox.runCode('x', { context })
assert.deepEqual([afresh.error.name, afresh.executionCount], ['NameError', 1])

// Out of time: the connection is closed, and the program interrupted.
const code = "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    open('/tmp/interrupted', 'w')\n    raise"
await assert.rejects(sandbox.runCode(code, { context, timeoutMs: 1_000 }), TimeoutError)
const until = Date.now() + 60_000
while (!(await sandbox.files.list('/tmp')).some((entry) => entry.name === 'interrupted')) {
  assert.ok(Date.now() < until, 'nobody interrupts it')
  await new Promise((resolve) => setTimeout(resolve, 200))
}
await sandbox.removeCodeContext(context)
await assert.rejects(sandbox.runCode('1', { context }), /not found/)

// The machine goes under a program.
setTimeout(() => sandbox.kill(), 1_000)
await assert.rejects(sandbox.runCode('import time; time.sleep(60)'), /The sandbox was killed/)
console.log('all as expected')
// The SDK leaves a timer of a minute behind a request that was refused.
process.exit()
