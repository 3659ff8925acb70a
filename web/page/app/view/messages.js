// The active room's messages: the lines, and where the person reads.

import { dayOf, momentOf, reason, sameDay, timeOf, words } from "../words/words.js";
import { avatar, button, byID, el, reconcile, say } from "./dom.js";

/** Messages of one person within this time stand together. */
const TOGETHER = 5 * 60 * 1000;

/** How near to an end, in pixels, the next page is asked for. */
const NEAR = 400;

/** How near to the end counts as reading there. */
const AT_END = 40;

export class Messages {
  /**
   * @param {import("../chat.js").Chat} chat
   * @param {import("../find.js").Find} find
   * @param {(message: Message) => void} removal asks whether it is to be removed
   */
  constructor(chat, find, removal) {
    this.chat = chat;
    this.removal = removal;
    this.find = find;
    this.scroll = byID("scroll", HTMLElement);
    this.lines = byID("lines", HTMLElement);
    this.toNewest = byID("to-newest", HTMLButtonElement);
    /** @type {import("../room.js").Room | null} the room that is drawn */
    this.room = null;
    this.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.toNewest.addEventListener("click", () => void this.#newest());
    // The keyboard of a phone, a window's edge, a growing composer: who reads
    // at the end stays there.
    new ResizeObserver(() => this.#hold()).observe(this.scroll);
  }

  draw() {
    const room = this.chat.active;
    if (room !== this.room) {
      this.room = room;
      this.lines.replaceChildren();
    }
    if (room.place.end) room.timeline.trim();
    reconcile(this.lines, [...this.#lines(room)]);
    this.#hold();
    this.#drawNewest(room);
    this.#more(room);
  }

  /** The person wants to be at the end. */
  toEnd() {
    if (!this.room) return;
    if (this.room.timeline.hasNewer) void this.#newest();
    this.room.place = { end: true, key: "", offset: 0 };
    this.#hold();
  }

  /**
   * Brings a loaded message before the person.
   * @param {number} seq
   */
  show(seq) {
    const { room } = this;
    if (!room) return;
    room.place = { end: false, key: `m ${seq}`, offset: this.scroll.clientHeight / 3 };
    this.draw();
  }

  /** @param {import("../room.js").Room} room */
  *#lines(room) {
    const { timeline } = room;
    const { find } = this;
    const looked = new Set(find.found(room));
    const moderates = room.rights.includes("moderate");
    const w = words();
    const lang = w.today;
    if (timeline.hasOlder) yield note("older", w.loading);
    else if (room.joined && timeline.messages.length > 0) yield note("beginning", room.direct ? w.beginningDirect({ name: room.title }) : w.beginning({ room: room.name }));

    /** @type {Message | null} */
    let above = null;
    for (const entry of timeline.entries()) {
      if ("gap" in entry) {
        yield note(`gap ${entry.gap.from} ${entry.gap.to}`, w.lost(entry.gap), "lost");
        above = null;
        continue;
      }
      const m = entry.message;
      if (!above || !sameDay(above.ts, m.ts)) {
        yield note(`day ${new Date(m.ts).toDateString()}`, dayOf(m.ts), "day");
        above = null;
      }
      const mine = this.chat.isMine(m);
      const first = above === null || above.username !== m.username || m.ts - above.ts > TOGETHER || this.chat.isMine(above) !== mine;
      yield {
        key: `m ${m.seq}`,
        same: `${m.ts} ${m.id} ${m.removed} ${mine} ${first} ${moderates} ${lang}${looked.has(m.seq) ? ` ${find.current === m.seq} ${find.text}` : ""}`,
        make: () => this.#line(m, mine, first, mine || moderates),
      };
      above = m;
    }
    if (timeline.hasNewer) return;

    const pending = this.chat.outbox.list(room.name);
    for (const entry of pending) {
      const online = this.chat.connection.state === "connected";
      yield {
        key: `out ${entry.id}`,
        same: `${entry.failed} ${online} ${lang}`,
        make: () => this.#waiting(entry, online),
      };
    }
    if (room.joined && timeline.messages.length === 0 && !timeline.hasOlder && pending.length === 0) yield note("empty", room.rights.includes("write") ? w.emptyRoom : w.emptyToRead, "empty");
  }

  /**
   * @param {Waiting} entry
   * @param {boolean} online
   */
  #waiting(entry, online) {
    const w = words();
    const state = el("span", "sending", entry.failed ? w.failed({ reason: reason(entry.failed) }) : online ? w.sending : w.waiting);
    const item = el("li", `line mine first ${entry.failed ? "failed" : "pending"}`, el("div", "body", el("p", "bubble", entry.text), state));
    item.dataset.state = entry.failed ? "failed" : "sending";
    if (entry.failed) {
      state.append(
        " ",
        button("link", w.retry, () => this.chat.retry(entry.id)),
        " ",
        button("link", w.discard, () => this.chat.discard(entry.id)),
      );
    }
    return item;
  }

  /**
   * @param {Message} m
   * @param {boolean} mine
   * @param {boolean} first of several by the same person
   * @param {boolean} removable
   */
  #line(m, mine, first, removable) {
    const w = words();
    const time = el("time", "time", timeOf(m.ts));
    time.dateTime = new Date(m.ts).toISOString();
    time.title = momentOf(m.ts);
    const name = el("span", first && !mine ? "name" : "hidden-label", m.username);
    const text = m.removed ? [w.removed] : marked(this.find.split(m.message));
    const said = el("div", "said", el("p", m.removed ? "bubble removed" : "bubble", ...text), time);
    if (removable && !m.removed) {
      const remove = button("icon remove", "×", () => this.removal(m));
      remove.setAttribute("aria-label", w.removeMessage);
      remove.title = w.removeMessage;
      said.append(remove);
    }
    const item = el("li", `line${mine ? " mine" : ""}${first ? " first" : ""}`);
    if (!mine) item.append(first ? avatar(m.username) : el("span", "avatar none"));
    item.append(el("div", "body", name, said));
    item.dataset.seq = String(m.seq);
    if (this.find.current === m.seq && this.find.text) item.classList.add("current");
    return item;
  }

  #scrolled() {
    const { room, scroll } = this;
    if (!room) return;
    const end = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_END && !room.timeline.hasNewer;
    if (end) {
      room.place = { end, key: "", offset: 0 };
    } else {
      const top = scroll.getBoundingClientRect().top;
      const shown = this.#firstShown(top);
      room.place = { end, key: shown?.dataset.key ?? "", offset: (shown?.getBoundingClientRect().top ?? top) - top };
    }
    if (end !== this.chat.attentive) this.chat.attend(end);
    this.#drawNewest(room);
    this.#more(room);
  }

