// Our page: people who sign in, write to each other alone, and use two devices.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { after, before, test } from "node:test";

import { antchat } from "../interop/antchat.mjs";
import { line, newRoom, open, person, profile, say, server, shown, until } from "./chromium.mjs";

const secret = "a secret that nobody else has, 32+";
const key = "a key of a back end, long enough to be one";

/** @type {Awaited<ReturnType<typeof antchat>>} a server that asks for tokens */
let strict;
before(async () => {
  strict = await antchat({
    ANTCHAT_AUTH_MODE: "token",
    ANTCHAT_AUTH_SECRET: secret,
    ANTCHAT_AUTH_WARNING: "5m",
    ANTCHAT_API_KEYS: JSON.stringify([{ name: "ops", hash: createHash("sha256").update(key).digest("hex"), scopes: ["admin"] }]),
    ANTCHAT_ROOMS_RULES: JSON.stringify([
      { pattern: "news", read: "signed-in", write: "claim:role=moderator", moderate: "claim:role=moderator" },
      { pattern: "*", read: "signed-in", write: "signed-in", moderate: "claim:role=moderator" },
    ]),
  });
});
after(() => strict?.remove());

/**
 * @param {object} claims
 * @param {number} seconds until it ends
 */
function token(claims, seconds = 3600) {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1000) + seconds, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** @param {import("playwright-core").Page} page @param {string} text */
async function show(page, text) {
  await page.fill("#token", text);
  await page.locator("#token-form button").click();
}

test("a token opens the door, and says what one is called", async () => {
  const page = await open(await profile(), `${strict.url}/`);
  await page.locator("#token").waitFor();
  await show(page, "no token at all");
  await page.locator("#token-problem", { hasText: "does not take that token" }).waitFor();
  await show(page, token({ sub: "mina", name: "Mina" }, -3600));
  await page.locator("#token-problem", { hasText: "has ended" }).waitFor();
  await show(page, token({ sub: "mina", name: "Mina" }));
  await page.waitForSelector("#state[data-state=connected]");
  await page.locator("#me", { hasText: "You are Mina" }).waitFor();
  await say(page, "signed in");
  await line(page, "signed in").waitFor();
  await page.reload();
  await page.locator("#me", { hasText: "You are Mina" }).waitFor();
});

test("a token without a name: one is asked for", async () => {
  const page = await open(await profile(), `${strict.url}/#token=${token({ sub: "anonymous" })}&room=tea`);
  await page.locator("#name").fill("Nam");
  await page.keyboard.press("Enter");
  await page.locator("#me", { hasText: "You are Nam" }).waitFor();
  await page.locator("#room-title", { hasText: "tea" }).waitFor();
  assert.ok(!page.url().includes("token"), "the token stays in no address");
});

test("a token that ends soon is told, and a new one goes on without a break", async () => {
  const page = await open(await profile(), `${strict.url}/#token=${token({ sub: "olu", name: "Olu" }, 120)}`);
  await page.locator("#trouble-text", { hasText: "Your sign-in ends at" }).waitFor();
  await page.getByRole("button", { name: "Sign in again" }).click();
  await show(page, token({ sub: "somebody else", name: "Olu" }));
  await page.locator("#token-problem", { hasText: "does not take that token" }).waitFor();
  await show(page, token({ sub: "olu", name: "Olu" }));
  await page.locator("#trouble").waitFor({ state: "hidden" });
  await say(page, "still here");
  await line(page, "still here").waitFor();
});

test("two people write to each other, and nobody else sees it", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const jihun = await person("지훈", { room });
  const eve = await person("Eve", { room });
  await mina.locator("#people-list button", { hasText: "지훈" }).click();
  await mina.locator("#room-title", { hasText: "지훈" }).waitFor();
  await mina.locator("#lines", { hasText: "Only you and 지훈" }).or(mina.locator("#lines > li.empty")).first().waitFor();
  await say(mina, "between us");
  await line(mina, "between us").waitFor();

  const entry = jihun.locator("#my-rooms button", { hasText: "Mina" });
  await entry.locator(".badge", { hasText: "1" }).waitFor();
  await entry.click();
  await line(jihun, "between us").waitFor();
  await say(jihun, "아무도 몰라요");
  await line(mina, "아무도 몰라요").waitFor();
  await mina.locator("#lines", { hasText: "Only you and 지훈" }).waitFor();
  assert.deepEqual(await shown(mina), ["between us", "아무도 몰라요"]);
  assert.equal(await eve.locator("#my-rooms li").count(), 2, "lobby and the room");
  assert.doesNotMatch((await eve.locator("#rooms").textContent()) ?? "", /between|@/);
});

