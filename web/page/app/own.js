// Which messages this browser wrote. An id becomes public once its message is
// stored, so from then on it counts only together with its seq.

const LIMIT = 500;

export class Own {
  /** @param {import("./keep.js").Keep} keep */
  constructor(keep) {
    this.keep = keep;
    /** @type {Map<string, number>} id → seq, 0 while it is unknown */
    this.seqs = new Map();
    this.reload();
  }

  /**
   * @param {string} id
   * @param {number} seq 0: not known yet
   */
  add(id, seq) {
    if (this.seqs.get(id) === seq) return;
    // Another tab may have written since.
    this.reload();
    this.seqs.set(id, seq);
    const newest = [...this.seqs].slice(-LIMIT);
    this.seqs = new Map(newest);
    this.keep.write("own", newest);
  }

  /**
   * @param {string} id
   * @param {number} seq
   */
  is(id, seq) {
    const known = this.seqs.get(id);
    return known === 0 || known === seq;
  }

  /** Another tab wrote. */
  reload() {
    const stored = this.keep.read("own");
    if (!Array.isArray(stored)) return;
    for (const pair of stored.slice(-LIMIT)) {
      if (!Array.isArray(pair)) continue;
      const [id, seq] = pair;
      if (typeof id === "string" && Number.isSafeInteger(seq) && (seq > 0 || !this.seqs.has(id))) this.seqs.set(id, seq);
    }
  }
}
