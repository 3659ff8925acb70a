// Where the person has read: one pointer for each room, on the server, so that
// all devices of the person agree.

import { MAX_ROOMS } from "./rooms.js";

/** @typedef {import("./room.js").Room} Room */

const PAGE = 50;
/** The server is told what was read at most this often. */
const TELL_READ = 500;

export class Pointers {
  /**
   * @param {import("./rooms.js").Rooms} rooms
   * @param {(event: string, payload: object) => Promise<any>} request rejects with a Refusal
   */
  constructor(rooms, request) {
    this.rooms = rooms;
    this.request = request;
    /** @type {Set<Room>} whose pointer the server does not know yet */
    this.unsaid = new Set();
  }

  /**
   * Tells the server where the person has read: soon, and only the last of several.
   * @param {Room} room
   */
  tell(room) {
    const waits = this.unsaid.size > 0;
    this.unsaid.add(room);
    if (waits) return;
    setTimeout(() => {
      for (const one of this.unsaid) {
        if (one.read > 0) this.request("read", { room: one.name, seq: one.read }).catch(() => {}); // the next one says it
      }
      this.unsaid.clear();
    }, TELL_READ);
  }

  /** Asks where the person has read, on whichever device, and which direct rooms there are. */
  async load() {
    const rooms = this.rooms;
    try {
      for (let after = "", more = true; more; ) {
        const page = await this.request("rooms", { mine: true, after, limit: PAGE });
        for (const { room: name, read, unread, with: other } of /** @type {RoomSummary[]} */ (page.rooms)) {
          const known = rooms.get(name);
          if (!known && !(other && unread) && !rooms.fresh) continue;
          if (!known && rooms.size >= MAX_ROOMS) continue;
          const room = known ?? rooms.enter(name);
          if (read !== undefined) room.read = Math.max(room.read, read);
        }
        more = page.more === true && page.rooms.length > 0;
        after = page.rooms.at(-1)?.room ?? "";
      }
      rooms.fresh = false;
    } catch {
      // What this browser remembers stands.
    }
  }
}
