// The real server, started and ended as an operator (or a power cut) would.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until, within } from "./clients.mjs";
import { fleet } from "./fleet.mjs";

const bin = process.env.ANTCHAT_BIN ?? "";

// Without settings of the caller's own shell.
export const cleanEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("ANTCHAT_") && name !== "PORT" && name !== "REDIS_URL"),
);

/**
 * A port that is free now. The server must come back to the same one, so it
 * cannot choose; it lies below those that connections are given, and above 10080,
 * which fetch and browsers refuse to ask.
 */
export async function freePort() {
  for (;;) {
    const port = 10_100 + Math.floor(Math.random() * 19_900);
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/**
 * Starts a server with a data directory of its own, or, where ANTCHAT_FLEET is
 * set, three nodes that look like one.
 * @param {Record<string, string>} [settings] environment variables
 */
export async function antchat(settings = {}) {
  return process.env.ANTCHAT_FLEET ? fleet(settings) : process_(settings);
}

/**
 * One process.
 * @param {Record<string, string>} settings environment variables
 * @param {string} started the path that answers when it has started
 */
export async function process_(settings, started = "/readyz") {
  assert.ok(bin, "ANTCHAT_BIN names no server");
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), "antchat-e2e-"));
  const url = `http://127.0.0.1:${port}`;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;
  let log = "";

  async function begin() {
    log = "";
    child = spawn(bin, [], {
      env: { ...cleanEnv, ANTCHAT_HTTP_ADDR: "127.0.0.1", ANTCHAT_HTTP_PORT: String(port), ANTCHAT_DATA_DIR: dir, ...settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (data) => (log += data));
    }
    const running = child;
    await until(async () => {
      if (running.exitCode !== null) {
        throw new Error(`the server ended with code ${running.exitCode}:\n${log}`);
      }
      return fetch(`${url}${started}`).then(
        (response) => response.ok,
        () => false,
      );
    }, () => `the server to be ready:\n${log}`);
  }

  /** @param {NodeJS.Signals} signal */
  async function end(signal) {
    const ending = child;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) {
      return;
    }
    const exited = new Promise((resolve) => ending.once("exit", resolve));
    ending.kill(signal);
    await within(exited, `the server to end on ${signal}`);
  }

  await begin();
  return {
    url,
    port,
    log: () => log,
    start: begin,
    /** A clean stop. */
    stop: async () => {
      await end("SIGTERM");
      assert.equal(child?.exitCode, 0, `the server did not end cleanly:\n${log}`);
    },
    /** kill -9: nothing gets the chance to be saved. */
    kill: () => end("SIGKILL"),
    /** Ends it and removes its data. */
    remove: async () => {
      await end("SIGKILL");
      await rm(dir, { recursive: true, force: true });
    },
  };
}
