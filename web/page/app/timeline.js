// A room's messages as far as they are loaded: one window onto its log, in
// order of seq, without repeats, of bounded size. The window slides: scrolling
// back pushes the newest ones out, and then the live ones wait on the server
// until the person comes forward again.

export class Timeline {
  /** @param {number} [limit] how many messages are held */
  constructor(limit = 500) {
    this.limit = limit;
    /** @type {Message[]} ascending by seq */
    this.messages = [];
    /** @type {Gap[]} lost for good, ascending */
    this.gaps = [];
    /** Older ones are on the server. */
    this.hasOlder = false;
    /** Newer ones are on the server, outside the window. */
    this.hasNewer = false;
    /** Where the window begins and ends in the log, moderators' entries included; `to` counts while there are newer ones. */
    this.from = 0;
    this.to = 0;
    /** The highest seq that was ever heard of in this room. */
    this.head = 0;
    /** @type {Map<number, number>} holes in which there are no messages: the seqs before and after them */
    this.settled = new Map();
    /** @type {Set<number>} live entries that are no messages, by their seq */
    this.notes = new Set();
  }

  get first() {
    return this.messages[0]?.seq ?? 0;
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /**
   * Messages as they happen.
   * @param {Message[]} messages
   * @returns {Message[]} those that are news
   */
  add(messages) {
    // Late ones (the answer to one's own message) lie inside the window, or before it when it begins with the log.
    const late = (/** @type {number} */ seq) => seq < this.last && (seq > this.first || !this.hasOlder) && !this.#has(seq);
    const news = messages.filter((m) => m.seq > this.head || late(m.seq));
    for (const m of news) this.head = Math.max(this.head, m.seq);
    if (!this.hasNewer) this.#insert(news);
    if (this.messages.length > this.limit * 1.2) this.#dropOldest();
    return news;
  }

  /**
   * An entry of the log that is no message: its number is no hole.
   * @param {number} seq
   */
  note(seq) {
    this.notes.add(seq);
    if (this.notes.size > this.limit) this.notes = new Set([...this.notes].slice(-this.limit / 2));
    this.head = Math.max(this.head, seq);
  }

  /**
   * These messages have lost their text.
   * @param {number[]} seqs
   */
  remove(seqs) {
    for (const seq of seqs) {
      const message = this.messages[this.#place(seq)];
      if (message?.seq === seq) Object.assign(message, { message: "", removed: true });
    }
  }

  /**
   * The page before the window.
   * @param {Part} page
   */
  older({ messages, first = messages[0]?.seq ?? 0, more }) {
    this.#page(messages);
    this.from = first;
    this.hasOlder = more && first > 0;
    if (this.messages.length > this.limit) {
      this.messages.length = this.limit;
      this.to = this.last;
      this.hasNewer = true;
    }
  }

  /**
   * The page after the window.
   * @param {Part} page
   */
  newer({ messages, last = messages.at(-1)?.seq ?? 0, more }) {
    this.#page(messages);
    this.to = last;
    this.head = Math.max(this.head, last);
    this.hasNewer = more && last > 0;
    if (this.messages.length > this.limit) this.#dropOldest();
  }

  /**
   * The newest page, in place of everything.
   * @param {Part} page more: older ones remain
   */
  reset({ messages, first = messages[0]?.seq ?? 0, more }) {
    this.messages = [];
    this.settled.clear();
    this.#page(messages);
    this.head = Math.max(this.head, this.last);
    this.from = first;
    this.hasOlder = more && first > 0;
    this.hasNewer = false;
  }

  /**
   * What `join room` answered.
   * @param {Joined} answer
   * @param {number} since what was asked for: the highest seq that was known, 0: the newest page
   */
  join(answer, since) {
    if (answer.seq < this.head) {
      // The log began anew, so the numbers here mean nothing any more.
      this.head = 0;
      this.gaps = [];
      this.reset({ messages: [], more: false });
      since = 0;
    }
    if (answer.gap) this.gap(answer.gap);
    const first = answer.first ?? answer.messages[0]?.seq ?? 0;
    const touches = !answer.more || first <= since + 1;
    if (since === 0 || this.messages.length === 0 || !touches) {
      // Without an entry in it, the older ones begin at what was known.
      this.reset({ ...answer, first: first || since + 1, more: answer.more || since > 0 });
    } else if (!this.hasNewer) {
      this.#page(answer.messages);
      if (this.messages.length > this.limit) this.#dropOldest();
    }
    this.head = Math.max(answer.seq, this.last);
  }

  /**
   * The server lost these; the same numbers may be given out again.
   * @param {Gap} gap
   */
  gap({ from, to }) {
    if (!(from <= to)) return;
    this.messages = this.messages.filter((m) => m.seq < from || m.seq > to);
    this.gaps = [...this.gaps.filter((g) => g.from !== from), { from, to }].sort((a, b) => a.from - b.from).slice(-20);
    if (this.head >= from && this.head <= to) this.head = from - 1;
  }

  /**
   * The first place inside the window where numbers are missing that are not
   * known to be lost. For a moment that is normal: the answer to one's own
   * message and other people's messages come in any order.
   * @returns {{after: number, before: number} | null}
   */
  hole() {
    for (let i = 1; i < this.messages.length; i++) {
      const [after, before] = [this.messages[i - 1].seq, this.messages[i].seq];
      if (before === after + 1 || this.#known(after, before)) continue;
      if (this.gaps.some((g) => g.from <= after + 1 && g.to >= before - 1)) continue;
      return { after, before };
    }
    return null;
  }

  /**
   * Whether what is between two messages is known not to be messages.
   * @param {number} after
   * @param {number} before
   */
  #known(after, before) {
    if ((this.settled.get(after) ?? 0) >= before) return true;
    if (before - after > this.notes.size + 1) return false;
    for (let seq = after + 1; seq < before; seq++) if (!this.notes.has(seq)) return false;
    return true;
  }

  /**
   * What the server had for a hole.
   * @param {{after: number, before: number}} hole
   * @param {Message[]} messages
   */
  fill(hole, messages) {
    this.#insert(messages.filter((m) => m.seq > hole.after && m.seq < hole.before));
    this.settled.set(hole.after, hole.before);
  }

  /** Only the newest stay; called when the person reads at the end. */
  trim() {
    if (this.messages.length > this.limit && !this.hasNewer) this.#dropOldest();
  }

  /**
   * The messages and, in their places, what was lost.
   * @returns {Generator<{message: Message} | {gap: Gap}>}
   */
  *entries() {
    const gaps = this.gaps.filter((g) => g.to >= this.first || this.messages.length === 0);
    for (const message of this.messages) {
      while (gaps.length > 0 && gaps[0].from <= message.seq) yield { gap: /** @type {Gap} */ (gaps.shift()) };
      yield { message };
    }
    if (!this.hasNewer) for (const gap of gaps) yield { gap };
  }

  #dropOldest() {
    this.messages.splice(0, this.messages.length - this.limit);
    this.from = this.first;
    this.hasOlder = true;
  }

  /** @param {number} seq */
  #has(seq) {
    const i = this.#place(seq);
    return this.messages[i]?.seq === seq;
  }

  /**
   * @param {number} seq
   * @returns {number} the index of the first message that is not before seq
   */
  #place(seq) {
    let [low, high] = [0, this.messages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.messages[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * A page of the log: where numbers are missing in it, there are other entries.
   * @param {Message[]} messages
   */
  #page(messages) {
    for (let i = 1; i < messages.length; i++) if (messages[i].seq > messages[i - 1].seq + 1) this.settled.set(messages[i - 1].seq, messages[i].seq);
    this.#insert(messages);
  }

  /** @param {Message[]} messages */
  #insert(messages) {
    for (const message of messages) {
      const i = this.#place(message.seq);
      if (this.messages[i]?.seq !== message.seq) this.messages.splice(i, 0, message);
    }
  }
}
