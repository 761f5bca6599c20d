'use strict'
// Runs code in this process for the server: commands come as lines of JSON on file 3,
// reports go as lines of JSON to file 4. A worker reads the commands, so that it can
// interrupt code that never returns to the event loop.
const fs = require('node:fs')
const inspector = require('node:inspector')
const { createRequire } = require('node:module')
const path = require('node:path')
const util = require('node:util')
const { pathToFileURL } = require('node:url')
const { Worker } = require('node:worker_threads')

// How long code that runs may take to hand over before it is stopped by force.
const politeTime = 200

const compiler = process.env.WRENN_TYPESCRIPT
delete process.env.WRENN_TYPESCRIPT

const session = new inspector.Session()
session.connect()
const evaluate = (parameters) =>
  new Promise((resolve, reject) =>
    session.post('Runtime.evaluate', parameters, (error, answer) => (error ? reject(error) : resolve(answer))),
  )

// write writes all of a text to a file, also to a pipe that is full.
function write(file, text) {
  const data = Buffer.from(text)
  for (let from = 0; from < data.length; ) {
    try {
      from += fs.writeSync(file, data, from)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
const report = (line) => write(4, JSON.stringify(line) + '\n')

// Modules are found from the working directory, as if the code were a file there.
const requireHere = (name) => createRequire(path.join(process.cwd(), 'code.js'))(name)
globalThis.require = Object.assign(requireHere, {
  resolve: (name) => createRequire(path.join(process.cwd(), 'code.js')).resolve(name),
  cache: require.cache,
})
const importName = '__wrennImport'
Object.defineProperty(globalThis, importName, {
  enumerable: false,
  value: (name, options) => {
    name = String(name).replace(/^npm:/, '')
    if (/^\.{0,2}\//.test(name)) name = pathToFileURL(path.resolve(name)).href
    else if (!/^[a-z]+:/.test(name) && !require('node:module').isBuiltin(name)) {
      name = pathToFileURL(globalThis.require.resolve(name)).href
    }
    return import(name, options)
  },
})
globalThis.display = (value) => {
  report({ result: bundle(value), main: false })
}

// bundle makes the representations of a value by their MIME types. A value may make its
// own, by the method that Deno's kernel calls too.
function bundle(value) {
  const own = value?.[Symbol.for('Jupyter.display')]
  if (typeof own === 'function') {
    const made = own.call(value)
    if (made && typeof made === 'object') return made
  }
  const text = typeof value === 'string' ? value : util.inspect(value, { depth: 4, maxArrayLength: 1000 })
  return { 'text/plain': text }
}

// strings finds what code has in quotes, comments and templates, which is left as it is.
const strings = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g
const dynamicImport = /(?<![\w$.])import(?=\s*\()/g
const staticImport =
  /^([ \t]*)import\s+(?:([\w$]+)\s*(?:,\s*)?)?(?:\*\s*as\s+([\w$]+)\s*|\{([^}]*)\}\s*)?(?:from\s*)?(['"])([^'"\n]+)\5[ \t]*;?/gm

// imports makes calls of import statements: code that is evaluated has none.
function imports(code) {
  code = code.replace(staticImport, (_, indent, byDefault, all, names, __, from) => {
    const call = `await ${importName}(${JSON.stringify(from)})`
    const wanted = []
    if (byDefault) wanted.push(`default: ${byDefault}`)
    for (const name of (names ?? '').split(',')) {
      if (name.trim()) wanted.push(name.trim().replace(/\s+as\s+/, ': '))
    }
    if (all) return `${indent}const ${all} = ${call};` + (byDefault ? ` const ${byDefault} = ${all}.default;` : '')
    return wanted.length ? `${indent}const { ${wanted.join(', ')} } = ${call};` : `${indent}${call};`
  })
  let made = ''
  let from = 0
  for (const quoted of code.matchAll(strings)) {
    made += code.slice(from, quoted.index).replace(dynamicImport, importName) + quoted[0]
    from = quoted.index + quoted[0].length
  }
  return made + code.slice(from).replace(dynamicImport, importName)
}

let typescript
function transpile(code) {
  typescript ??= require(compiler)
  const { outputText, diagnostics } = typescript.transpileModule(code, {
    reportDiagnostics: true,
    compilerOptions: {
      target: typescript.ScriptTarget.ES2022,
      module: typescript.ModuleKind.ESNext,
      // An import may be for a later run: it stays, used or not.
      verbatimModuleSyntax: true,
      preserveValueImports: true,
      isolatedModules: true,
    },
  })
  // Source: TypeScript numbers errors of syntax from 1000 to 1999.
  const wrong = (diagnostics ?? []).find((one) => one.code >= 1000 && one.code < 2000)
  if (wrong) throw new SyntaxError(typescript.flattenDiagnosticMessageText(wrong.messageText, '\n'))
  return outputText.replace(/^export \{\};?$/m, '')
}

// take is what the inspector hands a value to: it knows values by its own IDs.
let taken
Object.defineProperty(globalThis, '__wrennTake', { enumerable: false, value: (value) => (taken = value) })

async function valueOf(remote) {
  const argument = remote.objectId
    ? { objectId: remote.objectId }
    : remote.unserializableValue
      ? { unserializableValue: remote.unserializableValue }
      : { value: remote.value }
  taken = undefined
  const { result } = await new Promise((resolve, reject) =>
    session.post('Runtime.evaluate', { expression: 'globalThis' }, (error, answer) => (error ? reject(error) : resolve(answer))),
  )
  await new Promise((resolve, reject) =>
    session.post(
      'Runtime.callFunctionOn',
      { functionDeclaration: 'function (value) { __wrennTake(value) }', objectId: result.objectId, arguments: [argument] },
      (error) => (error ? reject(error) : resolve()),
    ),
  )
  return taken
}

function failure(error) {
  if (!(error instanceof Error) && typeof error?.stack !== 'string') {
    return { name: 'Error', value: util.inspect(error), traceback: `Uncaught ${util.inspect(error)}` }
  }
  // The lines of this driver tell nothing about the code.
  const stack = String(error.stack)
    .split('\n')
    .filter((line) => !line.includes(__filename) && !/node:internal|node:inspector|new Promise \(<anonymous>\)/.test(line) || /^\S/.test(line))
  return { name: error.name ?? 'Error', value: String(error.message), traceback: stack.join('\n') }
}

let interrupt = () => {}
const interrupted = Object.assign(new Error('The code was interrupted'), { name: 'Interrupted', stack: '' })

async function run({ code, language, silent }) {
  const asked = new Promise((_, reject) => {
    interrupt = () => reject(interrupted)
  })
  asked.catch(() => {})
  try {
    const expression = imports(language === 'typescript' ? transpile(code) : code)
    const answer = await Promise.race([evaluate({ expression, replMode: true, awaitPromise: true }), asked])
    if (answer.exceptionDetails) {
      throw answer.exceptionDetails.exception ? await valueOf(answer.exceptionDetails.exception) : new Error(answer.exceptionDetails.text)
    }
    const value = await valueOf(answer.result)
    if (value !== undefined && !silent) report({ result: bundle(value), main: true })
  } catch (error) {
    if (error?.code === 'ERR_INSPECTOR_COMMAND') error = interrupted // stopped by force
    return failure(error)
  } finally {
    interrupt = () => {}
  }
}

// Errors that nobody awaits are told like others, and do not end the process.
for (const kind of ['uncaughtException', 'unhandledRejection']) {
  process.on(kind, (error) => write(2, `Uncaught ${util.inspect(error)}\n`))
}

const worker = new Worker(
  `
  const { parentPort } = require('node:worker_threads')
  const inspector = require('node:inspector')
  const session = new inspector.Session()
  session.connectToMainThread()
  let answered = () => {}
  parentPort.on('message', () => answered())
  const commands = new (require('node:net').Socket)({ fd: 3, readable: true, writable: false })
  require('node:readline').createInterface({ input: commands }).on('line', (line) => {
    const command = JSON.parse(line)
    parentPort.postMessage(command)
    if (!command.interrupt) return
    const byForce = setTimeout(() => session.post('Runtime.terminateExecution'), ${politeTime})
    answered = () => clearTimeout(byForce)
  })
  `,
  { eval: true, stdout: false, stderr: false },
)
let last = Promise.resolve()
worker.on('message', (command) => {
  if (command.interrupt) {
    worker.postMessage('taken')
    interrupt()
    return
  }
  last = last.then(async () => {
    const error = await run(command)
    // What was written is in the pipes before the marks are.
    for (const stream of [process.stdout, process.stderr]) {
      await new Promise((resolve) => stream.write('', resolve))
    }
    report({ end: true, ...(error && { error }) })
    write(1, `\0${command.token}\0`)
    write(2, `\0${command.token}\0`)
  })
})
