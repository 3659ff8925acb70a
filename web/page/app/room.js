// One room as this browser knows it.

import { Timeline } from "./timeline.js";

/** The server ends a silent "typing" after 5 s; this is for when even that is lost. */
const TYPING_FOR = 6000;

/** How many names are kept; a large room shows the number alone. */
const MAX_NAMES = 500;

export class Room {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.timeline = new Timeline();
    this.epoch = "";
    this.numUsers = 0;
    /** @type {Person[]} */
    this.users = [];
    /** In a direct room, what the other one is called, as far as is known. */
    this.partner = "";
    /** @type {Map<string, number>} who writes, until when */
    this.typing = new Map();
    this.unread = 0;
    /** The highest seq that the person has seen; -1: nothing is known yet. */
    this.read = -1;
    /** The server counts this connection among the room's. */
    this.joined = false;
    /** A page of history is on its way. */
    this.loading = false;
    /** Why the room could not be entered; "": no reason. */
    this.refused = "";
    /** What a moderator last did to the person here. */
    this.notice = { event: "", until: 0 };
    /** @type {Right[]} what the person may do here */
    this.rights = ["read", "write"];
    /** What was begun and not sent. */
    this.draft = "";
    /** Where the person reads: at the end, or at a line some pixels from the top. */
    this.place = { end: true, key: "", offset: 0 };
  }

  /** It was refused, and this browser has nothing of it. */
  get shut() {
    return this.refused !== "" && this.timeline.head === 0;
  }

  /**
   * @param {number} numUsers
   * @param {Person[]} [users]
   */
  people(numUsers, users) {
    this.numUsers = Number.isFinite(numUsers) ? numUsers : this.numUsers;
    if (users) this.users = users.slice(0, MAX_NAMES);
    this.users.sort((a, b) => a.username.localeCompare(b.username));
  }

  /** @param {Person & {numUsers: number}} somebody */
  arrived({ username, user, numUsers }) {
    const users = this.users.length < MAX_NAMES ? [...this.users, { username, user }] : this.users;
    this.people(numUsers, users);
    return this;
  }

  /** @param {Person & {numUsers: number}} somebody */
  left({ username, user, numUsers }) {
    const i = this.users.findIndex((one) => (user ? one.user === user : one.username === username));
    if (i >= 0) this.users.splice(i, 1);
    this.people(numUsers);
    this.typing.delete(username);
    return this;
  }

  /**
   * @param {string} username
   * @param {number} [now]
   */
  types(username, now = Date.now()) {
    if (this.typing.size < 20) this.typing.set(username, now + TYPING_FOR);
  }

  /**
   * @param {number} [now]
   * @returns {string[]} who is writing
   */
  writers(now = Date.now()) {
    for (const [username, until] of this.typing) if (until <= now) this.typing.delete(username);
    return [...this.typing.keys()];
  }

  /** Between two people. */
  get direct() {
    return this.name.startsWith("@");
  }

  /** What it is called before the person. */
  get title() {
    return this.direct ? this.partner || "…" : this.name;
  }

  /**
   * The person has read up to there, here or on another device.
   * @param {number} seq
   */
  readTo(seq) {
    if (seq <= this.read) return;
    this.read = seq;
    this.unread = Math.max(0, this.timeline.head - seq);
  }

  /** The person has seen what is there. @returns {boolean} whether that is news */
  seen() {
    const news = this.unread > 0 || this.read < this.timeline.head;
    this.unread = 0;
    this.read = Math.max(this.timeline.head, 0);
    return news;
  }
}
