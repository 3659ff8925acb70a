// Messages that were written and not yet acknowledged. They survive a reload,
// and every tab of this browser sees the same ones. Each has a key of its own
// in the storage, so that tabs never overwrite each other's.

const LIMIT = 200;
const MAX_AGE = 7 * 24 * 60 * 60 * 1000;

/** The server knows an id again for ten minutes; a minute less is sure. */
const DEDUPE = 9 * 60 * 1000;

/** After this long another tab may send what its own tab did not. */
const ABANDONED = 5 * 1000;

const KEY = "out.";

export class Outbox {
  /**
   * @param {import("./keep.js").Keep} keep
   * @param {{tab: string, newID: () => string, now?: () => number}} options
   */
  constructor(keep, { tab, newID, now = Date.now }) {
    this.keep = keep;
    this.tab = tab;
    this.newID = newID;
    this.now = now;
    this.count = 0;
    for (const { id, at } of this.list()) if (this.now() - at > MAX_AGE) this.drop(id);
  }

  /**
   * @param {string} room
   * @param {string} text
   * @returns {Waiting | null} null: there is no room for more
   */
  add(room, text) {
    if (this.keep.keys(KEY).length >= LIMIT) return null;
    const id = this.newID();
    const entry = { id, room, text, at: this.now(), n: this.count++, tab: this.tab, first: 0, tried: 0, failed: "" };
    this.#write(entry);
    return entry;
  }

  /**
   * @param {string} [room]
   * @returns {Waiting[]} in the order in which they were written
   */
  list(room) {
    return this.keep
      .keys(KEY)
      .flatMap((key) => whole(this.keep.read(key)) ?? [])
      .filter((entry) => room === undefined || entry.room === room)
      .sort((a, b) => a.at - b.at || a.n - b.n);
  }

  /**
   * The next one to send. One whose first attempt is so long ago that the
   * server would take it for a new message is put before the person instead.
   * @returns {Waiting | null}
   */
  next() {
    const now = this.now();
    for (const entry of this.list()) {
      if (entry.failed) continue;
      if (entry.tab !== this.tab && now - Math.max(entry.at, entry.tried) < ABANDONED) continue;
      if (entry.first && now - entry.first > DEDUPE) {
        this.fail(entry.id, "unsure");
        continue;
      }
      return entry;
    }
    return null;
  }

  /** @param {string} id */
  tried(id) {
    const now = this.now();
    this.#edit(id, (entry) => ({ ...entry, first: entry.first || now, tried: now }));
  }

  /**
   * @param {string} id
   * @param {string} why
   */
  fail(id, why) {
    this.#edit(id, (entry) => ({ ...entry, failed: why }));
  }

  /**
   * The person asks for another attempt, under the same id.
   * @param {string} id
   */
  again(id) {
    this.#edit(id, (entry) => ({ ...entry, tab: this.tab, failed: "", first: 0, tried: 0 }));
  }

  /**
   * It is stored, or the person gave it up.
   * @param {string} id
   */
  drop(id) {
    this.keep.drop(KEY + id);
  }

  /** @param {string} id */
  has(id) {
    return whole(this.keep.read(KEY + id)) !== null;
  }

  /** @param {Waiting} entry */
  #write(entry) {
    this.keep.write(KEY + entry.id, entry);
  }

  /**
   * @param {string} id
   * @param {(entry: Waiting) => Waiting} change
   */
  #edit(id, change) {
    const entry = whole(this.keep.read(KEY + id));
    if (entry) this.#write(change(entry));
  }
}

/**
 * Storage is the person's own, but an older page or a curious hand may have
 * written there.
 * @param {any} entry
 * @returns {Waiting | null}
 */
function whole(entry) {
  if (entry === null || typeof entry !== "object") return null;
  for (const key of ["id", "room", "text", "tab", "failed"]) if (typeof entry[key] !== "string") return null;
  for (const key of ["at", "n", "first", "tried"]) if (!Number.isFinite(entry[key])) return null;
  return entry;
}
