// Our page: lost connections.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { antchat } from "../interop/antchat.mjs";
import { link } from "../interop/link.mjs";
import { fillRoom, line, newRoom, open, person, say, shown, until, waiting } from "./chromium.mjs";

/** @type {Awaited<ReturnType<typeof antchat>>} a server that may be ended */
let server;
before(async () => {
  server = await antchat();
});
after(() => server?.remove());

/** @param {import("playwright-core").Page} page @param {string} state */
const state = (page, state) => page.waitForSelector(`#state[data-state=${state}]`);

test("what is written while offline is kept, sent later, once and in order", async () => {
  const { url } = server;
  const room = newRoom();
  const mina = await person("Mina", { url, room });
  const jihun = await person("지훈", { url, room });
  await say(mina, "before");
  await line(jihun, "before").waitFor();

  await mina.context().setOffline(true);
  await state(mina, "offline");
  await mina.locator("#trouble-text", { hasText: "You are offline" }).waitFor();
  for (const text of ["one", "two", "three"]) {
    await say(mina, text);
    await waiting(mina, text).waitFor();
  }
  assert.equal(await waiting(mina, "one").getAttribute("data-state"), "sending");
  await say(jihun, "are you there?");
  await line(jihun, "are you there?").waitFor();

  await mina.context().setOffline(false);
  await state(mina, "connected");
  for (const page of [mina, jihun]) {
    await line(page, "three").waitFor();
    assert.deepEqual(await shown(page), ["before", "are you there?", "one", "two", "three"]);
  }
  assert.equal(await mina.locator("#lines [data-state]").count(), 0);
  assert.equal(await mina.locator("#trouble").isVisible(), false);
});

test("it survives a reload, and a closed window", async () => {
  const { url } = server;
  const room = newRoom();
  const wire = await link(server.port);
  try {
    const mina = await person("Mina", { url: wire.url, room });
    await say(mina, "before");
    await line(mina, "before").waitFor();
    wire.cut();
    await state(mina, "waiting");
    await mina.locator("#trouble-text", { hasText: /Trying again in \d+ s/ }).waitFor();
    await say(mina, "kept");
    await waiting(mina, "kept").waitFor();
    wire.mend();
    await mina.reload();
    await line(mina, "kept").waitFor();
    assert.deepEqual(await shown(mina), ["before", "kept"]);

    wire.cut();
    await state(mina, "waiting");
    await say(mina, "kept too");
    await waiting(mina, "kept too").waitFor();
    const context = mina.context();
    await mina.close();
    wire.mend();
    const again = await open(context, `${wire.url}/#${encodeURIComponent(room)}`);
    await line(again, "kept too").waitFor();
    const jihun = await person("지훈", { url, room });
    await line(jihun, "kept too").waitFor();
    assert.deepEqual(await shown(jihun), ["before", "kept", "kept too"]);
  } finally {
    await wire.close();
  }
});

test("an answer that got lost does not make a message twice", async () => {
  const { url } = server;
  const room = newRoom();
  const wire = await link(server.port);
  try {
    const mina = await person("Mina", { url: wire.url, room });
    const jihun = await person("지훈", { url, room });
    await say(mina, "before");
    await line(jihun, "before").waitFor();
    wire.deafen();
    await say(mina, "once");
    await line(jihun, "once").waitFor();
    await waiting(mina, "once").waitFor();
    wire.cut();
    await state(mina, "waiting");
    wire.mend();
    await line(mina, "once").waitFor();
    await say(mina, "after");
    for (const page of [mina, jihun]) {
      await line(page, "after").waitFor();
      assert.deepEqual(await shown(page), ["before", "once", "after"]);
    }
  } finally {
    await wire.close();
  }
});

test("the server is killed and comes back: nothing is lost, nothing twice", async () => {
  const { url } = server;
  const room = newRoom();
  const mina = await person("Mina", { url, room });
  const jihun = await person("지훈", { url, room });
  await say(mina, "before");
  await line(jihun, "before").waitFor();
  await server.kill();
  await state(mina, "waiting");
  await state(jihun, "waiting");
  await say(mina, "from Mina");
  await say(jihun, "from 지훈");
  await server.start();
  for (const page of [mina, jihun]) {
    await state(page, "connected");
    await line(page, "from Mina").waitFor();
    await line(page, "from 지훈").waitFor();
    const all = await shown(page);
    assert.deepEqual(all.toSorted(), ["before", "from Mina", "from 지훈"].toSorted());
    assert.equal(all[0], "before");
  }
  await until(async () => (await mina.locator("#people-count").textContent()) === "2", "both to be here again");
});

test("too much was missed for one answer: the newest are shown, the rest on scrolling back", async () => {
  const { url } = server;
  const room = newRoom();
  const wire = await link(server.port);
  try {
    const mina = await person("Mina", { url: wire.url, room });
    await say(mina, "before");
    await line(mina, "before").waitFor();
    wire.cut();
    await state(mina, "waiting");
    // A new server process knows no session, so this is no recovery.
    await server.stop();
    await server.start();
    const missed = Array.from({ length: 250 }, (_, i) => `missed ${i + 1}`);
    await fillRoom(room, missed, url);
    wire.mend();
    await line(mina, "missed 250").waitFor();
    await mina.hover("#scroll");
    for (let i = 0; i < 200 && (await line(mina, "before").count()) === 0; i++) {
      await mina.mouse.wheel(0, -1500);
      await mina.waitForTimeout(60);
    }
    assert.deepEqual(await shown(mina), ["before", ...missed]);
  } finally {
    await wire.close();
  }
});

test("what the server refuses is shown, and can be given up", async () => {
  const { url } = server;
  const mina = await person("Mina", { url, room: newRoom() });
  await mina.$eval("#text", (text) => text.removeAttribute("maxlength"));
  await mina.fill("#text", "x".repeat(5000));
  await mina.press("#text", "Enter");
  const failed = mina.locator("#lines > li[data-state=failed]");
  await failed.locator(".sending", { hasText: "Not sent" }).waitFor();
  await say(mina, "the next one goes");
  await line(mina, "the next one goes").waitFor();
  await failed.getByRole("button", { name: "Discard" }).click();
  await failed.waitFor({ state: "detached" });
  await mina.reload();
  await line(mina, "the next one goes").waitFor();
  assert.equal(await failed.count(), 0);
});
