// The few things that every part of the view does with elements. Text goes in
// as text, whoever wrote it.

import { words } from "../words/words.js";

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [className]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/**
 * @template {typeof HTMLElement} T
 * @param {string} id
 * @param {T} kind
 * @returns {InstanceType<T>} the page's element of that id
 */
export function byID(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no #${id} in the page`);
  return /** @type {InstanceType<T>} */ (found);
}

/**
 * Sets the text only if it changed, so that a screen reader is not told twice.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A button whose look is its text.
 * @param {string} className
 * @param {string} text
 * @param {() => void} press
 */
export function button(className, text, press) {
  const b = el("button", className, text);
  b.type = "button";
  b.addEventListener("click", press);
  return b;
}

/**
 * Makes the children of a list those lines, in that order, and touches only
 * what differs: focus, selection and scroll position stay.
 * @param {HTMLElement} list
 * @param {{key: string, same: string, make: () => HTMLElement}[]} lines same: what the element was made from
 */
export function reconcile(list, lines) {
  /** @type {Map<string, HTMLElement>} */
  const old = new Map();
  for (const child of list.children) if (child instanceof HTMLElement) old.set(child.dataset.key ?? "", child);
  let at = list.firstElementChild;
  for (const { key, same, make } of lines) {
    let element = old.get(key);
    old.delete(key);
    if (!element || element.dataset.same !== same) {
      const made = make();
      made.dataset.key = key;
      made.dataset.same = same;
      if (element === at) at = element?.nextElementSibling ?? null;
      element?.remove();
      element = made;
    }
    if (element === at) at = at.nextElementSibling;
    else list.insertBefore(element, at);
  }
  for (const gone of old.values()) gone.remove();
}

/** Puts the words of the spoken language into the page's own elements. */
export function translate() {
  const w = /** @type {Record<string, unknown>} */ (words());
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (name === "data-t") element.textContent = String(w[value]);
      else if (name.startsWith("data-t-")) element.setAttribute(name.slice("data-t-".length), String(w[value]));
    }
  }
}

/**
 * A person's colour, one of twelve, always the same for a name.
 * @param {string} name
 */
export function hue(name) {
  let hash = 7;
  for (const c of name) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) | 0;
  return `hue-${Math.abs(hash) % 12}`;
}

/** @param {string} name */
export function avatar(name) {
  const first = [...new Intl.Segmenter().segment(name)][0]?.segment ?? "?";
  const badge = el("span", `avatar ${hue(name)}`, first.toUpperCase());
  badge.setAttribute("aria-hidden", "true");
  return badge;
}
