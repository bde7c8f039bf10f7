// Requests of the study page. An answer is kept in the browser until the service has acknowledged it, and is sent
// again with the same key after a lost connection, a reload or a restart of the service: it is stored once.
const PENDING = "lfi-study-pending";
let csrf = "";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function post(name, fields = {}) {
  const answer = await fetch(`study/api/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(fields),
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail ?? answer.statusText);
  if (body.csrf) csrf = body.csrf;
  return body;
}

// As `post`, but a lost connection or a service in trouble is waited for. `onWait` is told, once per try.
export async function insist(name, fields, onWait) {
  for (let pause = 1000; ; pause = Math.min(pause * 2, 10000)) {
    try {
      return await post(name, fields);
    } catch (error) {
      const lasting = error instanceof Refused && error.status < 500 && error.status !== 429;
      if (lasting) throw error;
      onWait();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12)); // randomUUID exists on secure origins alone
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function keepPending(given) {
  try {
    if (given) localStorage.setItem(PENDING, JSON.stringify({ csrf, given }));
    else localStorage.removeItem(PENDING);
  } catch {
    // Without storage a reload asks the question again; nothing else is lost.
  }
}

export function pending() {
  try {
    const kept = JSON.parse(localStorage.getItem(PENDING) ?? "null");
    return kept?.csrf === csrf ? kept.given : null; // another rater's on this machine is not ours to send
  } catch {
    return null;
  }
}
