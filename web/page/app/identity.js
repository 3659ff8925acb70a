// Who this browser is. Its secret makes all its tabs one person to the server;
// nobody else is ever shown it.

import { randomID } from "./random.js";

/** The server refuses what is no secret; better a new one than to be refused for ever. */
const SECRET = /^[0-9a-f]{32}$/;

export class Identity {
  /**
   * @param {import("./keep.js").Keep} local shared by all tabs
   * @param {import("./keep.js").Keep} tab this tab's own, kept over a reload
   */
  constructor(local, tab) {
    this.local = local;
    const known = String(local.read("session"));
    this.session = SECRET.test(known) ? known : randomID();
    local.write("session", this.session);
    this.tab = string(tab.read("tab")) ?? randomID();
    tab.write("tab", this.tab);
  }

  get name() {
    return string(this.local.read("name")) ?? "";
  }

  set name(name) {
    this.local.write("name", name);
  }

  /** What the person's platform has signed, where the server asks for it; "": nothing. */
  get token() {
    return string(this.local.read("token")) ?? "";
  }

  set token(token) {
    this.local.write("token", token);
  }

  /** What the server is shown at each connection. */
  get auth() {
    return this.token ? { session: this.session, token: this.token } : { session: this.session };
  }

  /** A name belongs to its session, so another name starts as another person. */
  forget() {
    for (const key of ["session", "name", "token", "rooms"]) this.local.drop(key);
  }
}

/** @param {unknown} value */
function string(value) {
  return typeof value === "string" && value !== "" ? value : null;
}
