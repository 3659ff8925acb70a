// Sends what waits in the outbox: one at a time, so that the order stays, and
// under the same id until the server has answered.

const PAUSES = [1000, 2000, 4000, 8000, 15000];

export class Sender {
  /**
   * @param {object} needs
   * @param {import("./outbox.js").Outbox} needs.outbox
   * @param {(entry: Waiting) => Promise<Stored>} needs.send rejects with a Refusal
   * @param {(entry: Waiting, stored: Stored) => void} needs.stored
   * @param {() => void} needs.changed
   * @param {(ms: number) => Promise<void>} [needs.pause]
   */
  constructor({ outbox, send, stored, changed, pause = (ms) => new Promise((done) => setTimeout(done, ms)) }) {
    this.outbox = outbox;
    this.send = send;
    this.stored = stored;
    this.changed = changed;
    this.pause = pause;
    this.running = false;
    this.busy = false;
  }

  /** The connection is there and the rooms have caught up. */
  start() {
    this.running = true;
    void this.poke();
  }

  stop() {
    this.running = false;
  }

  /** Something may be there to send. Resolves when nothing is left or the connection is gone. */
  async poke() {
    if (this.busy) return;
    this.busy = true;
    let [refused, did] = [0, false];
    try {
      for (let entry; this.running && (entry = this.outbox.next()); ) {
        did = true;
        this.outbox.tried(entry.id);
        try {
          const stored = await this.send(entry);
          refused = 0;
          this.outbox.drop(entry.id);
          this.stored(entry, stored);
        } catch (error) {
          const { code = "internal", retryable = true, retryAfter = 0 } = /** @type {Partial<Refusal>} */ (error);
          if (!retryable) {
            this.outbox.fail(entry.id, code);
            this.changed();
          } else if (this.running) {
            await this.pause(Math.max(retryAfter, PAUSES[Math.min(refused++, PAUSES.length - 1)]));
          }
        }
      }
    } finally {
      this.busy = false;
      if (did) this.changed();
    }
  }
}
