// The rooms that there are, as far as the server has been asked.

const PAGE = 50;
const MOST = 1000;
/** How many pages without a room are passed over at a time. */
const EMPTY = 10;

export class Directory {
  /**
   * @param {object} needs
   * @param {(what: object) => Promise<{rooms: RoomSummary[], next?: string}>} needs.ask rejects with a Refusal
   * @param {() => void} needs.changed
   */
  constructor({ ask, changed }) {
    this.ask = ask;
    this.changed = changed;
    /** @type {RoomSummary[]} */
    this.rooms = [];
    /** The cursor of the next page, "" when there is none. */
    this.cursor = "";
  }

  /** There are further ones. */
  get more() {
    return this.cursor !== "";
  }

  /** Asks anew. */
  async load() {
    await this.#page();
  }

  /** Asks for the next page. */
  async next() {
    await this.#page(this.cursor);
  }

  /** @param {string} [cursor] */
  async #page(cursor) {
    try {
      let { rooms, next } = await this.ask(cursor ? { cursor, limit: PAGE } : { limit: PAGE });
      // A page whose rooms are all closed to the person has none of them.
      for (let i = 0; i < EMPTY && rooms.length === 0 && next; i++) {
        ({ rooms, next } = await this.ask({ cursor: next, limit: PAGE }));
      }
      this.rooms = cursor ? [...this.rooms, ...rooms] : rooms;
      this.cursor = this.rooms.length < MOST ? (next ?? "") : "";
      this.changed();
    } catch {
      // What was known is shown on.
    }
  }
}