  /**
   * The first line in view that will be there after the next drawing too.
   * @param {number} top
   */
  #firstShown(top) {
    const all = /** @type {HTMLCollectionOf<HTMLElement>} */ (this.lines.children);
    let [low, high] = [0, all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle].getBoundingClientRect().bottom <= top) low = middle + 1;
      else high = middle;
    }
    while (all[low] && !all[low].dataset.key?.startsWith("m ")) low++;
    return all[low];
  }

  /** Keeps the line that the person reads where it is on the screen. */
  #hold() {
    const { room, scroll } = this;
    if (!room) return;
    const { end, key, offset } = room.place;
    if (end) {
      scroll.scrollTop = scroll.scrollHeight;
      return;
    }
    for (const line of /** @type {HTMLCollectionOf<HTMLElement>} */ (this.lines.children)) {
      if (line.dataset.key !== key) continue;
      scroll.scrollTop += line.getBoundingClientRect().top - scroll.getBoundingClientRect().top - offset;
      return;
    }
  }

  /** @param {import("../room.js").Room} room */
  #more(room) {
    const { scroll } = this;
    if (room.loading) return;
    if (scroll.scrollTop < NEAR && room.timeline.hasOlder) void this.chat.pages.older(room);
    else if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR && room.timeline.hasNewer) void this.chat.pages.newer(room);
  }

  /** @param {import("../room.js").Room} room */
  #drawNewest(room) {
    const w = words();
    this.toNewest.hidden = room.place.end;
    say(this.toNewest, room.unread > 0 ? `${w.newMessages({ count: room.unread })} ↓` : `${w.toNewest} ↓`);
  }

  async #newest() {
    if (this.room) await this.chat.pages.newest(this.room);
    this.toEndNow();
  }

  toEndNow() {
    if (!this.room) return;
    this.room.place = { end: true, key: "", offset: 0 };
    this.chat.attend(true);
    this.draw();
    this.scroll.focus({ preventScroll: true });
  }
}

/** @param {string[]} pieces every second of which was found */
function marked(pieces) {
  return pieces.map((piece, i) => (i % 2 === 1 ? el("mark", "", piece) : piece));
}

/**
 * @param {string} key
 * @param {string} text
 * @param {string} [kind]
 */
function note(key, text, kind = "") {
  return { key, same: text, make: () => el("li", `note ${kind}`, el("span", "", text)) };
}
