/** @param {number} n @param {string} one @param {string} many */
const plural = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export const en = {
  appName: "Antchat",
  language: "Language",

  welcome: "Say hello",
  welcomeHint: "Choose the name that others see.",
  yourName: "Your name",
  enter: "Start chatting",
  otherName: "Use another name",
  /** @param {{name: string}} p */
  youAre: ({ name }) => `You are ${name}`,

  signIn: "Sign in",
  signInHint: "This server lets in who has a token. The platform that sent you here gives you one.",
  yourToken: "Your token",
  signInAgain: "Sign in again",
  /** @param {{reason: string}} p */
  refusedToken: ({ reason }) => `That did not work: ${reason}`,
  /** @param {{time: string}} p */
  tokenEnds: ({ time }) => `Your sign-in ends at ${time}.`,
  reasonTokenInvalid: "this server does not take that token",
  reasonTokenExpired: "the token has ended",

  rooms: "Rooms",
  yourRooms: "Your rooms",
  otherRooms: "Other rooms",
  moreRooms: "Show more rooms",
  noOtherRooms: "There are no other rooms yet.",
  joinOrCreate: "Join or create a room",
  join: "Join",
  leave: "Leave",
  /** @param {{room: string}} p */
  leaveRoom: ({ room }) => `Leave ${room}`,
  /** @param {{room: string}} p */
  joinRoom: ({ room }) => `Join ${room}`,
  /** @param {{count: number}} p */
  unread: ({ count }) => plural(count, "unread message", "unread messages"),
  skip: "Skip to the message box",

  people: "Who is here",
  /** @param {{count: number}} p */
  peopleCount: ({ count }) => plural(count, "person here", "people here"),
  /** @param {{count: number}} p */
  morePeople: ({ count }) => `and ${count.toLocaleString("en")} more`,
  you: "you",
  close: "Close",

  messages: "Messages",
  message: "Message",
  /** @param {{room: string}} p */
  writeTo: ({ room }) => `Message ${room}`,
  send: "Send",
  emptyRoom: "Nothing has been said here yet. Begin!",
  emptyToRead: "Nothing has been said here yet.",
  /** @param {{room: string}} p */
  beginning: ({ room }) => `This is where ${room} begins.`,
  /** @param {{name: string}} p */
  beginningDirect: ({ name }) => `Only you and ${name} can read what is said here.`,
  writeDirect: "Write a direct message",
  loading: "Loading older messages…",
  today: "Today",
  yesterday: "Yesterday",
  toNewest: "Newest messages",
  /** @param {{count: number}} p */
  newMessages: ({ count }) => plural(count, "new message", "new messages"),
  /** @param {{from: number, to: number}} p */
  lost: ({ from, to }) => `${plural(to - from + 1, "message", "messages")} could not be kept by the server.`,
  /** @param {{name: string, text: string}} p */
  heard: ({ name, text }) => `${name}: ${text}`,

  sending: "Sending…",
  waiting: "Sends when you are connected",
  retry: "Try again",
  discard: "Discard",
  /** @param {{reason: string}} p */
  failed: ({ reason }) => `Not sent: ${reason}`,
  cutOff: "That is too long for one message. Its end was left out.",
  outboxFull: "Too many messages are waiting. Wait until some are sent.",

  /** @param {{names: string[]}} p */
  typing: ({ names: [a, b, c] }) => (c ? "Several people are writing…" : b ? `${a} and ${b} are writing…` : `${a} is writing…`),

  removed: "This message was removed.",
  removeMessage: "Remove message",
  removeAsk: "Remove this message for everyone?",
  remove: "Remove",
  cancel: "Cancel",
  /** @param {{name: string}} p */
  moderatePerson: ({ name }) => `Moderate ${name}`,
  /** @param {{time: string}} p */
  muteFor: ({ time }) => `Mute for ${time}`,
  unmute: "Let them write again",
  kick: "Put out of the room",
  /** @param {{time: string}} p */
  banFor: ({ time }) => `Ban for ${time}`,
  tenMinutes: "10 minutes",
  oneDay: "a day",
  thirtyDays: "30 days",
  /** @param {{until: string}} p */
  mutedUntil: ({ until }) => `A moderator muted you here until ${until}.`,
  readOnly: "You can read here, but not write.",
  reasonMuted: "a moderator muted you here",
  reasonBanned: "you are banned",
  reasonKicked: "a moderator put you out; you may come again",
  reasonRateLimited: "that was too much at once",

  search: "Search",
  searchHere: "Search the messages loaded here",
  searchOlder: "Older match",
  searchNewer: "Newer match",
  notFound: "Nothing found",
  /** @param {{at: number, count: number}} p */
  foundAt: ({ at, count }) => `${at} of ${count}`,

  notifyOff: "Notify me",
  notifyOn: "Notifications are on",
  notifyDenied: "Your browser blocks notifications",

  connected: "Connected",
  connecting: "Connecting…",
  /** @param {{seconds: number}} p */
  reconnecting: ({ seconds }) => `Connection lost. Trying again in ${seconds} s.`,
  offline: "You are offline. What you write is kept and sent later.",
  offlineShort: "Offline",
  notConnected: "Not connected",
  /** @param {{reason: string}} p */
  refusedConnection: ({ reason }) => `The server refused the connection: ${reason}`,
  tryNow: "Try now",
  /** @param {{reason: string}} p */
  refusedRoom: ({ reason }) => `This room cannot be entered: ${reason}`,
  /** @param {{reason: string}} p */
  refusedName: ({ reason }) => `That name was not accepted: ${reason}`,

  reasonUnsure: "it may have arrived before the connection broke",
  reasonText: "the server does not accept this text",
  reasonName: "a name is one line of at most 32 characters",
  reasonRoom: "a room's name is one line of at most 64 characters, and does not begin with @",
  reasonForbidden: "you may not do that here",
  reasonNotMember: "you are not in this room",
  reasonTooManyRooms: "you are in too many rooms, so leave one first",
  /** @param {{code: string}} p */
  reasonOther: ({ code }) => `the server said “${code}”`,
};
