// The line above the messages in which one looks for a text.

import { words } from "../words/words.js";
import { byID, say } from "./dom.js";

export class Search {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {import("../find.js").Find} find
   * @param {import("./messages.js").Messages} messages
   */
  constructor(chat, find, messages) {
    this.chat = chat;
    this.find = find;
    this.messages = messages;
    this.room = chat.active;
    this.form = byID("search", HTMLFormElement);
    this.text = byID("search-text", HTMLInputElement);
    this.count = byID("search-count", HTMLElement);
    this.opener = byID("show-search", HTMLButtonElement);
    this.opener.addEventListener("click", () => (this.form.hidden ? this.open() : this.close()));
    byID("search-older", HTMLButtonElement).addEventListener("click", () => this.#step("older"));
    byID("search-newer", HTMLButtonElement).addEventListener("click", () => this.#step("newer"));
    byID("search-close", HTMLButtonElement).addEventListener("click", () => this.close());
    this.text.addEventListener("input", () => {
      this.find.look(this.text.value);
      this.#step("older");
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#step("older");
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      this.close();
    });
  }

  open() {
    this.form.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.text.focus();
  }

  close() {
    this.form.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    this.text.value = "";
    this.find.look("");
    say(this.count, "");
    this.chat.changed();
    this.opener.focus();
  }

  draw() {
    if (this.room === this.chat.active) return;
    this.room = this.chat.active;
    this.find.current = 0;
    say(this.count, "");
  }

  /** @param {"older" | "newer"} where */
  #step(where) {
    const { at, count } = this.find.step(this.chat.active, where);
    say(this.count, this.find.text === "" ? "" : at === 0 ? words().notFound : words().foundAt({ at, count }));
    if (at > 0) this.messages.show(this.find.current);
    this.chat.changed();
  }
}
