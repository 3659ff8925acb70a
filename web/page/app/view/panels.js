// On a narrow screen the rooms and the people lie over the messages and come
// out one at a time. On a wide one they are simply there, and CSS sees to it.

import { byID } from "./dom.js";

export class Panels {
  /** @param {(panel: string) => void} opened */
  constructor(opened) {
    this.opened = opened;
    this.main = byID("main", HTMLElement);
    /** @type {[HTMLElement, HTMLElement][]} panel and its button */
    this.pairs = [
      [byID("rooms", HTMLElement), byID("show-rooms", HTMLElement)],
      [byID("people", HTMLElement), byID("show-people", HTMLElement)],
    ];
    for (const [panel, opener] of this.pairs) {
      opener.addEventListener("click", () => (panel.classList.contains("open") ? this.close() : this.#open(panel, opener)));
      panel.querySelector("[data-close]")?.addEventListener("click", () => this.close());
    }
    byID("shade", HTMLElement).addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && this.close());
  }

  close() {
    this.main.inert = false;
    for (const [panel, opener] of this.pairs) {
      if (!panel.classList.contains("open")) continue;
      panel.classList.remove("open");
      opener.setAttribute("aria-expanded", "false");
      if (panel.contains(document.activeElement)) opener.focus();
    }
    document.body.classList.remove("panel-open");
  }

  /**
   * @param {HTMLElement} panel
   * @param {HTMLElement} opener
   */
  #open(panel, opener) {
    this.close();
    panel.classList.add("open");
    opener.setAttribute("aria-expanded", "true");
    document.body.classList.add("panel-open");
    this.main.inert = true;
    const close = panel.querySelector("[data-close]");
    if (close instanceof HTMLElement) close.focus();
    this.opened(panel.id);
  }
}
