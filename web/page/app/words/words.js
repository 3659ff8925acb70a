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

/**
 * The server's code for a refusal, in words.
 * @param {string} code
 */
export function reason(code) {
  const w = words();
  if (code === "unsure") return w.reasonUnsure;
  if (/long|large|big|size/.test(code)) return w.reasonTooLong;
  if (/rate|many|slow/.test(code)) return w.reasonRate;
  if (/text|message|control|conflict/.test(code)) return w.reasonText;
  if (/user|name/.test(code)) return w.reasonName;
  if (/room/.test(code)) return w.reasonRoom;
  if (/forbid|denied|auth|right|member/.test(code)) return w.reasonRights;
  if (/full|limit/.test(code)) return w.reasonFull;
  return w.reasonOther({ code });
}
