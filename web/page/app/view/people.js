// Who is in the active room, and who writes.

import { words } from "../words/words.js";
import { avatar, byID, el, reconcile, say } from "./dom.js";

export class People {
  /** @param {import("../chat.js").Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.list = byID("people-list", HTMLElement);
    this.typing = byID("typing", HTMLElement);
  }

  draw() {
    const w = words();
    const { active, identity } = this.chat;
    const count = active.numUsers;
    say(byID("head-count", HTMLElement), count.toLocaleString());
    say(byID("head-count-words", HTMLElement), w.peopleCount({ count }));
    byID("show-people", HTMLElement).title = w.peopleCount({ count });
    say(byID("people-count", HTMLElement), count.toLocaleString());

    /** @type {Map<string, number>} names need not be unique */
    const seen = new Map();
    let me = false;
    const lines = active.users.map((name) => {
      const nth = seen.get(name) ?? 0;
      seen.set(name, nth + 1);
      const you = name === identity.name && !me;
      me ||= you;
      return {
        key: `${name}\n${nth}`,
        same: `${you} ${w.you}`,
        make: () => {
          const item = el("li", "person", avatar(name), el("span", "grow", name));
          if (you) item.append(el("span", "muted", w.you));
          return item;
        },
      };
    });
    const more = count - active.users.length;
    if (more > 0 && lines.length > 0) lines.push({ key: "more", same: `${more} ${w.you}`, make: () => el("li", "muted", w.morePeople({ count: more })) });
    reconcile(this.list, lines);
    this.drawTyping();
  }

  /** On its own, because it ends by the clock. */
  drawTyping() {
    const names = this.chat.active.writers();
    say(this.typing, names.length > 0 ? words().typing({ names: names.slice(0, 3) }) : "");
    this.typing.classList.toggle("on", names.length > 0);
  }
}
