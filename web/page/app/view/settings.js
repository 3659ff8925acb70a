// What the person switches on for this browser.

import { words } from "../words/words.js";
import { byID, say } from "./dom.js";

export class Settings {
  /** @param {import("../notify.js").Notify} notify */
  constructor(notify) {
    this.notify = notify;
    this.button = byID("notify", HTMLButtonElement);
    this.button.addEventListener("click", () => void this.notify.toggle());
  }

  draw() {
    const w = words();
    const { possible, on, denied } = this.notify;
    this.button.hidden = !possible;
    this.button.disabled = denied;
    this.button.setAttribute("aria-pressed", String(on));
    say(this.button, denied ? w.notifyDenied : on ? w.notifyOn : w.notifyOff);
  }
}
