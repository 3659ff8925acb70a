// What the page knows and does: it turns the server's events into rooms, and
// what the person does into requests. It draws nothing.

import { Directory } from "./directory.js";
import { Own } from "./own.js";
import { Pages } from "./pages.js";
import { Pointers } from "./pointers.js";
import { LOBBY, Rooms } from "./rooms.js";
import { Sender } from "./sender.js";

/** @typedef {import("./connection.js").Listener} Listener */
/** @typedef {import("./room.js").Room} Room */

/** Messages to begin a room with. */
const PAGE = 50;
/** Entering again after an absence fetches more than a page, to stay in one piece. */
const CATCH_UP = 100;
/** The server names at most this many people. */
const MANY = 100;

const MODERATION = ["read", "message removed", "user muted", "user unmuted", "user kicked", "user banned", "user unbanned", "room closed"];

export class Chat {
  /**
   * @param {object} needs
   * @param {import("./identity.js").Identity} needs.identity
   * @param {import("./keep.js").Keep} needs.keep
   * @param {import("./outbox.js").Outbox} needs.outbox
   * @param {(auth: () => object, listener: Listener) => import("./connection.js").Connection} needs.connect
   * @param {() => void} needs.changed something is to be drawn again
   * @param {(room: Room, message: Message) => void} needs.heard a message of somebody else came in
   */
  constructor({ identity, keep, outbox, connect, changed, heard }) {
    this.identity = identity;
    this.keep = keep;
    this.outbox = outbox;
    this.changed = changed;
    this.heard = heard;
    this.own = new Own(keep);
    this.rooms = new Rooms(keep);
    this.active = this.rooms.enter(LOBBY);
    /** The person looks at the end of the active room. */
    this.attentive = true;
    this.recounting = false;
    /** The server did not take the name; "": it did, or was not asked. */
    this.nameRefused = "";
    /** A name must be chosen. With a token the server may know one. */
    this.nameWanted = identity.name === "" && identity.token === "";
    /** Why a token must be shown; "": it need not. */
    this.tokenWanted = "";
    /** What the platform last told everybody; "": nothing, or it was put away. */
    this.announcement = "";
    /** When the token shown ends, milliseconds since 1970; 0: not soon. */
    this.tokenEnds = 0;
    /** The person's own public id; "": not told yet. */
    this.me = String(keep.read("me") ?? "");

    this.connection = connect(() => identity.auth, {
      connected: (recovered) => void this.#connected(recovered),
      disconnected: () => this.#disconnected(),
      refused: (code) => (this.tokenWanted = code),
      changed,
    });
    const request = this.connection.request.bind(this.connection);
    this.directory = new Directory({ ask: (what) => request("rooms", what), changed });
    this.pointers = new Pointers(this.rooms, request);
    this.pages = new Pages({
      online: () => this.connection.state === "connected",
      ask: (what) => request("history", what),
      seen: (message) => this.#mine(message),
      changed,
    });
    this.sender = new Sender({
      outbox,
      send: ({ id, room, text }) => this.connection.request("new message", { room, message: text, id }),
      stored: ({ id, room, text }, { seq, ts }) => {
        this.own.add(id, seq);
        this.#add({ username: this.identity.name, message: text, room, id, seq, ts });
      },
      changed,
    });
    this.#listen();
  }

  /**
   * The person has a name, and the chat begins.
   * @param {string} name
   */
  start(name) {
    this.identity.name = name;
    this.nameRefused = "";
    this.nameWanted = false;
    if (this.connection.state === "connected") void this.#connected(false);
    else this.connection.now();
    this.changed();
  }

  /**
   * The person shows a token: the first, or one in the place of one that ends.
   * @param {string} token
   */
  async signIn(token) {
    this.identity.token = token;
    this.nameWanted = false;
    this.tokenWanted = "";
    if (this.connection.state === "connected") {
      try {
        await this.connection.request("refresh token", token);
        this.tokenEnds = 0;
      } catch (error) {
        this.tokenWanted = /** @type {Refusal} */ (error).code;
      }
    } else {
      this.connection.now();
    }
    this.changed();
  }

