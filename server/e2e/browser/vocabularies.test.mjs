// Front ends that know nothing of ours: pages that speak as the two official
// ones do, served through web.dir.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, test } from "node:test";

import { antchat } from "../interop/antchat.mjs";
import { link } from "../interop/link.mjs";
import { open, profile, until } from "./chromium.mjs";

/** @type {Awaited<ReturnType<typeof antchat>>} everyone speaks in the lobby, so each test has a server */
let server;
beforeEach(async () => {
  server = await antchat({ ANTCHAT_WEB_DIR: fileURLToPath(new URL("pages/", import.meta.url)) });
});
afterEach(() => server?.remove());

/** @typedef {import("playwright-core").Page} Page */

/** @param {string} name */
async function chatter(name, url = server.url) {
  const page = await open(await profile(), `${url}/chat/`);
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await entry(page, "login").first().waitFor();
  return page;
}
async function learner(url = server.url) {
  const page = await open(await profile(), `${url}/tutorial/`);
  await page.waitForSelector("body[data-state]");
  return page;
}
/** @param {Page} page @param {string} text */
async function write(page, text) {
  const input = page.locator("#text, #input");
  await input.fill(text);
  await input.press("Enter");
}
/** @param {Page} page @param {string} kind @param {string} [text] */
function entry(page, kind, text) {
  return page.locator(`#log > .${kind}`, text === undefined ? {} : { hasText: new RegExp(`^${text}$`) });
}
/** @param {Page} page */
const messages = (page) => page.locator("#log > .message, #messages > li").allTextContents();
/** @param {Page} page @param {string[]} expected */
async function reads(page, expected) {
  await until(async () => (await messages(page)).length >= expected.length, `${expected.length} messages, of which came: ${await messages(page)}`);
  assert.deepEqual(await messages(page), expected);
}

test("the chat example's: two windows", async () => {
  const mina = await chatter("Mina");
  assert.equal(await entry(mina, "login").textContent(), "1");
  const jihun = await chatter("지훈");
  assert.equal(await entry(jihun, "login").textContent(), "2");
  await entry(mina, "joined", "지훈 2").waitFor();

  await jihun.locator("#text").pressSequentially("안녕");
  await mina.locator("#typing", { hasText: "지훈" }).waitFor();
  await jihun.press("#text", "Enter");
  await reads(mina, ["지훈: 안녕"]);
  await mina.waitForFunction(() => document.getElementById("typing")?.textContent === "");
  await write(mina, "hello 👋");
  await reads(jihun, ["지훈: 안녕", "Mina: hello 👋"]);
  await reads(mina, ["지훈: 안녕", "Mina: hello 👋"]);

  await jihun.close();
  await entry(mina, "left", "지훈 1").waitFor();
});

test("the chat example's: over a server restart", async () => {
  const mina = await chatter("Mina");
  const jihun = await chatter("지훈");
  await write(mina, "before");
  await reads(jihun, ["Mina: before"]);
  await server.stop();
  for (const page of [mina, jihun]) await entry(page, "disconnect").waitFor();
  await server.start();
  for (const page of [mina, jihun]) await entry(page, "reconnect").waitFor();
  await write(mina, "after");
  await reads(jihun, ["Mina: before", "Mina: after"]);
  await write(jihun, "indeed");
  await reads(mina, ["Mina: before", "Mina: after", "지훈: indeed"]);
});

test("the chat example's: what others said while one was cut off arrives", async () => {
  const wire = await link(server.port);
  try {
    const mina = await chatter("Mina", wire.url);
    const jihun = await chatter("지훈");
    await write(jihun, "one");
    await reads(mina, ["지훈: one"]);
    wire.cut();
    await entry(mina, "disconnect").waitFor();
    await write(jihun, "two");
    await write(jihun, "three");
    wire.mend();
    await entry(mina, "reconnect").waitFor();
    await reads(mina, ["지훈: one", "지훈: two", "지훈: three"]);
  } finally {
    await wire.close();
  }
});

test("the tutorial's: everyone gets each message once, the sender too, and newcomers what was said", async () => {
  const one = await learner();
  const two = await learner();
  await write(one, "first");
  await write(one, "second");
  await reads(two, ["first", "second"]);
  await write(two, "third");
  for (const page of [one, two, await learner()]) await reads(page, ["first", "second", "third"]);
});

test("the tutorial's: disconnected by its button, it catches up and sends what was written", async () => {
  const one = await learner();
  const two = await learner();
  await write(one, "first");
  await reads(two, ["first"]);
  await one.click("#toggle");
  await one.waitForSelector("body[data-state=disconnected]");
  await write(two, "second");
  await reads(two, ["first", "second"]);
  await write(one, "third");
  await one.click("#toggle");
  for (const page of [one, two]) await reads(page, ["first", "second", "third"]);
});

test("the tutorial's: over a killed server, nothing is lost and nothing comes twice", async () => {
  const one = await learner();
  const two = await learner();
  await write(one, "first");
  await reads(two, ["first"]);
  await server.kill();
  for (const page of [one, two]) await page.waitForSelector("body[data-state=disconnected]");
  await write(one, "second");
  await server.start();
  for (const page of [one, two]) await reads(page, ["first", "second"]);
  await write(two, "third");
  for (const page of [one, two, await learner()]) await reads(page, ["first", "second", "third"]);
});

test("the tutorial's: an acknowledgement that got lost does not make a message twice", async () => {
  const wire = await link(server.port);
  try {
    const one = await learner(wire.url);
    const two = await learner();
    await write(one, "first");
    await reads(two, ["first"]);
    await reads(one, ["first"]);
    wire.deafen();
    await write(one, "second");
    await reads(two, ["first", "second"]);
    wire.cut();
    await one.waitForSelector("body[data-state=disconnected]");
    wire.mend();
    await write(one, "third");
    for (const page of [one, two]) await reads(page, ["first", "second", "third"]);
  } finally {
    await wire.close();
  }
});

test("both vocabularies meet in the lobby", async () => {
  const mina = await chatter("Mina");
  const learning = await learner();
  await write(mina, "from the chat");
  await reads(learning, ["from the chat"]);
  await write(learning, "from the tutorial");
  await until(async () => (await messages(mina)).length === 2, "the crossing message");
  assert.match((await messages(mina))[1], /^.+: from the tutorial$/);
});
