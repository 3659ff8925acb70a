// Puts the page together: one chat, its views, and one drawing for whatever
// changed since the last.

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { Find } from "./find.js";
import { Identity } from "./identity.js";
import { keepIn } from "./keep.js";
import { Notify } from "./notify.js";
import { Outbox } from "./outbox.js";
import { randomID } from "./random.js";
import { Composer } from "./view/composer.js";
import { byID, el, say, translate } from "./view/dom.js";
import { Messages } from "./view/messages.js";
import { Moderation } from "./view/moderation.js";
import { Panels } from "./view/panels.js";
import { People } from "./view/people.js";
import { Rooms } from "./view/rooms.js";
import { Search } from "./view/search.js";
import { Settings } from "./view/settings.js";
import { Status } from "./view/status.js";
import { Welcome } from "./view/welcome.js";
import { languages, pick, speak, spoken, words } from "./words/words.js";

const keep = keepIn("localStorage");
const identity = new Identity(keep, keepIn("sessionStorage"));
const outbox = new Outbox(keep, { tab: identity.tab, newID: randomID });

let asked = false;
function changed() {
  if (asked) return;
  asked = true;
  // A window in the background gets no animation frames, but its title counts.
  if (document.visibilityState === "visible") requestAnimationFrame(draw);
  else setTimeout(draw, 250);
}

const announcer = byID("announcer", HTMLElement);
const notify = new Notify(keep, { open: (room) => chat.open(room), changed });
const chat = new Chat({
  identity,
  keep,
  outbox,
  connect: (auth, listener) => new Connection(auth, listener),
  changed,
  heard: (room, message) => {
    notify.heard(room.name, message);
    if (room === chat.active) say(announcer, words().heard({ name: message.username, text: message.message }));
  },
});

const text = byID("text", HTMLTextAreaElement);
const panels = new Panels((panel) => void (panel === "people" ? chat.who() : chat.directory.load()));
const find = new Find();
const moderation = new Moderation(chat);
const messages = new Messages(chat, find, (message) => moderation.removal(message));
const status = new Status(chat);
const people = new People(
  chat,
  () => {
    panels.close();
    text.focus();
  },
  (person) => moderation.about(person),
);
const views = [
  new Welcome(chat, () => requestAnimationFrame(() => text.focus())),
  new Rooms(chat, () => {
    panels.close();
    text.focus();
  }),
  messages,
  new Search(chat, find, messages),
  moderation,
  new Settings(notify),
  new Composer(chat, () => messages.toEnd()),
  people,
  status,
];

function draw() {
  asked = false;
  for (const view of views) view.draw();
  const address = chat.active.name === "lobby" ? location.pathname + location.search : `#${encodeURIComponent(chat.active.name)}`;
  if (location.hash !== (address.startsWith("#") ? address : "")) history.replaceState(null, "", address);
}

/** @param {unknown} chosen */
function setLanguage(chosen) {
  speak(pick(chosen, navigator.languages));
  document.documentElement.lang = spoken();
  translate();
  for (const select of document.querySelectorAll("select")) select.value = spoken();
}

for (const select of document.querySelectorAll("select")) {
  for (const [language, name] of Object.entries(languages)) {
    const option = el("option", "", name);
    option.value = language;
    option.lang = language;
    select.append(option);
  }
  select.addEventListener("change", () => {
    keep.write("language", select.value);
    setLanguage(select.value);
    changed();
  });
}

byID("other-name", HTMLButtonElement).addEventListener("click", () => {
  identity.forget();
  location.reload();
});

// Other tabs of this browser write too.
addEventListener("storage", (event) => {
  if (event.key === "antchat.session") location.reload();
  if (event.key === "antchat.own") chat.own.reload();
  changed();
});
addEventListener("hashchange", () => openFromAddress());
document.addEventListener("visibilitychange", () => {
  chat.attend(chat.attentive);
  changed();
});

// Countdown, expiring "is writing", and what another tab left unsent.
setInterval(() => {
  if (chat.connection.state === "waiting") status.draw();
  people.drawTyping();
  void chat.sender.poke();
}, 1000);

/** The address may name a room, or bring a token: #token=…&room=… */
function openFromAddress() {
  const brought = new URLSearchParams(location.hash.slice(1));
  const token = brought.get("token");
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    void chat.signIn(token);
    if (brought.get("room")) chat.open(decode(brought.get("room") ?? ""));
    return;
  }
  const name = decode(location.hash.slice(1));
  if (name) chat.open(name);
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part).trim().normalize("NFC");
  } catch {
    return "";
  }
}

setLanguage(keep.read("language"));
openFromAddress();
chat.connection.now();
draw();
if (identity.name) text.focus();
