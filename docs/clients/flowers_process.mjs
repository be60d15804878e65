// Keep `flowers stream` as a child process: a client without packages, for Node.js 18 or later.
//
//     node flowers_process.mjs PHOTO...
//
// Copy this file into your program. docs/embedding.md has the protocol and the policy of time-outs
// and restarts that this client follows.

import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROTOCOL = 1;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;

/** The program isn't there, has no usable model or was given wrong flags: don't try again. */
export class CannotStartError extends Error {}

/** The child ended before it had answered. */
export class ChildDiedError extends Error {}

/** No answer in time. */
export class TimeoutError extends Error {}

/** A child process that names flowers; it is started again when it dies or hangs. */
export class FlowersProcess {
  #command;
  #startTimeout;
  #child; // a promise, so that several callers wait for one start
  #delay = 0;
  #free;
  #queue = [];
  #closing = new AbortController();

  /** Resolves when the child is ready. Rejects with CannotStartError or ChildDiedError. */
  static async start(command = ["flowers", "stream"], { startTimeout = 60_000 } = {}) {
    const flowers = new FlowersProcess();
    flowers.#command = command;
    flowers.#startTimeout = startTimeout;
    flowers.#child = Child.start(command, startTimeout);
    // Enough for all cores; more would only wait in memory, for Node's pipes never block.
    flowers.#free = 2 * (await flowers.ready()).workers;
    return flowers;
  }

  /** What the child said about itself: model, labels, pid, workers. */
  async ready() {
    return (await this.#child).ready;
  }

  /**
   * The answer for a path or for the bytes of a file (a Uint8Array); its status may be "error".
   * Options are `timeout`, in milliseconds from the moment when the request is sent, and fields
   * of the request: top_k, lang, min_confidence, id. Rejects with TimeoutError when there is no
   * answer in time: the child is killed then. Rejects with ChildDiedError if two children died with this
   * request in flight.
   */
  async classify(photo, { timeout = 10_000, ...options } = {}) {
    const source =
      typeof photo === "string" ? { path: photo } : { bytes: Buffer.from(photo).toString("base64") };
    const line = JSON.stringify({ ...options, ...source }) + "\n";
    await this.#slot();
    try {
      return await this.#ask(line, timeout).catch((error) => {
        if (error instanceof ChildDiedError) return this.#ask(line, timeout);
        throw error;
      });
    } finally {
      this.#free += 1;
      this.#queue.shift()?.();
    }
  }

  /** End the child, when all answers are in; kill it if that takes longer than `timeout`. */
  async close(timeout = 10_000) {
    this.#closing.abort();
    const child = await this.#child.catch(() => null);
    await child?.finish(timeout);
  }

  async #slot() {
    while (this.#free === 0) await new Promise((resolve) => this.#queue.push(resolve));
    this.#free -= 1;
  }

  async #ask(line, timeout) {
    const child = await this.#livingChild();
    const record = await child.ask(line, timeout);
    this.#delay = 0;
    return record;
  }

  async #livingChild() {
    const current = this.#child;
    const child = await current.catch(() => ({ dead: true }));
    // Somebody else may have begun to start another while we waited.
    if (child.dead && this.#child === current) this.#child = this.#restart();
    return this.#child;
  }

  async #restart() {
    const delay = this.#delay;
    this.#delay = Math.min(Math.max(FIRST_DELAY, 2 * delay), LONGEST_DELAY);
    const { signal } = this.#closing;
    await sleep(delay, null, { signal }).catch(() => {});
    if (signal.aborted) throw new ChildDiedError("closed");
    return Child.start(this.#command, this.#startTimeout);
  }
}

class Child {
  dead = false;
  #process;
  #ended;
  #waiting = []; // who waits for the next lines: answers come in the order of requests

  static async start([program, ...flags], startTimeout) {
    const child = new Child();
    // Standard error is inherited: nobody has to drain it.
    child.#process = spawn(program, flags, { stdio: ["pipe", "pipe", "inherit"] });
    child.#ended = new Promise((resolve) => {
      child.#process.on("error", (error) => child.#end(new CannotStartError(error.message), resolve));
      child.#process.on("close", (code, signal) => {
        const Reason = !child.ready && [2, 3].includes(code) ? CannotStartError : ChildDiedError;
        child.#end(new Reason(`the child ended with ${code ?? signal}`), resolve);
      });
    });
    child.#process.stdin.on("error", () => {}); // a dead child is noticed by "close"
    child.#readLines();
    const ready = await child.#next(startTimeout).catch((error) => {
      throw error instanceof TimeoutError ? new ChildDiedError("not ready in time") : error;
    });
    if (ready.protocol !== PROTOCOL) {
      child.kill();
      throw new CannotStartError(`not protocol ${PROTOCOL}: ${JSON.stringify(ready)}`);
    }
    child.ready = ready;
    return child;
  }

  async ask(line, timeout) {
    if (this.dead) throw new ChildDiedError("the child is dead");
    this.#process.stdin.write(line);
    return this.#next(timeout);
  }

  async finish(timeout) {
    this.#process.stdin.end();
    const timer = setTimeout(() => this.kill(), timeout);
    await this.#ended;
    clearTimeout(timer);
  }

  kill() {
    this.dead = true;
    this.#process.kill("SIGKILL");
  }

  #next(timeout) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.kill();
        reject(new TimeoutError(`no answer within ${timeout} ms`));
      }, timeout);
      const settle = (answer) => {
        clearTimeout(timer);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      this.#waiting.push(settle);
    });
  }

  #readLines() {
    // Not node:readline, which also ends lines at U+2028 and U+2029; JSON may contain them.
    let rest = "";
    this.#process.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      try {
        for (const line of lines) {
          const record = JSON.parse(line);
          this.#waiting.shift()(record);
        }
      } catch {
        this.kill(); // a line that is no JSON, or that nobody asked for
      }
    });
  }

  #end(error, resolve) {
    this.dead = true;
    for (const settle of this.#waiting.splice(0)) settle(error);
    resolve();
  }
}

/** Print a line for each photo; 1 if one couldn't be named, 3 if there is no child. */
async function main(paths) {
  let flowers;
  try {
    flowers = await FlowersProcess.start();
  } catch (error) {
    console.error(`flowers_process: ${error.message}`);
    return 3;
  }
  let failed = 0;
  const answers = paths.map((path) =>
    flowers.classify(path).catch((error) => ({ status: "error", error })),
  );
  for (const [index, path] of paths.entries()) {
    const { status, label, confidence, error } = await answers[index];
    if (status === "ok") console.log(`${path}: ${label} ${confidence.toFixed(4)}`);
    else {
      console.error(`${path}: ${error.message}`);
      failed = 1;
    }
  }
  await flowers.close();
  return failed;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
