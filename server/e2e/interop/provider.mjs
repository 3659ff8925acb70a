// A real OpenID provider (the certified oidc-provider), with people who sign in on
// its own pages, as a browser would.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import http from "node:http";
import { Provider } from "oidc-provider";

/** What its access tokens are for. */
export const audience = "urn:chat";

/** @type {Record<string, object>} */
const people = {
  ann: { name: "Ann Example", groups: ["red", "moderators"] },
  bob: { name: "Bob Example", groups: ["blue"] },
};

/** A private key of each kind, with an id. */
function newKeys() {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  return [rsa, ec].map((key) => ({ ...key, kid: randomBytes(6).toString("hex"), use: "sig" }));
}

const callback = "https://app.example/callback";

/** Starts one, which publishes its own keys. */
export async function provider() {
  /** @type {(request: http.IncomingMessage, response: http.ServerResponse) => void} */
  let answer;
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url);
    answer(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const issuer = `http://127.0.0.1:${port}`;

  function publish(keys) {
    const client = (id, algorithm) => ({
      client_id: id,
      token_endpoint_auth_method: "none",
      redirect_uris: [callback],
      response_types: ["code"],
      grant_types: ["authorization_code"],
      id_token_signed_response_alg: algorithm,
    });
    const made = new Provider(issuer, {
      jwks: { keys },
      clients: [client("web", "RS256"), client("app", "ES256"), client("another", "RS256")],
      cookies: { keys: [randomBytes(16).toString("hex")] },
      claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
      conformIdTokenClaims: false, // like most providers: the claims are in the token
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
      extraTokenClaims: (_, token) => people[token.accountId],
      features: {
        devInteractions: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => audience,
          getResourceServerInfo: (_, __, client) => ({
            scope: "openid profile groups",
            audience,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: client.clientId === "app" ? "ES256" : "RS256" } },
          }),
          useGrantedResource: () => true,
        },
      },
    });
    answer = made.callback();
  }
  publish(newKeys());

  /**
   * Signs a person in, by the code flow with PKCE, and gives the tokens.
   * @param {string} login
   * @param {string} client
   */
  async function signIn(login, client) {
    const verifier = randomBytes(32).toString("base64url");
    /** @type {Map<string, string>} */
    const jar = new Map();
    // One step, as a browser does it: with cookies, and no redirect followed.
    const step = async (url, form) => {
      const response = await fetch(new URL(url, issuer), {
        method: form ? "POST" : "GET",
        body: form && new URLSearchParams(form),
        headers: { cookie: [...jar].map((pair) => pair.join("=")).join("; ") },
        redirect: "manual",
      });
      for (const line of response.headers.getSetCookie()) {
        const [pair] = line.split(";");
        const at = pair.indexOf("=");
        jar.set(pair.slice(0, at), pair.slice(at + 1));
      }
      return response;
    };
    let next = `/auth?${new URLSearchParams({
      client_id: client,
      redirect_uri: callback,
      response_type: "code",
      scope: "openid profile groups",
      resource: audience,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    })}`;
    for (let i = 0; !next.startsWith(callback); i++) {
      assert.ok(i < 10, `no end: ${next}`);
      const response = await step(next);
      const to = response.headers.get("location");
      if (to) {
        next = to;
        continue;
      }
      const page = await response.text(); // its form: who it is, and then the consent
      const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
      const action = /action="([^"]+)"/.exec(page)?.[1];
      assert.ok(prompt && action, page);
      const sent = await step(action, prompt === "login" ? { prompt, login, password: "any" } : { prompt });
      next = sent.headers.get("location") ?? "";
    }
    const code = new URL(next).searchParams.get("code");
    assert.ok(code, next);
    const response = await step("/token", { grant_type: "authorization_code", client_id: client, redirect_uri: callback, code, code_verifier: verifier });
    const tokens = await response.json();
    assert.equal(response.status, 200, JSON.stringify(tokens));
    return { id: tokens.id_token, access: tokens.access_token };
  }

  return {
    issuer,
    signIn,
    /** What it was asked for. */
    asked,
    /** New keys take the place of the old ones. */
    rotate: () => publish(newKeys()),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
