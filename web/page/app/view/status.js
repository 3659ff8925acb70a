// The state of the connection, in plain words.

import { reason, timeOf, words } from "../words/words.js";
import { byID, say } from "./dom.js";

export class Status {
  /** @param {import("../chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.connection = chat.connection;
    this.state = byID("state", HTMLElement);
    this.trouble = byID("trouble", HTMLElement);
    this.text = byID("trouble-text", HTMLElement);
    this.tryNow = byID("try-now", HTMLButtonElement);
    this.tryNow.addEventListener("click", () => this.connection.now());
    this.signIn = byID("sign-in-again", HTMLButtonElement);
    this.signIn.addEventListener("click", () => chat.signInAgain());
    this.wasConnected = false;
    this.announcement = byID("announcement", HTMLElement);
    byID("announcement-close", HTMLButtonElement).addEventListener("click", () => {
      chat.announcement = "";
      chat.changed();
    });
  }

  draw() {
    const w = words();
    const { state, retryAt, refusal } = this.connection;
    const down = state !== "connected";
    this.wasConnected ||= !down;
    this.state.dataset.state = state;
    // Only this is read out: the countdown beside it changes every second.
    say(this.state, { connected: w.connected, connecting: w.connecting, waiting: w.notConnected, refused: w.notConnected, offline: w.offlineShort }[state]);
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    const lost = refusal ? w.refusedConnection({ reason: reason(refusal) }) : w.reconnecting({ seconds });
    const ends = this.chat.tokenEnds > 0 && !down;
    say(this.text, ends ? w.tokenEnds({ time: timeOf(this.chat.tokenEnds) }) : state === "offline" ? w.offline : state === "waiting" ? lost : down ? w.connecting : "");
    this.trouble.dataset.state = state;
    this.trouble.hidden = !ends && (!down || (state === "connecting" && !this.wasConnected));
    this.tryNow.hidden = ends || state === "connecting" || state === "refused";
    this.signIn.hidden = !ends;
    say(byID("announcement-text", HTMLElement), this.chat.announcement);
    this.announcement.hidden = this.chat.announcement === "";
  }
}
