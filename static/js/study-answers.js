// Requests of the study page. An answer is kept in the browser until the service has said of this very answer that it is
// stored, or that it never can be; until then it is sent again with the same key, after a lost connection, a reload or a
// restart of the service, and whoever opens the invitation again sends it, too. The service stores it once.
import { ROOT } from "./root.js";

const KEPT = "lfi-study-kept:"; // and the answer's key: several windows do not overwrite each other's
let csrf = "";
let rater = ""; // whose answers these are; the same whichever cookie the rater came back with
const unsaved = new Map(); // where the browser keeps nothing, they live as long as the page

// The service understood the request and refuses it.
export class Refused extends Error {
  constructor(status, body) {
    super(body.detail);
    this.status = status;
    this.refused = body.refused; // the key of an answer that can never be stored
  }
}

// Nobody answered, or the service cannot at the moment, or something else answered in its place.
export class Trouble extends Error {
  constructor(why, seconds = 0) {
    super(why);
    this.seconds = seconds; // to wait before the next try, as far as the service said so
  }
}

export async function post(name, fields = {}) {
  let answer;
  let body;
  try {
    answer = await fetch(`${ROOT}study/api/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(fields),
    });
    body = await answer.json();
  } catch (error) {
    throw new Trouble(String(error));
  }
  if (answer.ok && body?.stage) {
    if (body.csrf) ({ csrf, rater } = body);
    return body;
  }
  const passing = answer.status >= 500 || answer.status === 429;
  if (answer.ok || passing || typeof body?.detail !== "string") // the last is what a proxy says in the service's place
    throw new Trouble(`answered ${answer.status}`, Number(answer.headers.get("Retry-After")) || 0);
  throw new Refused(answer.status, body);
}

// As `post`, but trouble is waited for. `onWait` is told, once per try.
export async function insist(name, fields, onWait) {
  for (let pause = 1; ; pause = Math.min(pause * 2, 10)) {
    try {
      return await post(name, fields);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      onWait();
      const seconds = Math.max(pause, Math.min(error.seconds, 60)) * (1 + Math.random() / 4); // not all at once
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12)); // randomUUID exists on secure origins alone
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function keep(given) {
  const entry = { rater, at: Date.now(), given };
  unsaved.set(given.key, entry);
  try {
    localStorage.setItem(KEPT + given.key, JSON.stringify(entry));
  } catch {
    // Without storage a reload asks the question again; nothing else is lost.
  }
}

function forget(key) {
  unsaved.delete(key);
  try {
    localStorage.removeItem(KEPT + key);
  } catch {
    // It was never stored there.
  }
}

/**
 * Send an answer that is kept, until the service says what became of it.
 * @param {any} given
 * @param {() => void} onWait told once per try
 * @returns {Promise<any>} the page's next state, once this very answer is stored
 * @throws {Refused} the service will not have it now; it is forgotten if it never will, and kept otherwise
 */
export async function send(given, onWait) {
  for (;;) {
    try {
      const state = await insist("answer", given, onWait);
      if (state.stored !== given.key) {
        onWait(); // not what the service says to an answer
        await new Promise((resolve) => setTimeout(resolve, 10000));
        continue;
      }
      forget(given.key);
      return state;
    } catch (error) {
      if (error instanceof Refused && error.refused === given.key) forget(given.key);
      throw error;
    }
  }
}

/** The rater's own answers that are kept, the oldest first; another rater's on this machine are not ours to send. */
export function kept() {
  const entries = new Map(unsaved);
  try {
    for (const name of Object.keys(localStorage))
      if (name.startsWith(KEPT)) entries.set(name.slice(KEPT.length), JSON.parse(localStorage.getItem(name) ?? "null"));
  } catch {
    // What this page remembers itself is all there is.
  }
  const mine = [...entries.values()].filter((entry) => entry?.rater === rater && entry.given);
  return mine.sort((one, other) => one.at - other.at).map((entry) => entry.given);
}

/** Whether this browser keeps an answer of anybody. */
export function keepsAny() {
  try {
    return unsaved.size > 0 || Object.keys(localStorage).some((name) => name.startsWith(KEPT));
  } catch {
    return unsaved.size > 0;
  }
}
