// The first screen: a name, or what the platform has signed.

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
    this.token = byID("token", HTMLTextAreaElement);
    this.tokenProblem = byID("token-problem", HTMLElement);
    this.nameForm = byID("name-form", HTMLFormElement);
    this.tokenForm = byID("token-form", HTMLFormElement);
    this.tokenForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.token.value.trim();
      if (token === "") return;
      this.token.value = "";
      void chat.signIn(token);
      entered();
    });
    /** @type {string | null} what it asks for now; null: nothing was drawn yet */
    this.asked = null;
  }

  draw() {
    const { tokenWanted, nameWanted } = this.chat;
    const asks = tokenWanted ? "token" : nameWanted ? "name" : "";
    const ask = asks !== "";
    const w = words();
    say(this.tokenProblem, tokenWanted && tokenWanted !== "token_missing" ? w.refusedToken({ reason: reason(tokenWanted) }) : "");
    say(this.problem, this.chat.nameRefused ? w.refusedName({ reason: reason(this.chat.nameRefused) }) : "");
    const me = byID("me", HTMLElement);
    say(me, this.chat.identity.name === "" ? "" : w.youAre({ name: this.chat.identity.name }));
    me.title = this.chat.identity.name;
    if (this.asked === asks) return;
    this.asked = asks;
    this.section.hidden = !ask;
    this.page.hidden = ask;
    this.nameForm.hidden = asks !== "name";
    this.tokenForm.hidden = asks !== "token";
    if (asks === "name") this.name.focus();
    if (asks === "token") this.token.focus();
  }
}
