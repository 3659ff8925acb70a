// Our page on two nodes over one Redis: people on different nodes, through a
// node's death, a ban that lands on the other node, and a token that is refreshed
// on both.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import net from "node:net";
import { after, before, test } from "node:test";

import { process_ } from "../interop/antchat.mjs";
import { redis } from "../interop/redis.mjs";
import { line, newRoom, open, person, profile, say, shown, until } from "./chromium.mjs";

const secret = "a secret of the fleet's own, 32+";

/** @type {Awaited<ReturnType<typeof redis>>} */
let store;
/** @type {(() => Promise<unknown>)[]} what ends each test's nodes */
const ends = [];
before(async () => void (store = await redis()));
after(async () => {
  for (const end of ends.reverse()) await end();
  await store?.remove();
});

/**
 * Two nodes, and an address for each that goes on to the other once it is dead: as
 * a load balancer's does.
 * @param {Record<string, string>} [settings]
 */
async function pair(settings = {}) {
  const nodes = [];
  for (let i = 0; i < 2; i++) {
    const node = await process_({ ...settings, ANTCHAT_REDIS_URL: store.url });
    ends.push(node.remove);
    nodes.push(node);
  }
  const ports = nodes.map(({ port }) => port);
  return { nodes, at: [await door(ports), await door(ports.toReversed())] };
}

/**
 * A TCP relay to the first of some ports that takes the connection.
 * @param {number[]} ports
 */
async function door(ports) {
  /** @type {Set<net.Socket>} */
  const open = new Set();
  /** @type {number[]} the ports that took one, in order */
  const taken = [];
  const track = (/** @type {net.Socket} */ socket, /** @type {net.Socket} */ other) => {
    open.add(socket);
    socket.on("error", () => {}).on("close", () => {
      open.delete(socket);
      other.destroy();
    });
  };
  const server = net.createServer({ pauseOnConnect: true }, (near) => {
    near.on("error", () => {});
    const next = (/** @type {number} */ i) => {
      if (i === ports.length) return void near.destroy();
      const far = net.connect(ports[i], "127.0.0.1");
      const failed = () => next(i + 1);
      far.once("error", failed);
      far.once("connect", () => {
        far.off("error", failed);
        taken.push(ports[i]);
        track(near, far);
        track(far, near);
        near.pipe(far).pipe(near);
        near.resume();
      });
    };
    next(0);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  ends.push(() => {
    for (const socket of open) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`, taken };
}

/**
 * @param {object} claims
 * @param {number} seconds until it ends
 */
function token(claims, seconds = 3600) {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1000) + seconds, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

test("two people on two nodes write on through the death of one", async () => {
  const { nodes, at } = await pair();
  const room = newRoom();
  const mina = await person("Mina", { url: at[0].url, room });
  const olu = await person("Olu", { url: at[1].url, room });
  assert.deepEqual([at[0].taken, at[1].taken].map((taken) => new Set(taken)), nodes.map(({ port }) => new Set([port])), "each at its own node");
  await say(mina, "from one node");
  await line(olu, "from one node").waitFor();
  await say(olu, "to the other");
  await line(mina, "to the other").waitFor();

  await nodes[0].kill();
  // Nobody waits until it is noticed.
  await say(mina, "on a dead node");
  await say(olu, "while she is away");
  for (const page of [mina, olu]) {
    await line(page, "on a dead node").waitFor();
    await line(page, "while she is away").waitFor();
  }
  await mina.waitForSelector("#state[data-state=connected]");
  assert.equal(at[0].taken.at(-1), nodes[1].port, "she goes on at the other node");
  await say(mina, "still here");
  await line(olu, "still here").waitFor();
  const [hers, his] = [await shown(mina), await shown(olu)];
  assert.deepEqual(hers, his, "both see the same, in the same order");
  assert.deepEqual(hers.toSorted(), ["from one node", "on a dead node", "still here", "to the other", "while she is away"], "all of it, once");
});

test("a ban lands on the other node, and a token is refreshed over both", async () => {
  const { nodes, at } = await pair({
    ANTCHAT_AUTH_MODE: "token",
    ANTCHAT_AUTH_SECRET: secret,
    ANTCHAT_AUTH_WARNING: "5m",
    ANTCHAT_ROOMS_RULES: JSON.stringify([{ pattern: "*", read: "signed-in", write: "signed-in", moderate: "claim:role=moderator" }]),
  });
  const room = newRoom();
  const enter = async (/** @type {string} */ url, /** @type {object} */ claims, /** @type {number | undefined} */ seconds) => {
    const page = await open(await profile(), `${url}/#token=${token(claims, seconds)}&room=${room}`);
    await page.locator("#room-title", { hasText: room }).waitFor();
    return page;
  };
  const mod = await enter(at[0].url, { sub: "mod", name: "Mod", role: "moderator" });
  const troll = await enter(at[1].url, { sub: "troll", name: "Troll" });
  await say(troll, "from the other node");
  await line(mod, "from the other node").waitFor();
  await mod.getByRole("button", { name: "Moderate Troll" }).click();
  await mod.getByRole("dialog").getByRole("button", { name: "Ban for a day" }).click();
  await troll.locator("#notice", { hasText: "you are banned" }).waitFor();
  assert.ok(await troll.locator("#text").isDisabled());
  await until(async () => !(await mod.locator("#people-list").textContent())?.includes("Troll"), "the banned one to be gone");
  await troll.reload();
  await troll.locator("#notice", { hasText: "you are banned" }).waitFor();
  assert.equal(await troll.locator("#lines > li[data-seq]").count(), 0, "nor may it read on");

  // One person's two devices, on both nodes; a token that ends soon on each.
  const claims = { sub: "olu", name: "Olu" };
  for (const { url } of at) {
    const page = await enter(url, claims, 120);
    await page.locator("#trouble-text", { hasText: "Your sign-in ends at" }).waitFor();
    await page.getByRole("button", { name: "Sign in again" }).click();
    await page.fill("#token", token(claims));
    await page.locator("#token-form button").click();
    await page.locator("#trouble").waitFor({ state: "hidden" });
    await say(page, `signed in again at ${url}`);
    await line(mod, `signed in again at ${url}`).waitFor();
    // The new token counts at the other node too.
    if (url === at[1].url) {
      await nodes[1].kill();
      await say(page, "with the new token");
      await line(mod, "with the new token").waitFor();
      assert.equal(await page.locator("#trouble").isHidden(), true);
    }
  }
});
