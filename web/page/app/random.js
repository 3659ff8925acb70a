/**
 * crypto.randomUUID is missing on plain http, where a chat on a home network is served.
 * @returns {string} 128 random bits
 */
export function randomID() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}
