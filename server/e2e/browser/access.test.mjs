// Our page: WCAG 2.2 AA as far as axe can tell, what a first load costs, what
// an installation needs, and notifications.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { line, newRoom, open, person, profile, say, server, until } from "./chromium.mjs";

const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const standard = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/**
 * What axe finds wrong. Its script goes in over the debugger, past the page's policy.
 * @param {import("playwright-core").Page} page
 */
async function faultsOf(page) {
  if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(axe);
  const { violations } = await page.evaluate((tags) => /** @type {any} */ (window).axe.run(document, { runOnly: tags }), standard);
  return violations.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.map((/** @type {any} */ n) => n.target.join(" ")).join(", ")}`);
}

test("axe finds nothing, in light and dark, wide and narrow", async () => {
  for (const options of [
    { colorScheme: /** @type {const} */ ("light") },
    { colorScheme: /** @type {const} */ ("dark"), locale: "ko-KR" },
    { colorScheme: /** @type {const} */ ("light"), viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true },
  ]) {
    const what = JSON.stringify(options);
    const first = await open(await profile(options), `${server}/`);
    await first.waitForSelector("#name");
    assert.deepEqual(await faultsOf(first), [], `the first screen, ${what}`);

    const room = newRoom();
    const page = await person("Mina", { room, options });
    const other = await person("지훈", { room });
    await say(page, "mine");
    await say(other, "theirs");
    await line(page, "mine").waitFor();
    await line(page, "theirs").waitFor();
    await page.locator("#show-search").click();
    await page.fill("#search-text", "mine");
    await page.locator("mark").waitFor();
    assert.deepEqual(await faultsOf(page), [], `the room, ${what}`);
    if (options.isMobile) {
      await page.locator("#show-rooms").tap();
      await page.locator("#rooms.open").waitFor();
      assert.deepEqual(await faultsOf(page), [], `the rooms, ${what}`);
    }
  }
});

// What a screen reader goes through, from the top.
const outline = `
- link "Skip to the message box":
  - /url: "#text"
- navigation "Rooms":
  - strong: Antchat
  - heading "Your rooms" [level=2]
  - list:
    - listitem:
      - button "# lobby"
    - listitem:
      - button "# ROOM"
      - button "Leave ROOM": ×
  - text: Join or create a room
  - textbox "Join or create a room"
  - button "Join"
  - heading "Other rooms" [level=2]
  - text: You are Mina
  - button "Use another name"
  - button "Notify me"
  - text: Language
  - combobox "Language":
    - option "English" [selected]
    - option "한국어"
- main:
  - heading "ROOM" [level=1]
  - status: Connected
  - button "Search"
  - button "2 people here"
  - region "Messages":
    - list:
      - listitem: This is where ROOM begins.
      - listitem: Today
      - listitem:
        - text: Mina
        - paragraph: hello
        - time: TIME
        - button "Remove message": ×
      - listitem:
        - text: Olu
        - paragraph: good morning
        - time: TIME
  - paragraph
  - text: Message
  - textbox "Message":
    - /placeholder: Message ROOM
  - button "Send"
- complementary "Who is here":
  - heading "Who is here" [level=2]
  - text: "2"
  - list:
    - listitem: Mina you
    - listitem:
      - button "Olu Write a direct message"
- paragraph: "Olu: good morning"
`.trim();

test("a screen reader finds its way through the main view, and hears what comes", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const olu = await person("Olu", { room });
  await say(mina, "hello");
  await line(olu, "hello").waitFor();
  await say(olu, "good morning");
  const found = async () =>
    (await mina.locator("#chat").ariaSnapshot())
      .replace(/(heading "Other rooms".*\n)[^]*?(?=  - text: You are)/, "$1") // those of other tests
      .replaceAll(room, "ROOM")
      .replaceAll(/time: .*/g, "time: TIME");
  await until(async () => (await found()) === outline, "the outline", 10_000).catch(() => {});
  assert.equal(await found(), outline);
});

test("a first load is under 150 KB, and all of it from here", async () => {
  const page = await (await profile()).newPage();
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => void (bytes += encodedDataLength));
  await page.goto(`${server}/`);
  await page.waitForSelector("#name");
  await page.waitForLoadState("networkidle");
  assert.ok(bytes > 10_000 && bytes < 150_000, `${bytes} bytes`);
});

test("it can be installed", async () => {
  const page = await open(await profile(), `${server}/`);
  const session = await page.context().newCDPSession(page);
  const { errors, url } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  assert.equal(url, `${server}/app.webmanifest`);
  const { icons } = await page.evaluate(async () => (await fetch("app.webmanifest")).json());
  for (const { src, sizes } of icons) {
    const size = await page.evaluate(async (icon) => {
      const image = new Image();
      image.src = icon;
      await image.decode();
      return image.naturalWidth;
    }, src);
    if (sizes !== "any") assert.equal(`${size}x${size}`, sizes, src);
  }
});

test("notifications: only once asked for, and only while nobody looks", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  // A headless browser shows none: what the page hands it is kept instead.
  const watch = () => {
    const shown = /** @type {any[]} */ ([]);
    class Shown extends EventTarget {
      static permission = "default";
      static requestPermission = async () => (Shown.permission = "granted");
      /** @param {string} title @param {any} options */
      constructor(title, options) {
        super();
        shown.push({ title, body: options.body });
      }
      close() {}
    }
    Object.assign(window, { Notification: Shown, shown });
  };
  await mina.evaluate(watch);
  const hide = (/** @type {boolean} */ hidden) =>
    mina.evaluate((h) => {
      Object.defineProperty(document, "visibilityState", { value: h ? "hidden" : "visible", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  const shown = () => mina.evaluate(() => /** @type {any} */ (window).shown);

  const jihun = await person("지훈", { room });
  await hide(true);
  await say(jihun, "unasked");
  await until(async () => (await mina.title()).startsWith("(1)"), "the title to count");
  assert.deepEqual(await shown(), []);

  await hide(false);
  await mina.getByRole("button", { name: "Notify me" }).click();
  await mina.getByRole("button", { name: "Notifications are on", pressed: true }).waitFor();
  await say(jihun, "in view");
  await line(mina, "in view").waitFor();
  assert.deepEqual(await shown(), []);
  await hide(true);
  await say(jihun, "while away");
  await until(async () => (await shown()).length === 1, "a notification");
  assert.deepEqual(await shown(), [{ title: `지훈 · ${room}`, body: "while away" }]);
});
