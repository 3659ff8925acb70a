// Our page: a long history.
import assert from "node:assert/strict";
import { test } from "node:test";

import { fillRoom, line, newRoom, person, server, shown, until } from "./chromium.mjs";

const messages = Array.from({ length: 700 }, (_, i) => `message ${i + 1}${i % 7 === 0 ? "\nwith a second line" : ""}`);

/** @param {import("playwright-core").Page} page */
const atEnd = (page) => page.$eval("#scroll", (e) => e.scrollHeight - e.scrollTop - e.clientHeight < 2);

/**
 * The first message in view, and where it stands.
 * @param {import("playwright-core").Page} page
 */
const inView = (page) =>
  page.$eval("#scroll", (scroll) => {
    const top = scroll.getBoundingClientRect().top;
    for (const item of /** @type {NodeListOf<HTMLElement>} */ (scroll.querySelectorAll("li[data-seq]"))) {
      const box = item.getBoundingClientRect();
      if (box.bottom > top) return { seq: Number(item.dataset.seq), top: box.top - top };
    }
    return { seq: 0, top: 0 };
  });

/**
 * The same place, but for what a browser rounds.
 * @param {{seq: number, top: number}} a
 * @param {{seq: number, top: number}} b
 */
const same = (a, b) => a.seq === b.seq && Math.abs(a.top - b.top) < 1.5;

test("scrolling back brings everything, without jumps, in a bounded page; and forward again", async () => {
  const room = newRoom();
  await fillRoom(room, messages);
  const page = await person("Mina", { room });
  await line(page, "message 700").waitFor();
  assert.ok(await atEnd(page), "begins at the end");
  assert.ok((await shown(page)).length <= 100, "begins with a page");

  let most = 0;
  for (let i = 0; i < 400 && (await page.locator("#lines > li", { hasText: `This is where ${room} begins.` }).count()) === 0; i++) {
    await step(page, -2400);
    most = Math.max(most, (await shown(page)).length);
  }
  await page.$eval("#scroll", (e) => (e.scrollTop = 0));
  await line(page, messages[0]).waitFor();
  assert.ok(most <= 600, `${most} lines were held`);
  const held = await shown(page);
  assert.deepEqual(held, messages.slice(0, held.length), "in order, without a hole");
  assert.ok(held.length < messages.length, "the newest were let go");

  for (let i = 0; i < 400 && (await line(page, "message 700").count()) === 0; i++) await step(page, 2400);
  const end = await shown(page);
  assert.deepEqual(end, messages.slice(-end.length));
});

/**
 * Scrolls, lets come what comes, and sees that it moved nothing.
 * @param {import("playwright-core").Page} page
 * @param {number} by
 */
async function step(page, by) {
  await page.$eval("#scroll", (scroll, by) => (scroll.scrollTop += by), by);
  const before = await inView(page);
  await page.waitForTimeout(120);
  // Older lines may have come in above it, but it must be where it was.
  const top = await page.$eval(`#lines > li[data-seq="${before.seq}"]`, (e) => e.getBoundingClientRect().top - (e.closest("#scroll")?.getBoundingClientRect().top ?? 0));
  assert.ok(same({ ...before, top }, before), `message ${before.seq} jumped from ${before.top} to ${top}`);
}

test("the line that one reads stays where it is while pages and messages arrive", async () => {
  const room = newRoom();
  await fillRoom(room, messages.slice(0, 150));
  const page = await person("Mina", { room });
  await line(page, "message 150").waitFor();
  await page.$eval("#scroll", (e) => (e.scrollTop = 300));
  const before = await inView(page);
  await line(page, "message 60").waitFor(); // the page before
  await until(async () => (await shown(page)).length > 50, "older messages");
  const above = await inView(page);
  assert.ok(same(above, before), `older messages came in above: ${JSON.stringify([before, above])}`);
  await fillRoom(room, ["news", "more news"].map((text) => `${text} ${room}`));
  await page.locator("#to-newest", { hasText: "2 new messages" }).waitFor();
  const below = await inView(page);
  assert.ok(same(below, before), `new messages came in below: ${JSON.stringify([before, below])}`);
  await page.click("#to-newest");
  await line(page, `more news ${room}`).waitFor();
  await until(() => atEnd(page), "the end");
  await page.locator("#to-newest").waitFor({ state: "hidden" });
});

