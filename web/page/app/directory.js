// The rooms that there are, as far as the server has been asked.

const PAGE = 50;
const MOST = 1000;

export class Directory {
  /**
   * @param {object} needs
   * @param {(what: object) => Promise<{rooms: RoomSummary[], more: boolean}>} needs.ask rejects with a Refusal
   * @param {() => void} needs.changed
   */
  constructor({ ask, changed }) {
    this.ask = ask;
    this.changed = changed;
    /** @type {RoomSummary[]} */
    this.rooms = [];
    /** There are further ones. */
    this.more = false;
  }

  /** Asks anew. */
  async load() {
    await this.#page();
  }

  /** Asks for those after the last one that is known. */
  async next() {
    await this.#page(this.rooms.at(-1)?.room);
  }

  /** @param {string} [after] */
  async #page(after) {
    try {
      const { rooms, more } = await this.ask(after ? { after, limit: PAGE } : { limit: PAGE });
      this.rooms = after ? [...this.rooms, ...rooms] : rooms;
      this.more = more === true && this.rooms.length < MOST;
      this.changed();
    } catch {
      // What was known is shown on.
    }
  }
}
