// An app in the background: its system freezes it, the server takes it for gone,
// and it comes back.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { latest, until, versions, ways, within } from "./clients.mjs";
import { atEnd, serve } from "./lifetime.mjs";
import { desk } from "./member.mjs";

const room = "주머니";
const kinds = [versions[1], latest].flatMap((version) => ways.map((way) => ({ version, way })));

/** Members in processes of their own. */
async function frozen(url) {
  const phones = kinds.map(({ version, way }) => {
    const child = fork(fileURLToPath(new URL("phone.mjs", import.meta.url)), [version.name, way.name, url, room]);
    atEnd(() => child.kill("SIGKILL"));
    return {
      version,
      child,
      /** @returns {Promise<any>} what it has seen */
      ask: () => {
        assert.equal(child.exitCode, null, "a phone ended");
        const answer = within(new Promise((resolve) => child.once("message", resolve)), `${version.name} over ${way.name} to answer`);
        child.send("?");
        return answer;
      },
    };
  });
  return {
    phones,
    each: (/** @type {(seen: any) => boolean} */ ok, /** @type {string} */ what) =>
      until(async () => (await Promise.all(phones.map(({ ask }) => ask()))).every(ok), what),
    all: (/** @type {NodeJS.Signals} */ signal) => phones.forEach(({ child }) => child.kill(signal)),
  };
}

for (const { name, window, recovers } of [
  { name: "within the recovery window it is as if it had not been away", window: "2m", recovers: true },
  { name: "for too long it is a new session that asks for what it missed", window: "500ms", recovers: false },
]) {
  test(`an app in the background: ${name}`, async () => {
    const server = await serve({
      ANTCHAT_ENGINE_PING_INTERVAL: "1s",
      ANTCHAT_ENGINE_PING_TIMEOUT: "2s",
      ANTCHAT_PRESENCE_GRACE: "1ms",
      ANTCHAT_RECOVERY_WINDOW: window,
    });
    const { written, write, left } = await desk(server.url, room);
    const { phones, each, all } = await frozen(server.url);
    await each((seen) => seen.joined, "everybody to be in");
    await write(2);
    await each((seen) => seen.shown.length === written.length, "everybody to be up to date");
    const before = await Promise.all(phones.map(({ ask }) => ask()));
    all("SIGSTOP");
    await write(3);
    await until(() => left.length >= phones.length, () => `the server to notice: ${left}`);
    await write(3);
    if (!recovers) {
      await new Promise((resolve) => setTimeout(resolve, 2000)); // past the window of each
    }
    all("SIGCONT");
    await each((seen) => seen.shown.length >= written.length, "everybody to have everything");
    await write(2); // and it is a member as before
    await each((seen) => seen.shown.length >= written.length && seen.connected, "everybody to be a member");
    for (const [i, { version, ask }] of phones.entries()) {
      const seen = await ask();
      assert.deepEqual(seen.shown, written, seen.name);
      assert.ok(seen.ends.length > before[i].ends.length, `${seen.name}: its connection had ended`);
      if (version.recovers && recovers) {
        assert.equal(seen.fresh, before[i].fresh, seen.name);
        assert.equal(seen.id, before[i].id, seen.name);
      } else {
        assert.ok(seen.fresh > before[i].fresh, seen.name);
      }
    }
  });
}
