// Our page: people who chat.
import assert from "node:assert/strict";
import { test } from "node:test";

import { line, newRoom, open, person, profile, say, server, shown, until } from "./chromium.mjs";

test("two windows chat, in any language", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const jihun = await person("지훈", { room });
  const texts = ["Good morning!", "안녕하세요 👋 반갑습니다", "👩‍👩‍👧‍👦 𝒳 \u{1F1F0}\u{1F1F7}", "two\nlines"];
  for (const [i, text] of texts.entries()) {
    const [from, to] = i % 2 === 0 ? [mina, jihun] : [jihun, mina];
    await from.fill("#text", text);
    await from.press("#text", "Enter");
    await line(to, text).waitFor();
    await line(from, text).waitFor();
  }
  assert.deepEqual(await shown(mina), texts);
  assert.deepEqual(await shown(jihun), texts);
  assert.equal(await mina.locator("#lines .mine").count(), 2);
  assert.equal(await jihun.locator("#lines .mine").count(), 2);
  assert.equal(await mina.locator("#lines .name").first().textContent(), "지훈");
});

test("Shift+Enter breaks the line, and Enter that ends a syllable does not send", async () => {
  const page = await person("Mina", { room: newRoom() });
  await page.focus("#text");
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.$eval("#text", (text) => text.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, isComposing: true })));
  assert.equal(await page.inputValue("#text"), "one\ntwo");
  await page.keyboard.press("Enter");
  await line(page, "one\ntwo").waitFor();
  assert.equal(await page.inputValue("#text"), "");
});

test("what is too long to be pasted whole says so", async () => {
  const mina = await person("Mina", { room: newRoom(), options: { permissions: ["clipboard-read", "clipboard-write"] } });
  const problem = mina.locator("#composer-problem");
  await mina.evaluate(() => navigator.clipboard.writeText("x".repeat(2500)));
  await mina.focus("#text");
  await mina.keyboard.press("Control+V");
  await until(async () => (await mina.inputValue("#text")).length === 2500, "the text");
  assert.equal(await problem.textContent(), "");
  await mina.keyboard.press("Control+V");
  await problem.getByText("Its end was left out").waitFor();
  assert.equal((await mina.inputValue("#text")).length, 4000);
  await mina.keyboard.press("Backspace");
  await until(async () => (await problem.textContent()) === "", "the problem to go");
});

test("text stays text", async () => {
  const room = newRoom();
  const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  const a = await person("<b>Mina</b>", { room });
  const b = await person("지훈", { room });
  await say(a, evil);
  await line(b, evil).waitFor();
  await b.locator("#people-list", { hasText: "<b>Mina</b>" }).waitFor();
  assert.equal(await b.locator("#lines img, #lines script, #lines b, #people-list b").count(), 0);
  assert.doesNotMatch(await b.title(), /owned/);
});

test("who is here, with their number, as they come and go", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const jihun = await person("지훈", { room });
  for (const page of [mina, jihun]) {
    await page.locator("#people-count", { hasText: "2" }).waitFor();
    assert.deepEqual((await page.locator("#people-list .grow").allTextContents()).toSorted(), ["Mina", "지훈"]);
  }
  // A second window of the same person is the same person.
  const second = await open(jihun.context(), `${server}/#${encodeURIComponent(room)}`);
  await second.waitForSelector("#state[data-state=connected]");
  await second.locator("#people-count", { hasText: "2" }).waitFor();
  await second.close();
  await jihun.click("#my-rooms li.active .leave");
  await mina.locator("#people-count", { hasText: "1" }).waitFor();
  assert.deepEqual(await mina.locator("#people-list .grow").allTextContents(), ["Mina"]);
  assert.equal(await jihun.locator("#room-title").textContent(), "lobby");
});

