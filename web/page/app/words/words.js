// The page's language: the browser's, until the person chooses.

import { en } from "./en.js";
import { ko } from "./ko.js";

/** @typedef {typeof en} Words */
/** @typedef {"en" | "ko"} Language */

/** @type {Record<Language, Words>} */
export const dictionaries = { en, ko };

/** @type {Record<Language, string>} each in its own language */
export const languages = { en: "English", ko: "한국어" };

/** @type {Language} */
let current = "en";

/**
 * @param {unknown} chosen what the person chose before, if anything
 * @param {readonly string[]} wanted navigator.languages, the best first
 * @returns {Language}
 */
export function pick(chosen, wanted) {
  for (const tag of [chosen, ...wanted]) {
    const language = String(tag).slice(0, 2).toLowerCase();
    if (language in dictionaries) return /** @type {Language} */ (language);
  }
  return "en";
}

/** @param {Language} language */
export function speak(language) {
  current = language;
  days.clear();
}

/** @returns {Language} */
export function spoken() {
  return current;
}

/** @returns {Words} */
export function words() {
  return dictionaries[current];
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const days = new Map();

/**
 * @param {Date} date
 * @param {Intl.DateTimeFormatOptions} options
 */
function format(date, options) {
  const key = JSON.stringify(options);
  let f = days.get(key);
  if (!f) days.set(key, (f = new Intl.DateTimeFormat(current, options)));
  return f.format(date);
}

/** @param {number} ts */
export function timeOf(ts) {
  return format(new Date(ts), { hour: "numeric", minute: "2-digit" });
}

/** @param {number} ts */
export function momentOf(ts) {
  return format(new Date(ts), { dateStyle: "full", timeStyle: "medium" });
}

/**
 * @param {number} ts
 * @param {number} [now]
 */
export function dayOf(ts, now = Date.now()) {
  const date = new Date(ts);
  if (sameDay(ts, now)) return words().today;
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  if (sameDay(ts, yesterday.getTime())) return words().yesterday;
  const thisYear = date.getFullYear() === new Date(now).getFullYear();
  return format(date, { weekday: "long", month: "long", day: "numeric", ...(thisYear ? {} : { year: "numeric" }) });
}

/**
 * @param {number} a
 * @param {number} b
 */
export function sameDay(a, b) {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** @type {Record<string, keyof Words>} */
const reasons = {
  unsure: "reasonUnsure",
  invalid_name: "reasonName",
  invalid_room: "reasonRoom",
  invalid_message: "reasonText",
  id_conflict: "reasonUnsure",
  not_member: "reasonNotMember",
  forbidden: "reasonForbidden",
  muted: "reasonMuted",
  banned: "reasonBanned",
  kicked: "reasonKicked",
  rate_limited: "reasonRateLimited",
  token_invalid: "reasonTokenInvalid",
  token_expired: "reasonTokenExpired",
  too_many_rooms: "reasonTooManyRooms",
};

/**
 * The code of a refusal, in words. A code that the page cannot explain is shown as it is.
 * @param {string} code
 * @returns {string}
 */
export function reason(code) {
  const key = Object.hasOwn(reasons, code) ? reasons[code] : undefined;
  return key ? String(words()[key]) : words().reasonOther({ code });
}
