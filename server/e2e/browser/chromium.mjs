// People in front of a real Chromium, each with a profile of their own.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before } from "node:test";

import { chromium } from "playwright-core";
import { io } from "sio4";

/** Ends a wait that has failed; no measure of speed. */
const deadline = 30_000;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("playwright-core").BrowserContext[]} */
let contexts = [];
/** @type {string[]} what no page may do */
let faults = [];

before(async () => {
  const executablePath = process.env.ANTCHAT_TEST_CHROME;
  assert.ok(executablePath, "ANTCHAT_TEST_CHROME names no Chromium");
  browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", // the tests run as root, too
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(() => browser?.close());
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  contexts = [];
  const found = faults;
  faults = [];
  assert.deepEqual(found, [], "the page did what it must not");
});

/** The server of the page's tests: what it keeps, they share, so each test takes a room of its own. */
export const server = process.env.ANTCHAT_URL ?? "";

/** @returns {string} a room that no other test is in */
export function newRoom() {
  return `room ${randomBytes(4).toString("hex")}`;
}

/**
 * A profile: its windows share what the browser remembers.
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function profile(options = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(deadline);
  contexts.push(context);
  return context;
}

/**
 * A window at an address.
 * @param {import("playwright-core").BrowserContext} context
 * @param {string} url
 */
export async function open(context, url) {
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) faults.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/**
 * A person on our page.
 * @param {string} name
 * @param {object} [where]
 * @param {string} [where.url]
 * @param {string} [where.room]
 * @param {import("playwright-core").BrowserContextOptions} [where.options]
 */
export async function person(name, { url = server, room = "", options = {} } = {}) {
  const context = await profile(options);
  const page = await open(context, `${url}/${room && `#${encodeURIComponent(room)}`}`);
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await page.waitForSelector("#state[data-state=connected]");
  if (room) await page.locator("#room-title", { hasText: room }).waitFor();
  return page;
}

/** @typedef {import("playwright-core").Page} Page */

/**
 * @param {Page} page
 * @param {string} text
 */
export async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/**
 * The message with that text, once it is stored.
 * @param {Page} page
 * @param {string} text
 */
export function line(page, text) {
  return page.locator("#lines > li[data-seq]", { has: page.getByText(text, { exact: true }) });
}

/**
 * The message with that text, while it is not.
 * @param {Page} page
 * @param {string} text
 */
export function waiting(page, text) {
  return page.locator("#lines > li[data-state]", { has: page.getByText(text, { exact: true }) });
}

/**
 * All stored messages that are shown.
 * @param {Page} page
 */
export function shown(page) {
  return page.locator("#lines > li[data-seq] .bubble").allTextContents();
}

/**
 * @param {() => Promise<boolean> | boolean} condition
 * @param {string} what
 * @param {number} [within] milliseconds
 */
export async function until(condition, what, within = deadline) {
  for (const end = Date.now() + within; !(await condition()); await new Promise((done) => setTimeout(done, 50))) {
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
  }
}

/**
 * Fills a room without a browser, by as many people as its limits ask for: one
 * may send 500 messages at once.
 * @param {string} room
 * @param {string[]} texts
 * @param {string} [url]
 * @param {string} [name] another for each part of a room's messages
 */
export async function fillRoom(room, texts, url = server, name = "fill") {
  for (let from = 0; from < texts.length; from += 400) {
    const socket = io(url, { forceNew: true, transports: ["websocket"] });
    try {
      await call(socket, "add user", "Filler");
      await call(socket, "join room", { room });
      const part = texts.slice(from, from + 400);
      await Promise.all(part.map((message, i) => call(socket, "new message", { room, message, id: `${name}-${room}-${from + i}` })));
    } finally {
      socket.disconnect();
    }
  }
}

/**
 * @param {import("sio4").Socket} socket
 * @param {string} event
 * @param {unknown} payload
 */
async function call(socket, event, payload) {
  const answer = await socket.timeout(deadline).emitWithAck(event, payload);
  assert.ok(!answer?.error, `${event}: ${JSON.stringify(answer?.error)}`);
  return answer;
}