test("somebody is writing, and then not", async () => {
  const room = newRoom();
  const mina = await person("Mina", { room });
  const jihun = await person("지훈", { room });
  await jihun.locator("#people-count", { hasText: "2" }).waitFor();
  await mina.focus("#text");
  await mina.keyboard.type("he");
  await jihun.locator("#typing", { hasText: "Mina is writing…" }).waitFor();
  await mina.fill("#text", "");
  await jihun.locator("#typing", { hasText: "Mina" }).waitFor({ state: "detached" });
  await mina.focus("#text");
  await mina.keyboard.type("hello");
  await jihun.locator("#typing", { hasText: "Mina is writing…" }).waitFor();
  await mina.press("#text", "Enter");
  await line(jihun, "hello").waitFor();
  await jihun.locator("#typing", { hasText: "Mina" }).waitFor({ state: "detached" });
});

test("rooms: made, found by others, unread, left", async () => {
  const [first, second] = [newRoom(), newRoom()];
  const mina = await person("Mina", { room: first });
  await mina.fill("#room-name", second);
  await mina.press("#room-name", "Enter");
  await mina.locator("#room-title", { hasText: second }).waitFor();
  assert.equal(new URL(mina.url()).hash, `#${encodeURIComponent(second)}`);
  await say(mina, "in the second");
  await line(mina, "in the second").waitFor();

  const jihun = await person("지훈", { room: first });
  await jihun.click("#show-people", { force: true });
  const other = jihun.locator("#other-rooms button", { hasText: second });
  // There may be more than a page of them.
  await until(async () => {
    if ((await other.count()) > 0) return true;
    if (await jihun.locator("#more-rooms").isVisible()) await jihun.click("#more-rooms");
    return false;
  }, "the second room in the list");
  await other.click();
  await line(jihun, "in the second").waitFor();

  await jihun.locator("#my-rooms button.room-link", { hasText: first }).click();
  await jihun.locator("#room-title", { hasText: first }).waitFor();
  await say(mina, "one more");
  await jihun.locator("#my-rooms li", { hasText: second }).locator(".badge", { hasText: "1" }).waitFor();
  assert.match(await jihun.title(), /^\(1\)/);
  await jihun.locator("#my-rooms button.room-link", { hasText: second }).click();
  await line(jihun, "one more").waitFor();
  await jihun.locator("#my-rooms .badge").waitFor({ state: "detached" });

  await jihun.locator("#my-rooms li", { hasText: first }).hover();
  await jihun.getByRole("button", { name: `Leave ${first}` }).click();
  await jihun.locator("#my-rooms li", { hasText: first }).waitFor({ state: "detached" });
  await jihun.reload();
  await jihun.waitForSelector("#state[data-state=connected]");
  assert.equal(await jihun.locator("#my-rooms li", { hasText: first }).count(), 0);
  assert.equal(await jihun.locator("#room-title").textContent(), second);
});

test("two windows of one person are one person, and see each other's messages", async () => {
  const room = newRoom();
  const one = await person("Mina", { room });
  const two = await open(one.context(), `${server}/#${encodeURIComponent(room)}`);
  await two.waitForSelector("#state[data-state=connected]");
  await say(one, "from one");
  await line(two, "from one").waitFor();
  await say(two, "from two");
  await line(one, "from two").waitFor();
  for (const page of [one, two]) {
    assert.deepEqual(await shown(page), ["from one", "from two"]);
    await until(async () => (await page.locator("#lines .mine").count()) === 2, "both to be known as one's own");
  }
});

test("a name that the server does not take is asked for again", async () => {
  const page = await open(await profile(), `${server}/`);
  await page.fill("#name", "x".repeat(64));
  await page.press("#name", "Enter");
  await page.locator("#name-problem", { hasText: "32" }).waitFor();
  await page.fill("#name", "Mina");
  await page.press("#name", "Enter");
  await page.locator("#me", { hasText: "Mina" }).waitFor();
  await page.waitForSelector("#state[data-state=connected]");
});

test("another name is another person", async () => {
  const room = newRoom();
  const page = await person("Mina", { room });
  await page.click("#other-name");
  await page.fill("#name", "Nina");
  await page.press("#name", "Enter");
  await page.locator("#me", { hasText: "Nina" }).waitFor();
  await page.waitForSelector("#state[data-state=connected]");
  await say(page, "hello");
  await line(page, "hello").waitFor();
  const other = await person("지훈", { room });
  await other.locator("#lines .name", { hasText: "Nina" }).waitFor();
});
