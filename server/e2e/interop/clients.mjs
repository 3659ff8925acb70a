// The four generations of socket.io-client, and the small tools that every
// interoperability test uses. Waiting is always for an event, never for a
// time: the deadlines are only there to end a test that has failed.
import { once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/**
 * A generation of the client. `protocol` is the Engine.IO revision it speaks.
 * @typedef {{name: string, protocol: 3 | 4, recovers: boolean, io: any}} Version
 * @typedef {{name: string, transports: string[]}} Way
 */

/** @type {Version[]} */
export const versions = [
  { name: "1.7.4", protocol: 3, recovers: false, io: require("sio1") },
  { name: "2.5.0", protocol: 3, recovers: false, io: require("sio2") },
  { name: "3.1.3", protocol: 4, recovers: false, io: require("sio3") },
  { name: "4.8.4", protocol: 4, recovers: true, io: require("sio4").io },
];

/** @type {Way[]} */
export const ways = [
  { name: "polling", transports: ["polling"] },
  { name: "websocket", transports: ["websocket"] },
  { name: "upgrade", transports: ["polling", "websocket"] },
];

export const latest = versions[3];

/** Every version over every way, in a stable order. */
export const combinations = versions.flatMap((version) =>
  ways.map((way) => ({ version, way, name: `${version.name} over ${way.name}` })),
);

export const deadline = 30_000;

const open = new Set();

/**
 * Opens a client; it is closed by closeAll at the latest.
 * @param {Version} version
 * @param {Way} way
 * @param {string} url
 * @param {object} [options]
 */
export function start(version, way, url, options = {}) {
  const socket = version.io(url, {
    transports: way.transports,
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    timeout: deadline,
    ...options,
  });
  open.add(socket);
  return socket;
}

/** Opens a client and waits until it is connected and, where asked, upgraded. */
export async function connect(version, way, url, options) {
  const socket = start(version, way, url, options);
  await settled(socket, way);
  return socket;
}

/**
 * Waits until a client is connected and, where it upgrades, upgraded. One that is
 * cut off while it upgrades may notice only by its ping timeout: it has paused its
 * polling, and takes the loss of the WebSocket for a failed probe.
 */
export async function settled(socket, /** @type {Way} */ way) {
  await connected(socket);
  if (way.transports.length === 2) {
    await until(() => socket.io.engine.transport.name === "websocket", "the upgrade");
  }
}

export function connected(socket) {
  return socket.connected ? Promise.resolve() : next(socket, "connect");
}

export function closeAll() {
  for (const socket of open) {
    socket.close();
  }
  open.clear();
}

/** The arguments of the next such event. */
export function next(socket, event) {
  return within(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), `the event ${event}`);
}

/** Emits and waits for the acknowledgement: its arguments. */
export function callAll(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), `the ack of ${event}`);
}

/** Emits and waits for the acknowledgement's first argument. */
export async function call(socket, event, ...args) {
  return (await callAll(socket, event, ...args))[0];
}

/** Collects every event of that name from now on. */
export function collect(socket, event) {
  /** @type {any[] & {atLeast: (n: number) => Promise<void>}} */
  const got = Object.assign([], {
    atLeast: (/** @type {number} */ n) => until(() => got.length >= n, () => `${n} times ${event}; there were ${got.length}`),
  });
  socket.on(event, (/** @type {any[]} */ ...args) => got.push(args));
  return got;
}

/**
 * Waits for a condition.
 * @param {() => unknown} condition
 * @param {string | (() => string)} what
 */
export async function until(condition, what, limit = deadline) {
  const end = Date.now() + limit;
  while (!(await condition())) {
    if (Date.now() > end) {
      throw new Error(`waited ${limit} ms in vain for ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function within(promise, what, limit = deadline) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limit} ms in vain for ${what}`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export { once };

/**
 * Texts that find out whoever counts bytes, units or runes wrongly. All are NFC.
 * @type {Record<string, string>}
 */
export const texts = require("./texts.json");
