// The one connection to the server, and its state in terms that a person can
// be told. The official client's own reconnection is off, because it does not
// say when it tries next; its recovery works all the same.

import { io } from "../socket.io/socket.io.esm.min.js";

/**
 * Refused is for good, until the person signs in anew.
 * @typedef {"connecting" | "connected" | "waiting" | "offline" | "refused"} State
 */

/**
 * @typedef {object} Listener
 * @property {(recovered: boolean) => void} connected
 * @property {() => void} disconnected
 * @property {(code: string) => void} refused a token is needed, or another one
 * @property {() => void} changed state, retryAt or refusal changed
 */

const ANSWER_WITHIN = 10_000;
const LONGEST_PAUSE = 30_000;
/** However long a ban lasts, it may be lifted: ask now and then. */
const LONGEST_BAN = 10 * 60_000;

export class Connection {
  /**
   * @param {() => object} auth what to show, asked at each attempt
   * @param {Listener} listener
   */
  constructor(auth, listener) {
    /** @type {State} */
    this.state = "connecting";
    /** When the next attempt comes, milliseconds since 1970; 0: none is set. */
    this.retryAt = 0;
    /** What the server said when it refused the connection; "": it did not. */
    this.refusal = "";
    this.listener = listener;
    this.failures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;

    const path = new URL("socket.io/", document.baseURI).pathname;
    this.socket = io(location.origin, { path, auth: (/** @type {(shown: object) => void} */ show) => show(auth()), autoConnect: false, reconnection: false });
    this.socket.on("connect", () => this.#up());
    this.socket.on("disconnect", () => this.#down("", "", 0));
    this.socket.on("connect_error", (error) => this.#refused(error));
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.listener.changed());
    // A phone that wakes up, or a page that comes back from the browser's
    // cache, should not wait for a timer that slept too.
    addEventListener("pageshow", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  /** @param {any} error */
  #refused(error) {
    const { code = "", retryAfter = 0 } = /** @type {Partial<Refusal>} */ (error?.data ?? {});
    this.#down(error?.data ? String(code || error.message) : "", String(code), Number(retryAfter) || 0);
  }

  #wake() {
    if (this.state !== "refused") this.now();
  }

  /** Connects, at once if it is waiting for its next attempt. */
  now() {
    if (this.state === "connected" || (this.state === "connecting" && this.started)) return;
    this.started = true;
    clearTimeout(this.timer);
    this.retryAt = 0;
    this.state = "connecting";
    this.listener.changed();
    this.socket.connect();
  }

  /**
   * @param {string} event
   * @param {(...args: any[]) => void} handle
   */
  on(event, handle) {
    this.socket.on(event, handle);
  }

  /**
   * Asks and waits for the answer. Never buffered: without a connection it fails at once.
   * @param {string} event
   * @param {unknown} payload
   * @returns {Promise<any>} rejects with a Refusal
   */
  async request(event, payload) {
    if (!this.socket.connected) throw refusal("offline");
    /** @type {any} */
    let answer;
    try {
      answer = await this.socket.timeout(ANSWER_WITHIN).emitWithAck(event, payload);
    } catch {
      throw refusal("no_answer");
    }
    if (answer?.error) throw answer.error;
    return answer ?? {};
  }

  /**
   * Says something that may get lost.
   * @param {string} event
   * @param {unknown} payload
   */
  signal(event, payload) {
    if (this.socket.connected) this.socket.volatile.emit(event, payload);
  }

  #up() {
    this.failures = 0;
    this.refusal = "";
    this.state = "connected";
    this.listener.connected(this.socket.recovered);
    this.listener.changed();
  }

  /**
   * @param {string} refusal
   * @param {string} code
   * @param {number} least not before that many milliseconds
   */
  #down(refusal, code, least) {
    const was = this.state;
    this.refusal = refusal;
    clearTimeout(this.timer);
    if (code.startsWith("token_")) {
      this.state = "refused";
      this.listener.refused(code);
      this.listener.changed();
      return;
    }
    // The first attempt comes soon but not at the same instant for all: the
    // others lost the same server.
    const pause = Math.min(LONGEST_PAUSE, 1000 * 2 ** this.failures++) * (0.75 + Math.random() / 2) + Math.min(least, LONGEST_BAN);
    this.retryAt = Date.now() + pause;
    this.state = navigator.onLine ? "waiting" : "offline";
    this.timer = setTimeout(() => this.#wake(), pause);
    if (was === "connected") this.listener.disconnected();
    this.listener.changed();
  }
}

/**
 * @param {string} code
 * @returns {Refusal}
 */
function refusal(code) {
  return { code, message: code, retryable: true };
}
