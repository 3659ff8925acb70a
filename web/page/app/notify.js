// Tells of messages while the page is not looked at, once the person has asked
// for it.

export class Notify {
  /**
   * @param {import("./keep.js").Keep} keep
   * @param {object} needs
   * @param {(room: string) => void} needs.open
   * @param {() => void} needs.changed
   */
  constructor(keep, { open, changed }) {
    this.keep = keep;
    this.open = open;
    this.changed = changed;
    /** The browser has such a thing, and lets pages of this address use it. */
    this.possible = "Notification" in window && isSecureContext;
  }

  /** Whether the person wants it, and the browser allows it. */
  get on() {
    return this.possible && this.keep.read("notify") === true && Notification.permission === "granted";
  }

  /** The browser was told never to ask again. */
  get denied() {
    return this.possible && Notification.permission === "denied";
  }

  /** The person switches it on or off; only here the browser asks. */
  async toggle() {
    const wanted = !this.on;
    this.keep.write("notify", wanted);
    if (wanted && Notification.permission === "default") await Notification.requestPermission();
    this.changed();
  }

  /**
   * @param {string} room
   * @param {Message} message of somebody else
   */
  heard(room, { username, message }) {
    if (!this.on || document.visibilityState === "visible") return;
    try {
      // One per room: the next takes its place.
      const n = new Notification(`${username} · ${room}`, { body: message.slice(0, 200), tag: `antchat ${room}`, icon: "icon-192.png" });
      n.addEventListener("click", () => {
        window.focus();
        this.open(room);
        n.close();
      });
    } catch {
      // Android's Chrome has the name but lets only service workers use it.
      this.possible = false;
      this.changed();
    }
  }
}
