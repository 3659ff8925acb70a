// How our page looks: pictures in docs/pictures, which a person has looked at,
// held against what the page looks like now.
//
// ANTCHAT_PICTURES=take makes them anew.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";

import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";

import { antchat } from "../interop/antchat.mjs";
import { line, person, say, until } from "./chromium.mjs";

/** The part of all points that may differ: browsers and fonts differ in their edges. */
const tolerance = 0.02;
const folder = new URL("../../../docs/pictures/", import.meta.url);

/** @type {Awaited<ReturnType<typeof antchat>>} its rooms and people are those of the pictures */
let server;
before(async () => {
  server = await antchat({ ANTCHAT_PRESENCE_GRACE: "100ms" });
});
after(() => server?.remove());

const wide = { viewport: { width: 1280, height: 800 } };
const narrow = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };

/** @type {[string, import("playwright-core").BrowserContextOptions][]} */
const looks = [
  ["desktop-light", { ...wide, colorScheme: "light", locale: "en-US" }],
  ["desktop-dark", { ...wide, colorScheme: "dark", locale: "ko-KR" }],
  ["phone-light", { ...narrow, colorScheme: "light", locale: "ko-KR" }],
  ["phone-dark", { ...narrow, colorScheme: "dark", locale: "en-US" }],
];

test("the page looks as in its pictures", async () => {
  const { url } = server;
  const jihun = await person("지훈", { url, room: "release" });
  const sofia = await person("Sofia", { url, room: "release" });
  for (const [who, text] of /** @type {const} */ ([
    [jihun, "Good morning! The new build is on three of the four nodes."],
    [jihun, "안녕하세요 👋 마지막 노드는 10분 뒤에 올립니다."],
    [sofia, "Nothing lost on my side: I was moved to another node and did not notice."],
    [sofia, "🎉"],
    [jihun, "That is the idea."],
  ])) {
    await say(who, text);
    await line(who, text).waitFor();
  }
  await person("Olu", { url, room: "coffee" });

  const wrong = [];
  for (const [name, options] of looks) {
    const mina = await person("Mina", { url, room: "release", options });
    await line(mina, "That is the idea.").waitFor();
    if (name === looks[0][0]) await say(mina, "Then I go and get us all some coffee ☕");
    await line(mina, "Then I go and get us all some coffee ☕").waitFor();
    await mina.locator("#people-list", { hasText: "Sofia" }).waitFor({ state: "attached" });
    await mina.locator("#other-rooms", { hasText: "coffee" }).waitFor({ state: "attached" });
    await mina.evaluate(() => document.fonts.ready);
    const difference = await compare(mina, name);
    if (difference) wrong.push(difference);
    await mina.context().close();
    await until(async () => !(await sofia.locator("#people-list").textContent())?.includes("Mina"), "Mina to be gone");
  }
  assert.deepEqual(wrong, []);
});

/**
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @returns {Promise<string>} what is wrong; "": nothing
 */
async function compare(page, name) {
  const file = new URL(`${name}.png`, folder);
  const taken = await page.screenshot({ animations: "disabled" });
  if (process.env.ANTCHAT_PICTURES === "take") {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, taken);
    return "";
  }
  // Clocks differ.
  const clocks = await page.locator("time").evaluateAll((all) => all.map((e) => e.getBoundingClientRect().toJSON()));
  const [now, then] = [PNG.sync.read(taken), PNG.sync.read(readFileSync(file))];
  if (now.width !== then.width || now.height !== then.height) return `${name}: ${now.width}x${now.height} for ${then.width}x${then.height}`;
  for (const { x, y, width, height } of clocks) {
    for (const picture of [now, then]) blank(picture, Math.floor(x) - 8, Math.floor(y), Math.ceil(width) + 16, Math.ceil(height));
  }
  const points = pixelmatch(now.data, then.data, undefined, now.width, now.height, { threshold: 0.2 });
  const part = points / (now.width * now.height);
  return part > tolerance ? `${name}: ${(100 * part).toFixed(1)} % of it differ` : "";
}

/**
 * @param {PNG} picture
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function blank(picture, x, y, width, height) {
  for (let row = Math.max(0, y); row < Math.min(picture.height, y + height); row++) {
    for (let column = Math.max(0, x); column < Math.min(picture.width, x + width); column++) {
      picture.data.fill(0, 4 * (row * picture.width + column), 4 * (row * picture.width + column + 1));
    }
  }
}
