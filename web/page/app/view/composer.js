// Where the person writes.

import { words } from "../words/words.js";
import { byID, say } from "./dom.js";

/** How often "typing" is said again; the server forgets it after 5 s. */
const SAY_AGAIN = 3000;

/** How long a pause ends it. */
const PAUSE = 2500;

/** Taller than this, the box scrolls. */
const TALLEST = 180;

export class Composer {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {() => void} sent
   */
  constructor(chat, sent) {
    this.chat = chat;
    this.form = byID("composer", HTMLFormElement);
    this.text = byID("text", HTMLTextAreaElement);
    this.problem = byID("composer-problem", HTMLElement);
    this.button = byID("send", HTMLButtonElement);
    this.room = chat.active;
    this.saidAt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.silence = undefined;

    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.text.value;
      if (text.trim() === "") return;
      if (!chat.say(text)) {
        say(this.problem, words().outboxFull);
        return;
      }
      this.text.value = "";
      this.#fit();
      this.#quiet();
      say(this.problem, "");
      this.text.focus();
      sent();
    });
    this.text.addEventListener("keydown", (event) => {
      // While a syllable is being composed, Enter ends the syllable, not the
      // message; Safari says so only by the key code.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    // The box takes as much as fits, and says nothing.
    this.text.addEventListener("paste", (event) => {
      const { value, selectionStart, selectionEnd, maxLength } = this.text;
      const pasted = event.clipboardData?.getData("text/plain").replaceAll("\r\n", "\n") ?? "";
      const tooMuch = value.length - (selectionEnd - selectionStart) + pasted.length > maxLength;
      say(this.problem, tooMuch && maxLength >= 0 ? words().cutOff : "");
    });
    this.text.addEventListener("input", (event) => {
      chat.active.draft = this.text.value;
      if (!(event instanceof InputEvent && event.inputType === "insertFromPaste")) say(this.problem, "");
      this.#fit();
      if (this.text.value === "") this.#quiet();
      else this.#types();
    });
    this.text.addEventListener("blur", () => this.#quiet());
  }

  draw() {
    const { active } = this.chat;
    this.text.placeholder = words().writeTo({ room: active.title });
    this.text.disabled = this.button.disabled = !active.rights.includes("write") || active.refused !== "";
    if (active === this.room) return;
    this.#quiet();
    this.room = active;
    say(this.problem, "");
    this.text.value = active.draft;
    this.#fit();
  }

  #types() {
    const now = Date.now();
    if (now - this.saidAt > SAY_AGAIN) {
      this.chat.typing(true);
      this.saidAt = now;
    }
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.#quiet(), PAUSE);
  }

  #quiet() {
    clearTimeout(this.silence);
    if (this.saidAt === 0) return;
    this.saidAt = 0;
    this.chat.typing(false, this.room);
  }

  #fit() {
    this.text.style.height = "";
    // Not on the screen, it has no height to go by.
    if (this.text.value !== "" && this.text.scrollHeight > 0) this.text.style.height = `${Math.min(this.text.scrollHeight + 2, TALLEST)}px`;
  }
}
