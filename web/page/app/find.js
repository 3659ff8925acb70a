// Looks for text in what is loaded of a room.

export class Find {
  constructor() {
    /** What is looked for; "": nothing. */
    this.text = "";
    /** The seq of the message that the person was brought to; 0: none. */
    this.current = 0;
    /** @type {RegExp | null} */
    this.pattern = null;
  }

  /** @param {string} text */
  look(text) {
    this.text = text.trim().normalize("NFC");
    this.pattern = this.text ? new RegExp(this.text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+"), "giu") : null;
    this.current = 0;
  }

  /**
   * @param {import("./room.js").Room} room
   * @returns {number[]} the seqs of the messages that have it, ascending
   */
  found(room) {
    const { pattern } = this;
    if (!pattern) return [];
    return room.timeline.messages.filter(({ message }) => message.search(pattern) >= 0).map(({ seq }) => seq);
  }

  /**
   * The next one: older first, since the newest are on the screen, and around the end.
   * @param {import("./room.js").Room} room
   * @param {"older" | "newer"} where
   * @returns {{at: number, count: number}} at: which one it is, from the newest, counted from 1; 0: there is none
   */
  step(room, where) {
    const seqs = this.found(room).reverse();
    if (seqs.length === 0) {
      this.current = 0;
      return { at: 0, count: 0 };
    }
    const was = seqs.indexOf(this.current);
    const at = was < 0 ? 0 : (was + (where === "older" ? 1 : seqs.length - 1)) % seqs.length;
    this.current = seqs[at];
    return { at: at + 1, count: seqs.length };
  }

  /**
   * A text in pieces, every second of which is what is looked for.
   * @param {string} text
   * @returns {string[]}
   */
  split(text) {
    const { pattern } = this;
    if (!pattern) return [text];
    const pieces = [];
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      pieces.push(text.slice(end, match.index), match[0]);
      end = match.index + match[0].length;
    }
    return [...pieces, text.slice(end)];
  }
}
