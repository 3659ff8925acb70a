// The rooms that this person is in, by name and in order of entry; the browser
// remembers which they are.

import { Room } from "./room.js";

export const LOBBY = "lobby";

/** So many are remembered. */
export const MAX_ROOMS = 50;

/** @extends {Map<string, Room>} */
export class Rooms extends Map {
  /** @param {import("./keep.js").Keep} keep */
  constructor(keep) {
    super();
    this.keep = keep;
    const known = keep.read("rooms");
    /** This browser has never been in a room before. */
    this.fresh = known === null;
    this.enter(LOBBY);
    if (!Array.isArray(known)) return;
    for (const { name, read, partner } of known.slice(0, MAX_ROOMS)) {
      if (typeof name !== "string") continue;
      const room = this.enter(name);
      room.read = Number.isSafeInteger(read) ? read : -1;
      room.partner = typeof partner === "string" ? partner : "";
    }
  }

  /**
   * The room of that name, new if need be.
   * @param {string} name
   */
  enter(name) {
    let room = this.get(name);
    if (!room) {
      room = new Room(name);
      this.set(name, room);
    }
    return room;
  }

  remember() {
    const known = [...this.values()].filter((room) => !room.shut).map(({ name, read, partner }) => ({ name, read, partner }));
    this.keep.write("rooms", known.slice(0, MAX_ROOMS));
  }

  /** @returns {number} unread messages in all rooms */
  get unread() {
    let sum = 0;
    for (const room of this.values()) sum += room.unread;
    return sum;
  }
}
