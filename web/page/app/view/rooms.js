// The rooms: those that the person is in, and those that there are.

import { words } from "../words/words.js";
import { avatar, button, byID, el, reconcile, say } from "./dom.js";

export class Rooms {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {() => void} chosen
   */
  constructor(chat, chosen) {
    this.chat = chat;
    this.chosen = chosen;
    this.mine = byID("my-rooms", HTMLElement);
    /** A room was left, and with it the button that had the focus. */
    this.left = false;
    this.others = byID("other-rooms", HTMLElement);
    this.none = byID("no-other-rooms", HTMLElement);
    this.more = byID("more-rooms", HTMLButtonElement);
    this.more.addEventListener("click", () => void chat.directory.next());
    const form = byID("room-form", HTMLFormElement);
    const name = byID("room-name", HTMLInputElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const room = name.value.trim().normalize("NFC");
      if (room === "") return;
      name.value = "";
      this.#open(room);
    });
  }

  draw() {
    const w = words();
    reconcile(
      this.mine,
      [...this.chat.rooms.values()].map((room) => {
        const active = room === this.chat.active;
        return {
          key: room.name,
          same: `${room.title} ${active} ${room.unread} ${w.leave}`,
          make: () => {
            const open = button("room-link", "", () => this.#open(room.name));
            open.append(room.direct ? avatar(room.title) : el("span", "hash", "#"), el("span", "grow", room.title));
            open.title = room.title; // a long one is cut off
            if (active) open.setAttribute("aria-current", "page");
            if (room.unread > 0) {
              const badge = el("span", "badge", room.unread > 99 ? "99+" : String(room.unread));
              badge.setAttribute("aria-hidden", "true");
              open.append(badge, el("span", "hidden-label", w.unread({ count: room.unread })));
            }
            const item = el("li", active ? "active" : "", open);
            if (room.name !== "lobby") {
              const leave = button("icon leave", "×", () => {
                this.left = true;
                void this.chat.leave(room);
              });
              leave.setAttribute("aria-label", w.leaveRoom({ room: room.title }));
              leave.title = w.leave;
              item.append(leave);
            }
            return item;
          },
        };
      }),
    );
    const current = this.left ? this.mine.querySelector("[aria-current]") : null;
    if (current instanceof HTMLElement) current.focus();
    this.left = false;
    const others = this.chat.directory.rooms.filter(({ room }) => !this.chat.rooms.has(room));
    reconcile(
      this.others,
      others.map(({ room, numUsers }) => ({
        key: room,
        same: `${numUsers} ${w.join}`,
        make: () => {
          const open = button("room-link", "", () => this.#open(room));
          const count = el("span", "muted", numUsers > 0 ? numUsers.toLocaleString() : "");
          count.setAttribute("aria-hidden", "true");
          open.append(el("span", "hash", "#"), el("span", "grow", room), count, el("span", "hidden-label", w.peopleCount({ count: numUsers })));
          open.title = w.joinRoom({ room });
          return el("li", "", open);
        },
      })),
    );
    this.none.hidden = others.length > 0;
    this.more.hidden = !this.chat.directory.more;
    const title = byID("room-title", HTMLElement);
    say(title, this.chat.active.title);
    title.title = this.chat.active.title;
    title.classList.toggle("direct", this.chat.active.direct);
    const elsewhere = this.chat.rooms.unread - this.chat.active.unread;
    const badge = byID("elsewhere", HTMLElement);
    badge.hidden = elsewhere === 0;
    say(badge, elsewhere > 99 ? "99+" : String(elsewhere));
    document.title = this.chat.rooms.unread > 0 ? `(${this.chat.rooms.unread}) ${w.appName}` : `${this.chat.active.title} · ${w.appName}`;
  }

  /** @param {string} room */
  #open(room) {
    this.chat.open(room);
    this.chosen();
  }
}