test("two devices of one person are in step", async () => {
  const claims = { sub: "two-devices", name: "Mina" };
  const [phone, desk] = [
    await open(await profile({ viewport: { width: 390, height: 780 } }), `${strict.url}/#token=${token(claims)}`),
    await open(await profile(), `${strict.url}/#token=${token(claims)}`),
  ];
  const room = newRoom();
  for (const page of [phone, desk]) await page.waitForSelector("#state[data-state=connected]");
  await desk.fill("#room-name", room);
  await desk.press("#room-name", "Enter");
  await say(desk, "from the desk");
  await line(desk, "from the desk").waitFor();

  await phone.getByRole("button", { name: "Rooms" }).click();
  await phone.locator("#my-rooms button", { hasText: room }).click();
  await line(phone, "from the desk").waitFor();
  assert.equal(await phone.locator("#lines .mine").count(), 1, "one's own, whichever device it came from");
  await phone.getByRole("button", { name: "Rooms" }).click();
  await phone.locator("#my-rooms li.active .leave").click();
  await until(async () => (await desk.locator("#my-rooms li").count()) === 1, "the desk to leave too");
});

test("what one has read is read on the other device too", async () => {
  const room = newRoom();
  const claims = { sub: "reader", name: "Mina" };
  const here = await open(await profile(), `${strict.url}/#token=${token(claims)}&room=${room}`);
  await here.locator("#room-title", { hasText: room }).waitFor();
  await say(here, "first");
  await line(here, "first").waitFor();
  const there = await open(await profile(), `${strict.url}/#token=${token(claims)}`);
  const entry = there.locator("#my-rooms button", { hasText: room });
  await entry.waitFor();
  const other = await open(await profile(), `${strict.url}/#token=${token({ sub: "writer", name: "Olu" })}&room=${room}`);
  await other.locator("#room-title", { hasText: room }).waitFor();
  await here.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
  });
  await say(other, "second");
  await entry.locator(".badge", { hasText: "1" }).waitFor();
  await entry.click();
  await line(there, "second").waitFor();
  await until(async () => !(await here.title()).startsWith("("), "the first device to count it as read");
});

test("a moderator removes, mutes and bans, and everybody sees what that does", async () => {
  const room = newRoom();
  const mod = await open(await profile(), `${strict.url}/#token=${token({ sub: "mod", name: "Mod", role: "moderator" })}&room=${room}`);
  await mod.locator("#room-title", { hasText: room }).waitFor();
  const troll = await open(await profile(), `${strict.url}/#token=${token({ sub: "troll", name: "Troll" })}&room=${room}`);
  await troll.locator("#room-title", { hasText: room }).waitFor();
  await say(troll, "something rude");
  const rude = line(mod, "something rude");
  await rude.hover();
  await rude.getByRole("button", { name: "Remove message" }).click();
  await mod.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  for (const page of [mod, troll]) await page.locator("#lines", { hasText: "This message was removed." }).waitFor();
  assert.equal(await troll.locator("#lines", { hasText: "rude" }).count(), 0);
  const late = await open(await profile(), `${strict.url}/#token=${token({ sub: "late", name: "Late" })}&room=${room}`);
  await late.locator("#lines", { hasText: "This message was removed." }).waitFor();
  assert.equal(await late.getByRole("button", { name: "Moderate Troll" }).count(), 0, "not everybody moderates");

  const moderate = async (/** @type {string} */ what) => {
    await mod.getByRole("button", { name: "Moderate Troll" }).click();
    await mod.getByRole("dialog").getByRole("button", { name: what }).click();
    await mod.getByRole("dialog").waitFor({ state: "hidden" });
  };
  await moderate("Mute for a day");
  await troll.locator("#notice", { hasText: "A moderator muted you here until" }).waitFor();
  await say(troll, "I insist");
  await troll.locator("#lines > li[data-state=failed]", { hasText: "a moderator muted you here" }).waitFor();
  await moderate("Let them write again");
  await troll.locator("#notice").waitFor({ state: "hidden" });
  await troll.getByRole("button", { name: "Try again" }).click();
  await line(mod, "I insist").waitFor();
  await moderate("Ban for a day");
  await troll.locator("#notice", { hasText: "you are banned" }).waitFor();
  assert.ok(await troll.locator("#text").isDisabled());
  await until(async () => !(await mod.locator("#people-list").textContent())?.includes("Troll"), "the banned one to be gone");
});

test("a room that one may only read says so", async () => {
  const page = await open(await profile(), `${strict.url}/#token=${token({ sub: "mina", name: "Mina" })}&room=news`);
  await page.locator("#notice", { hasText: "You can read here, but not write." }).waitFor();
  assert.ok(await page.locator("#text").isDisabled());
});

test("what a back end announces is there until it is put away", async () => {
  const page = await open(await profile(), `${strict.url}/#token=${token({ sub: "mina", name: "Mina" })}`);
  await page.waitForSelector("#state[data-state=connected]");
  const answer = await fetch(`${strict.url}/api/v1/announcements`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ message: "back at nine" }),
  });
  assert.ok(answer.ok, await answer.text());
  await page.locator("#announcement", { hasText: "back at nine" }).waitFor();
  await page.locator("#announcement").getByRole("button", { name: "Close" }).click();
  await page.locator("#announcement").waitFor({ state: "hidden" });
});
