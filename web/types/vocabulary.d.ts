// The shapes of docs/protocol.md that the page speaks, for the type check.

/** What a person wrote. */
interface Message {
  username: string;
  message: string;
  room: string;
  id?: string;
  /** The public id of who wrote it. */
  user?: string;
  /** A moderator, or its author, took its text away. */
  removed?: boolean;
  seq: number;
  /** Milliseconds since 1970, by the server's clock. */
  ts: number;
}

/** Sequence numbers that the server lost for good, both ends included. */
interface Gap {
  from: number;
  to: number;
}

interface Person {
  username: string;
  /** The public id; absent when it was not told. */
  user?: string;
}

/** A part of a room's log. */
interface Part {
  messages: Message[];
  /** The seqs between which it is complete, moderators' entries included; 0: there is nothing. Older servers do not say. */
  first?: number;
  last?: number;
  more: boolean;
}

interface Joined extends Part {
  room: string;
  epoch: string;
  seq: number;
  numUsers: number;
  users: Person[];
  /** Seqs of messages that lost their text since. */
  removed?: number[];
  gap?: Gap | null;
  rights?: Right[];
}

type Right = "read" | "write" | "moderate";

interface History extends Part {
  removed?: number[];
  epoch: string;
}

interface RoomSummary {
  room: string;
  numUsers: number;
  seq: number;
  /** Up to where the person has read, and how much comes after it. */
  read?: number;
  unread?: number;
  /** The public id of the other one in a direct room. */
  with?: string;
}

interface Stored {
  id: string;
  room: string;
  seq: number;
  ts: number;
}

interface Refusal {
  code: string;
  message: string;
  retryable: boolean;
  /** In how many milliseconds. */
  retryAfter?: number;
}

/** A message that waits in this browser. */
interface Waiting {
  id: string;
  room: string;
  text: string;
  /** When it was written, milliseconds since 1970, and a counter within that. */
  at: number;
  n: number;
  /** The tab that wrote it. */
  tab: string;
  /** When it was first handed to the connection; 0: never. */
  first: number;
  /** When it was last handed to the connection; 0: never. */
  tried: number;
  /** Why it waits for the person: a refusal's code, or "unsure"; "": it does not. */
  failed: string;
}