  /** The person wants to show another token. */
  signInAgain() {
    this.tokenWanted = "token_expired";
    this.changed();
  }

  /**
   * Opens the direct room with somebody.
   * @param {Person} person
   */
  openDirect({ user, username }) {
    if (!user || !this.me || user === this.me) return;
    const name = `@${[user, this.me].sort().join(".")}`;
    this.rooms.enter(name).partner = username;
    this.open(name);
  }

  /**
   * Enters a room, if need be, and shows it.
   * @param {string} name
   */
  open(name) {
    // One that could not be entered is shown with the reason, and then gone.
    if (this.active.shut && this.active.name !== name && this.active.name !== LOBBY) this.rooms.delete(this.active.name);
    this.active = this.rooms.enter(name);
    this.attentive = this.active.place.end;
    this.rooms.remember();
    this.changed();
    if (!this.active.joined && this.connection.state === "connected") void this.#join(this.active);
    else this.attend(this.attentive);
  }

  /** @param {Room} room */
  async leave(room) {
    if (room.name === LOBBY) return;
    this.rooms.delete(room.name);
    if (this.active === room) this.open(LOBBY);
    this.rooms.remember();
    this.changed();
    try {
      await this.connection.request("leave room", { room: room.name });
    } catch {
      // Without a connection there is nothing to leave; the next one does not enter.
    }
    void this.directory.load();
  }

  /**
   * @param {string} text
   * @returns {boolean} false: too much is waiting already
   */
  say(text) {
    const entry = this.outbox.add(this.active.name, text);
    if (!entry) return false;
    this.own.add(entry.id, 0);
    this.active.draft = "";
    this.changed();
    void this.sender.poke();
    return true;
  }

  /** @param {string} id */
  retry(id) {
    this.outbox.again(id);
    this.changed();
    void this.sender.poke();
  }

  /** @param {string} id */
  discard(id) {
    this.outbox.drop(id);
    this.changed();
  }

  /**
   * Takes a message out of everybody's view.
   * @param {number} seq
   * @param {Room} [room]
   */
  async remove(seq, room = this.active) {
    await this.connection.request("remove message", { room: room.name, seq, epoch: room.epoch });
    room.timeline.remove([seq]);
    this.changed();
  }

  /**
   * Mutes, kicks or bans somebody in the active room, or takes it back.
   * @param {"mute" | "unmute" | "kick" | "ban" | "unban"} what
   * @param {string} user
   * @param {number} [seconds]
   */
  async moderate(what, user, seconds) {
    await this.connection.request(what, { room: this.active.name, user, for: seconds });
    void this.who();
  }

  /**
   * @param {boolean} is
   * @param {Room} [room]
   */
  typing(is, room = this.active) {
    this.connection.signal(is ? "typing" : "stop typing", { room: room.name });
  }

  /**
   * Whether the person looks at the end of the active room.
   * @param {boolean} is
   */
  attend(is) {
    this.attentive = is;
    if (is && document.visibilityState === "visible" && this.active.seen()) {
      this.rooms.remember();
      this.pointers.tell(this.active);
      this.changed();
    }
  }

  /** Asks who is in the active room. */
  async who() {
    const room = this.active;
    try {
      const { numUsers, users } = await this.connection.request("who", { room: room.name });
      room.people(numUsers, users);
      this.changed();
    } catch {
      // What was known is shown on.
    }
  }

  #listen() {
    const on = this.connection.on.bind(this.connection);
    /** @param {any} payload @returns {Room | undefined} */
    const roomOf = (payload) => this.rooms.get(payload?.room ?? LOBBY);

