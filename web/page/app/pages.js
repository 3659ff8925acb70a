// Fetches a room's history page by page, as the person scrolls.

/** @typedef {import("./room.js").Room} Room */

const PAGE = 50;
/** Who scrolls wants more at once. */
const SCROLLED = 100;
const HOLE_PATIENCE = 2000;

export class Pages {
  /**
   * @param {object} needs
   * @param {() => boolean} needs.online nothing is asked without a connection
   * @param {(what: object) => Promise<History>} needs.ask rejects with a Refusal
   * @param {(message: Message) => void} needs.seen a message was read from the log
   * @param {() => void} needs.changed
   */
  constructor({ online, ask, seen, changed }) {
    this.online = online;
    this.ask = ask;
    this.seen = seen;
    this.changed = changed;
  }

  /** The page before what is loaded. @param {Room} room */
  async older(room) {
    if (!room.timeline.hasOlder) return;
    await this.#page(room, { before: room.timeline.from, limit: SCROLLED }, (h) => room.timeline.older(h));
  }

  /** The page after what is loaded. @param {Room} room */
  async newer(room) {
    if (!room.timeline.hasNewer) return;
    await this.#page(room, { after: room.timeline.to, limit: SCROLLED }, (h) => room.timeline.newer(h));
  }

  /** The newest page in place of what is loaded. @param {Room} room */
  async newest(room) {
    if (!room.timeline.hasNewer) return;
    await this.#page(room, { limit: PAGE }, (h) => room.timeline.reset(h));
  }

  /** Looks again in a while whether a hole has closed, and asks for what is missing. @param {Room} room */
  mend(room) {
    if (room.timeline.hole()) setTimeout(() => void this.#fill(room), HOLE_PATIENCE);
  }

  /** @param {Room} room */
  async #fill(room) {
    const hole = room.timeline.hole();
    if (!hole) return;
    await this.#page(room, { after: hole.after, limit: PAGE }, (h) => room.timeline.fill(hole, h.messages));
  }

  /**
   * @param {Room} room
   * @param {object} what
   * @param {(history: History) => void} take
   */
  async #page(room, what, take) {
    if (room.loading || !this.online()) return;
    room.loading = true;
    this.changed();
    try {
      const history = await this.ask({ room: room.name, ...what });
      for (const message of history.messages) this.seen(message);
      take(history);
      room.timeline.remove(history.removed ?? []);
    } catch {
      // Scrolling asks again.
    }
    room.loading = false;
    this.changed();
  }
}
