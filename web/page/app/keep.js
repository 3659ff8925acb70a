// What this browser remembers. Storage may be missing, full or forbidden
// (private windows, policies): then things last as long as the page.

const PREFIX = "antchat.";

export class Keep {
  /** @param {Storage | null} storage */
  constructor(storage) {
    this.storage = storage;
    /** @type {Map<string, string>} what storage would not take */
    this.memory = new Map();
  }

  /**
   * @param {string} key
   * @returns {any} what was written there, or null
   */
  read(key) {
    const text = this.memory.get(key) ?? this.#stored(key);
    if (text === null) return null;
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  /**
   * @param {string} key
   * @param {unknown} value
   */
  write(key, value) {
    const text = JSON.stringify(value);
    try {
      if (!this.storage) throw new Error("no storage");
      this.storage.setItem(PREFIX + key, text);
      this.memory.delete(key);
    } catch {
      this.memory.set(key, text);
    }
  }

  /** @param {string} key */
  drop(key) {
    this.memory.delete(key);
    try {
      this.storage?.removeItem(PREFIX + key);
    } catch {
      // It was never there.
    }
  }

  /**
   * @param {string} start
   * @returns {string[]} the keys that begin with start
   */
  keys(start) {
    const found = new Set([...this.memory.keys()].filter((key) => key.startsWith(start)));
    try {
      for (let i = 0; i < (this.storage?.length ?? 0); i++) {
        const key = this.storage?.key(i);
        if (key?.startsWith(PREFIX + start)) found.add(key.slice(PREFIX.length));
      }
    } catch {
      // Memory is all there is.
    }
    return [...found];
  }

  /** @param {string} key */
  #stored(key) {
    try {
      return this.storage?.getItem(PREFIX + key) ?? null;
    } catch {
      return null;
    }
  }
}

/**
 * @param {"localStorage" | "sessionStorage"} name
 * @returns {Keep}
 */
export function keepIn(name) {
  try {
    return new Keep(window[name]);
  } catch {
    return new Keep(null);
  }
}