    on("new message", (message) => this.#add(message));
    on("user joined", (p) => this.#recount(roomOf(p)?.arrived(p)));
    on("user left", (p) => this.#recount(roomOf(p)?.left(p)));
    on("room users", (p) => roomOf(p)?.people(p.numUsers));
    on("typing", (p) => p.username !== this.identity.name && roomOf(p)?.types(p.username));
    on("stop typing", (p) => roomOf(p)?.typing.delete(p.username));
    // What this person does elsewhere, and what is written to the person.
    on("joined room", ({ room }) => this.#enter(room));
    on("left room", ({ room }) => this.#leftElsewhere(room));
    on("direct message", (news) => {
      const room = this.rooms.get(news.room) ?? this.rooms.enter(news.room);
      if (news.user !== this.me) room.partner = news.username;
      if (room.read < 0) room.read = news.user === this.me ? news.seq : news.seq - 1;
      this.#enter(news.room, () => {
        const message = room.timeline.messages.findLast((m) => m.seq === news.seq);
        if (message && news.user !== this.me) this.heard(room, message);
      });
    });
    on("read", ({ room, seq }) => this.rooms.get(room)?.readTo(seq));
    on("message removed", (p) => {
      const room = this.#noted(p);
      room?.timeline.remove([p.removed]);
    });
    for (const event of ["user muted", "user unmuted", "user kicked", "user banned", "user unbanned"]) {
      on(event, (p) => {
        const room = this.#noted(p);
        if (room && p.target === this.me) room.notice = { event, until: p.until ?? 0 };
      });
    }
    on("room closed", ({ room: name, code }) => {
      const room = this.rooms.get(name);
      if (!room) return;
      room.joined = false;
      room.refused = code;
    });
    on("announcement", ({ message, username }) => (this.announcement = username ? `${username}: ${message}` : String(message)));
    on("token expiring", ({ expires }) => (this.tokenEnds = expires));
    on("room gap", (gap) => {
      const room = roomOf(gap);
      if (!room) return;
      room.epoch = gap.epoch ?? room.epoch;
      room.timeline.gap(gap);
    });
    for (const event of ["user joined", "user left", "room users", "typing", "stop typing", "room gap", "token expiring", "announcement", ...MODERATION]) on(event, this.changed);
  }

  /**
   * A moderator's entry: it has a place in the log, though it is no message.
   * @param {any} entry
   * @returns {Room | undefined}
   */
  #noted(entry) {
    const room = this.rooms.get(entry?.room ?? LOBBY);
    if (!room || !Number.isSafeInteger(entry?.seq)) return undefined;
    room.timeline.note(entry.seq);
    if (room === this.active) this.attend(this.attentive);
    return room;
  }

  /**
   * Names and number went apart, as when news were lost with a connection: ask,
   * though not every member at the same instant.
   * @param {Room | undefined} room
   */
  #recount(room) {
    if (room !== this.active || this.recounting || room.users.length === room.numUsers || room.numUsers > MANY) return;
    this.recounting = true;
    setTimeout(() => {
      this.recounting = false;
      void this.who();
    }, 1000 + Math.random() * 2000);
  }

