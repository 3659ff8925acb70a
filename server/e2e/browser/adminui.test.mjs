// The Admin UI as it is published (@socket.io/admin-ui's ui/dist), from an
// origin of its own, in front of two nodes.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { after, before, test } from "node:test";

import { antchat } from "../interop/antchat.mjs";
import { call, closeAll, connect, latest, next, versions, ways } from "../interop/clients.mjs";
import { profile, until } from "./chromium.mjs";

const dist = new URL("../node_modules/@socket.io/admin-ui/ui/dist/", import.meta.url);
const kinds = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png" };

/** @type {import("node:http").Server} */
let files;
let ui = "";
/** @type {Awaited<ReturnType<typeof antchat>>[]} */
let nodes = [];

before(async () => {
  files = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    try {
      const body = await readFile(new URL(path === "/" ? "index.html" : path.slice(1), dist));
      response.setHeader("Content-Type", kinds[/** @type {keyof typeof kinds} */ (extname(path) || ".html")] ?? "application/octet-stream");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", () => resolve(undefined)));
  ui = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (files.address()).port}`;
  nodes = await Promise.all(
    [0, 1].map((i) =>
      antchat({
        REDIS_URL: process.env.ANTCHAT_TEST_REDIS_URL ?? "",
        ANTCHAT_NODE_ID: `node-${i}`,
        ANTCHAT_ADMIN_UI_ENABLED: "true",
        ANTCHAT_ADMIN_UI_MODE: "development",
        ANTCHAT_ADMIN_UI_PASSWORD_HASH: process.env.ANTCHAT_TEST_BCRYPT ?? "",
        ANTCHAT_ADMIN_UI_ORIGINS: ui,
        ANTCHAT_CORS_ORIGINS: "https://chat.example",
      }),
    ),
  );
});
after(async () => {
  closeAll();
  await Promise.all(nodes.map((node) => node.remove()));
  await new Promise((resolve) => files.close(resolve));
});

/** A window of the page, with nothing from elsewhere. */
async function open(parser = "default") {
  const context = await profile();
  await context.addInitScript((/** @type {string} */ name) => localStorage.setItem("parser", name), parser); // as the form would
  await context.route((url) => !["127.0.0.1"].includes(url.hostname), (route) => route.abort()); // its fonts
  const page = await context.newPage();
  await page.goto(`${ui}/`);
  return page;
}

/** @param {import("playwright-core").Page} page */
async function login(page, password) {
  const form = page.locator("form");
  await form.getByLabel("Server URL").fill(nodes[0].url);
  await form.getByLabel("Username").fill("admin");
  await form.getByLabel("Password").fill(password);
  await form.getByRole("button", { name: "Connect" }).click();
}

/** @param {import("playwright-core").Page} page */
const row = (page, text) => page.locator("tbody tr", { hasText: text });

test("log in, see the fleet, end a socket, come back", async () => {
  const old = await connect(versions[1], ways[1], nodes[0].url);
  const young = await connect(latest, ways[1], nodes[1].url);
  await call(old, "add user", "old");
  await call(young, "join room", { room: "den" });

  const page = await open();
  await login(page, "wrong");
  await page.getByText("Invalid credentials").waitFor();
  await page.locator("form").waitFor();
  await login(page, "ant chat");
  await page.locator("form").waitFor({ state: "hidden" });

  await page.goto(`${ui}/#/servers/`);
  for (const node of ["node-0", "node-1"]) {
    await row(page, node).waitFor();
    await row(page, node).getByText("Healthy").waitFor();
  }

  await page.goto(`${ui}/#/sockets/`);
  for (const socket of [old, young]) {
    await row(page, socket.id).waitFor();
    await row(page, socket.id).getByText("WebSocket").waitFor();
  }
  await page.goto(`${ui}/#/rooms/`);
  await row(page, "chat:den").waitFor();
  await row(page, "chat:lobby").waitFor();
  assert.equal(await row(page, "chat:lobby").locator("td").nth(2).innerText(), "2");

  // Somebody comes while it looks.
  await page.goto(`${ui}/#/sockets/`);
  const late = await connect(latest, ways[0], nodes[1].url);
  await row(page, late.id).getByText("HTTP long-polling").waitFor();

  // The click opens the socket's own page too.
  const gone = next(young, "disconnect");
  const { id } = young;
  await row(page, id).getByRole("button").click();
  assert.equal((await gone)[0], "io server disconnect");
  await page.goto(`${ui}/#/sockets/`);
  await row(page, old.id).waitFor();
  await until(async () => (await row(page, id).count()) === 0, "the socket to go from the list");

  await page.goto(`${ui}/#/events/`);
  await page.getByText("disconnection").first().waitFor();

  // A reload keeps the session: no form, and everything is there again.
  await page.goto(`${ui}/#/sockets/`);
  await page.reload();
  await row(page, old.id).waitFor();
  assert.equal(await page.locator("form").count(), 0);
  await until(() => page.evaluate(() => localStorage.getItem("session_id")?.length === 32), "the session's id");
});

test("the same with the msgpack parser", async () => {
  const socket = await connect(latest, ways[1], nodes[1].url);
  const page = await open("msgpack");
  await login(page, "ant chat");
  await page.locator("form").waitFor({ state: "hidden" });
  await page.goto(`${ui}/#/servers/`);
  await row(page, "node-1").getByText("Healthy").waitFor();
  await page.goto(`${ui}/#/sockets/`);
  const gone = next(socket, "disconnect");
  await row(page, socket.id).getByRole("button").click();
  await gone;
});
