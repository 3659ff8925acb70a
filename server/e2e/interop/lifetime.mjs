// What a test starts ends with it: its clients, and then the rest, the last one
// first.
import { afterEach } from "node:test";
import { antchat, process_ } from "./antchat.mjs";
import { closeAll } from "./clients.mjs";
import { link } from "./link.mjs";
import { redis as startRedis } from "./redis.mjs";

/** @type {(() => unknown)[]} */
const ends = [];
afterEach(async () => {
  closeAll();
  for (let end = ends.pop(); end; end = ends.pop()) {
    await end();
  }
});

/**
 * Has something done when the test is over.
 * @param {() => unknown} end
 */
export function atEnd(end) {
  ends.push(end);
}

/**
 * A server, or what looks like one; see antchat.
 * @param {Record<string, string>} [settings]
 */
export async function serve(settings) {
  const server = await antchat(settings);
  atEnd(() => server.remove());
  return server;
}

/**
 * A server that is one process; see process_.
 * @param {Record<string, string>} [settings]
 * @param {string} [started]
 */
export async function node(settings = {}, started) {
  const server = await process_(settings, started);
  atEnd(() => server.remove());
  return server;
}

/**
 * A Redis; see redis.
 * @param {{durable?: boolean}} [options]
 */
export async function redis(options) {
  const started = await startRedis(options);
  atEnd(() => started.remove());
  return started;
}

/**
 * A relay to a server; see link.
 * @param {number} port the server's
 */
export async function relay(port) {
  const wire = await link(port);
  atEnd(() => wire.close());
  return wire;
}
