// Who is in the active room, and who writes.

import { words } from "../words/words.js";
import { avatar, button, byID, el, reconcile, say } from "./dom.js";

export class People {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {() => void} chosen
   * @param {(person: Person) => void} moderate asks what is to be done to somebody
   */
  constructor(chat, chosen, moderate) {
    this.moderate = moderate;
    this.chat = chat;
    this.chosen = chosen;
    this.list = byID("people-list", HTMLElement);
    this.typing = byID("typing", HTMLElement);
  }

  draw() {
    const w = words();
    const { active, identity, me } = this.chat;
    const count = active.numUsers;
    say(byID("head-count", HTMLElement), count.toLocaleString());
    say(byID("head-count-words", HTMLElement), w.peopleCount({ count }));
    byID("show-people", HTMLElement).title = w.peopleCount({ count });
    say(byID("people-count", HTMLElement), count.toLocaleString());

    /** @type {Map<string, number>} names need not be unique */
    const seen = new Map();
    let found = false;
    const moderates = active.rights.includes("moderate");
    const lines = active.users.map((person) => {
      const { username, user } = person;
      const nth = seen.get(username) ?? 0;
      seen.set(username, nth + 1);
      const you = user && me ? user === me : username === identity.name && !found;
      found ||= you;
      return {
        key: user ?? `${username}\n${nth}`,
        same: `${username} ${you} ${moderates} ${w.you}`,
        make: () => {
          const name = el("span", "grow", username);
          name.title = username; // a long one is cut off
          if (you || !user) return el("li", "person", avatar(username), name, you ? el("span", "muted", w.you) : "");
          const write = button("person-link", "", () => {
            this.chat.openDirect(person);
            this.chosen();
          });
          write.append(avatar(username), name, el("span", "hidden-label", w.writeDirect));
          write.title = w.writeDirect;
          const item = el("li", "somebody", write);
          if (moderates) {
            const menu = button("icon", "⋯", () => this.moderate(person));
            menu.setAttribute("aria-label", w.moderatePerson({ name: username }));
            item.append(menu);
          }
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
