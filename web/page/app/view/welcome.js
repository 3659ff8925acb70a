// The first screen: a name.

import { reason, words } from "../words/words.js";
import { byID, say } from "./dom.js";

export class Welcome {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {() => void} entered
   */
  constructor(chat, entered) {
    this.chat = chat;
    this.section = byID("welcome", HTMLElement);
    this.page = byID("chat", HTMLElement);
    this.name = byID("name", HTMLInputElement);
    this.problem = byID("name-problem", HTMLElement);
    byID("name-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.name.value.trim().normalize("NFC");
      if (name === "") return;
      chat.start(name);
      entered();
    });
  }

  draw() {
    const ask = this.chat.identity.name === "";
    const w = words();
    say(this.problem, this.chat.nameRefused ? w.refusedName({ reason: reason(this.chat.nameRefused) }) : "");
    say(byID("me", HTMLElement), ask ? "" : w.youAre({ name: this.chat.identity.name }));
    if (this.page.hidden === ask && this.section.hidden === !ask) return;
    this.section.hidden = !ask;
    this.page.hidden = ask;
    if (ask) this.name.focus();
  }
}