  /**
   * @param {string} name
   * @param {() => void} [entered]
   */
  #enter(name, entered) {
    const room = this.rooms.enter(name);
    this.rooms.remember();
    this.changed();
    if (!room.joined && this.connection.state === "connected") void this.#join(room).then(entered);
  }

  /** @param {string} name */
  #leftElsewhere(name) {
    const room = this.rooms.get(name);
    if (room) void this.leave(room);
  }

  /** @param {boolean} recovered */
  async #connected(recovered) {
    const { name, token } = this.identity;
    this.tokenWanted = "";
    this.tokenEnds = 0;
    if (!recovered) for (const room of this.rooms.values()) room.joined = false;
    if (!name && !token) return;
    try {
      const answer = await this.connection.request("add user", name);
      if (typeof answer.username === "string") this.identity.name = answer.username;
      if (typeof answer.user === "string" && answer.user !== this.me) {
        this.me = answer.user;
        this.keep.write("me", this.me);
      }
      for (const known of answer.rooms ?? []) if (typeof known === "string") this.rooms.enter(known);
    } catch (error) {
      const { code, retryable } = /** @type {Refusal} */ (error);
      if (retryable) {
        if (this.connection.state === "connected") setTimeout(() => void this.#connected(recovered), 3000);
        return;
      }
      // The token has no name in it, or the name was not taken.
      this.identity.name = "";
      this.nameRefused = name ? code : "";
      this.nameWanted = true;
      this.changed();
      return;
    }
    await this.pointers.load();
    // The room in front of the person first.
    for (const room of new Set([this.active, ...this.rooms.values()])) {
      if (!(recovered && room.joined)) await this.#join(room);
    }
    if (recovered) void this.who();
    if (this.connection.state !== "connected") return;
    this.sender.start();
    void this.directory.load();
  }

  #disconnected() {
    this.sender.stop();
    for (const room of this.rooms.values()) room.typing.clear();
  }

  /** @param {Room} room */
  async #join(room) {
    const since = room.timeline.head;
    const asked = since > 0 ? { room: room.name, since, epoch: room.epoch, limit: CATCH_UP } : { room: room.name, limit: PAGE };
    try {
      /** @type {Joined} */
      const answer = await this.connection.request("join room", asked);
      room.epoch = answer.epoch;
      for (const message of answer.messages) this.#mine(message);
      room.timeline.join(answer, since);
      room.timeline.remove(answer.removed ?? []);
      if (Array.isArray(answer.rights)) room.rights = answer.rights;
      room.people(answer.numUsers, answer.users);
      room.joined = true;
      room.refused = "";
      if (room.direct) this.#introduce(room, [...answer.users, ...answer.messages]);
      // A direct room's first message may be what one is here for.
      if (room.read < 0) room.read = room.direct ? 0 : answer.seq;
      room.read = Math.min(room.read, answer.seq);
      room.unread = Math.max(0, answer.seq - room.read);
      if (room === this.active) this.attend(this.attentive);
    } catch (error) {
      room.joined = false;
      const { code, retryable } = /** @type {Refusal} */ (error);
      if (!retryable) {
        room.refused = code;
        this.rooms.remember();
      } else if (this.connection.state === "connected") setTimeout(() => this.rooms.has(room.name) && !room.joined && this.#join(room), 3000);
    }
    this.changed();
  }

  /** @param {Message} message */
  #add(message) {
    const room = this.rooms.get(message?.room ?? LOBBY);
    if (!room || !Number.isSafeInteger(message?.seq)) return;
    const mine = this.#mine(message);
    if (room.timeline.add([message]).length === 0) return;
    room.typing.delete(message.username);
    if (room.direct) this.#introduce(room, [message]);
    this.pages.mend(room);
    if (!mine) {
      if (message.seq > room.read) room.unread++;
      this.heard(room, message);
    }
    if (room === this.active) this.attend(this.attentive);
    this.changed();
  }

  /**
   * A message of this browser's, seen in the room, is stored, even if its answer got lost.
   * @param {Message} message
   */
  #mine({ id, seq, user }) {
    if (!id || !this.own.is(id, seq)) return user !== undefined && user === this.me;
    this.own.add(id, seq);
    if (this.outbox.has(id)) this.outbox.drop(id);
    return true;
  }

  /**
   * Whether this person wrote it, here or on another device.
   * @param {Message} message
   */
  isMine({ id, seq, user }) {
    return this.own.is(id ?? "", seq) || (user !== undefined && user === this.me);
  }

  /**
   * Learns what the other one in a direct room is called.
   * @param {Room} room
   * @param {Person[]} people the last counts
   */
  #introduce(room, people) {
    const other = people.findLast(({ user }) => user !== undefined && user !== this.me);
    if (!other || other.username === room.partner) return;
    room.partner = other.username;
    this.rooms.remember();
  }
}
