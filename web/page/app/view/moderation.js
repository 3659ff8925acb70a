// What a moderator does to a person or a message: a dialog that asks before.

import { momentOf, reason, words } from "../words/words.js";
import { button, byID, el, say } from "./dom.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export class Moderation {
  /** @param {import("../chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.dialog = byID("moderation", HTMLDialogElement);
    this.title = byID("moderation-title", HTMLElement);
    this.choices = byID("moderation-choices", HTMLElement);
    this.problem = byID("moderation-problem", HTMLElement);
    this.notice = byID("notice", HTMLElement);
    byID("moderation-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
  }

  draw() {
    const w = words();
    const { refused, notice, rights } = this.chat.active;
    const until = notice.until > Date.now() ? momentOf(notice.until) : "";
    const muted = notice.event === "user muted" && until !== "";
    const text = refused ? w.refusedRoom({ reason: reason(refused) }) : muted ? w.mutedUntil({ until }) : rights.includes("write") ? "" : w.readOnly;
    say(this.notice, text);
    this.notice.hidden = text === "";
  }

  /** @param {Person} person */
  about({ user, username }) {
    if (!user) return;
    const w = words();
    const act = (/** @type {Parameters<import("../chat.js").Chat["moderate"]>[0]} */ what, /** @type {number} */ seconds = 0) => this.chat.moderate(what, user, seconds || undefined);
    this.#ask(username, [
      [w.muteFor({ time: w.tenMinutes }), () => act("mute", 10 * MINUTE)],
      [w.muteFor({ time: w.oneDay }), () => act("mute", DAY)],
      [w.unmute, () => act("unmute")],
      [w.kick, () => act("kick")],
      [w.banFor({ time: w.oneDay }), () => act("ban", DAY)],
      [w.banFor({ time: w.thirtyDays }), () => act("ban", 30 * DAY)],
    ]);
  }

  /** @param {Message} message */
  removal(message) {
    const w = words();
    this.#ask(w.removeAsk, [[w.remove, () => this.chat.remove(message.seq)]], message.message);
  }

  /**
   * @param {string} title
   * @param {[string, () => Promise<void>][]} choices
   * @param {string} [quote]
   */
  #ask(title, choices, quote = "") {
    say(this.title, title);
    say(this.problem, "");
    this.choices.replaceChildren(
      ...(quote ? [el("blockquote", "", quote)] : []),
      ...choices.map(([text, act]) => button("small", text, () => void this.#do(act))),
    );
    this.dialog.showModal();
  }

  /** @param {() => Promise<void>} act */
  async #do(act) {
    try {
      await act();
      this.dialog.close();
    } catch (error) {
      say(this.problem, reason(/** @type {Refusal} */ (error).code));
    }
  }
}
