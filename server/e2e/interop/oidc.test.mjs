// Tokens of a real OpenID provider: found by its issuer's address alone, of either
// kind, for whom they are, and through a rotation of its keys.
import assert from "node:assert/strict";
import { test } from "node:test";
import { call, connect, connected, latest, next, start, versions, ways } from "./clients.mjs";
import { atEnd, serve } from "./lifetime.mjs";
import { audience, provider } from "./provider.mjs";

const websocket = ways[1];

test("an OpenID provider's people come in with what its tokens say of them", async () => {
  const issuer = await provider();
  atEnd(() => issuer.close());
  const server = await serve({
    ANTCHAT_AUTH_MODE: "token",
    ANTCHAT_AUTH_ISSUER: issuer.issuer,
    ANTCHAT_AUTH_AUDIENCE: `web,app,${audience}`,
    ANTCHAT_AUTH_KEYS_INTERVAL: "1s",
    ANTCHAT_API_CLAIM: "groups",
    ANTCHAT_ROOMS_RULES: JSON.stringify([
      { pattern: "team-*", read: "claim:groups={1}", write: "claim:groups={1}" },
      { pattern: "*", read: "signed-in", write: "signed-in", moderate: "claim:groups=moderators" },
    ]),
  });
  const enter = (token, version = latest) => connect(version, websocket, server.url, version === latest ? { auth: { token } } : { query: { token } });
  const refused = async (token) => (await next(start(latest, websocket, server.url, { auth: { token } }), "connect_error"))[0].data?.code;
  const algorithm = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url").toString()).alg;

  const web = await issuer.signIn("ann", "web"); // signed by RS256
  const app = await issuer.signIn("ann", "app"); // by ES256
  const bob = await issuer.signIn("bob", "web");
  assert.deepEqual([web.id, web.access, app.id, app.access].map(algorithm), ["RS256", "RS256", "ES256", "ES256"]);
  const users = new Set();
  for (const token of [web.id, web.access, app.id, app.access]) {
    const socket = await enter(token);
    const { username, user } = await call(socket, "add user", "Mallory");
    assert.equal(username, "Ann Example");
    users.add(user);
    assert.deepEqual((await call(socket, "join room", "team-red")).rights, ["read", "write"]);
    assert.equal((await call(socket, "join room", "team-blue")).error.code, "forbidden");
    assert.deepEqual((await call(socket, "join room", "tea")).rights, ["read", "write", "moderate"]);
  }
  assert.equal(users.size, 1, "one person with four tokens");
  const other = await enter(bob.id, versions[1]);
  assert.equal((await call(other, "join room", "team-red")).error.code, "forbidden");
  assert.deepEqual((await call(other, "join room", "tea")).rights, ["read", "write"]);
  assert.deepEqual(issuer.asked.filter((url) => /well-known|jwks/.test(url)), ["/.well-known/openid-configuration", "/jwks"]);

  // For another application of the same provider, and changed on the way.
  assert.equal(await refused((await issuer.signIn("ann", "another")).id), "token_invalid");
  const [head, body, signature] = web.id.split(".");
  const claims = { ...JSON.parse(Buffer.from(body, "base64url").toString()), sub: "bob" };
  assert.equal(await refused([head, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".")), "token_invalid");
  assert.equal(await refused([head, bob.id.split(".")[1], signature].join(".")), "token_invalid");

  // The claim of scopes in the API holds no scope here.
  const listed = await fetch(`${server.url}/api/v1/rooms`, { headers: { authorization: `Bearer ${web.access}` } });
  assert.equal((await listed.json()).code, "scope_missing");

  issuer.rotate();
  const later = await issuer.signIn("ann", "app");
  const rotated = start(latest, websocket, server.url, { auth: { token: later.id } });
  rotated.on("connect_error", () => setTimeout(() => rotated.connect(), 200)); // as long as the interval lasts
  await connected(rotated);
  assert.equal((await call(rotated, "add user", "")).username, "Ann Example");
  assert.equal(await refused(web.id), "token_invalid", "a key that is withdrawn is good for nobody");
  assert.ok(!server.log().includes(later.id.slice(-20)), "a token is in the log");
});