test("switching rooms comes back to where one was", async () => {
  const [room, other] = [newRoom(), newRoom()];
  await fillRoom(room, messages.slice(0, 60));
  const page = await person("Mina", { room });
  await line(page, "message 60").waitFor();
  await page.$eval("#scroll", (e) => (e.scrollTop = e.scrollHeight / 2));
  await until(async () => (await inView(page)).seq > 1 && !(await atEnd(page)), "the middle");
  await page.waitForTimeout(300);
  const before = await inView(page);
  await page.fill("#text", "begun");
  await page.fill("#room-name", other);
  await page.press("#room-name", "Enter");
  await page.locator("#lines > li.empty").waitFor();
  assert.equal(await page.inputValue("#text"), "");
  await page.locator("#my-rooms button.room-link", { hasText: room }).click();
  await page.locator("#lines > li[data-seq='30']").waitFor();
  await until(async () => same(await inView(page), before), "the same place");
  assert.equal(await page.inputValue("#text"), "begun");
});

test("ten thousand messages: back through them all, in a page that stays small", async () => {
  const room = newRoom();
  const many = Array.from({ length: 10_000 }, (_, i) => `no ${i + 1}`);
  await fillRoom(room, many);
  const page = await person("Mina", { room });
  await line(page, "no 10000").waitFor();
  let most = 0;
  // As far as a wheel goes in an hour: each page is asked for by scrolling.
  await until(async () => {
    const seen = await page.$eval("#scroll", (scroll) => {
      scroll.scrollTop = 0;
      const all = /** @type {NodeListOf<HTMLElement>} */ (scroll.querySelectorAll("li[data-seq]"));
      return { first: Number(all[0]?.dataset.seq), count: all.length };
    });
    most = Math.max(most, seen.count);
    return seen.first === 1;
  }, "the first of ten thousand", 120_000);
  assert.ok(most <= 600, `${most} lines were held`);
  const held = await shown(page);
  assert.deepEqual(held, many.slice(0, held.length));
});

test("a burst of 200 messages a second: the page goes on answering, and misses none", async () => {
  const room = newRoom();
  const page = await person("Mina", { room });
  const texts = Array.from({ length: 1_000 }, (_, i) => `burst ${i}`);
  const burst = (async () => {
    for (let i = 0; i < texts.length; i += 50) {
      await fillRoom(room, texts.slice(i, i + 50), server, `burst-${i}`);
      await new Promise((done) => setTimeout(done, 250));
    }
  })();
  // A key that is pressed meanwhile is there at once, at the latest when the deadline ends.
  for (const key of "typed in the middle of it") await page.press("#text", key === " " ? "Space" : key);
  assert.equal(await page.inputValue("#text"), "typed in the middle of it");
  await burst;
  await line(page, "burst 999").waitFor();
  const held = await shown(page);
  assert.deepEqual(held, texts.slice(-held.length));
  assert.ok(await atEnd(page));
});

test("search: what is loaded, marked, one after the other", async () => {
  const room = newRoom();
  await fillRoom(room, ["Needle one", ...messages.slice(0, 30), "a needle, and a NEEDLE", ...messages.slice(30, 40)]);
  const page = await person("Mina", { room });
  await line(page, messages[39]).waitFor();
  await page.getByRole("button", { name: "Search" }).click();
  await page.keyboard.type("needle");
  await page.locator("#search-count", { hasText: "1 of 2" }).waitFor();
  assert.deepEqual(await page.locator("mark").allTextContents(), ["Needle", "needle", "NEEDLE"]);
  await page.locator("#lines > li.current", { hasText: "a needle, and a NEEDLE" }).waitFor();
  await page.keyboard.press("Enter");
  const first = page.locator("#lines > li.current", { hasText: "Needle one" });
  await first.waitFor();
  await until(() => first.evaluate((e) => e.getBoundingClientRect().top >= 0), "it to be in view");
  await page.getByRole("button", { name: "Newer match" }).click();
  await page.locator("#search-count", { hasText: "1 of 2" }).waitFor();
  await page.fill("#search-text", "haystack");
  await page.locator("#search-count", { hasText: "Nothing found" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#search").waitFor({ state: "hidden" });
  // The lines are drawn anew with the next frame.
  await until(async () => (await page.locator("mark").count()) === 0, "no line to be marked");
});
