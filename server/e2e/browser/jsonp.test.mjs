// Socket.IO 2 where a page has nothing but script elements and forms: JSONP, which
// browsers run only if it says that it is a script.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { profile, server } from "./chromium.mjs";

const client = readFileSync(new URL("../node_modules/sio2/dist/socket.io.js", import.meta.url), "utf8");

test("a client of JSONP is answered", async () => {
  const page = await (await profile()).newPage();
  await page.goto(`${server}/healthz`); // no page of ours, with its policy
  await page.evaluate(client);
  const answer = await page.evaluate(
    (url) =>
      new Promise((resolve, reject) => {
        const socket = /** @type {any} */ (window).io(url, { forceJSONP: true, transports: ["polling"], reconnection: false });
        socket.on("connect_error", reject);
        socket.on("error", reject);
        socket.on("connect", () =>
          socket.emit("add user", "JSONP 사람", (/** @type {any} */ added) => {
            socket.close();
            resolve(added);
          }),
        );
        setTimeout(() => reject(new Error("no answer")), 20_000);
      }),
    server,
  );
  assert.equal(answer.username, "JSONP 사람");
});
