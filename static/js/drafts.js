// For a study's owner who is signed in at /admin: the picture and its words become items of a draft, from here.

import { byId, fill, guarded, make, sentence } from "./elements.js";
import { GONE } from "./service.js";

export function makeDrafts({ takeFile, say }) {
  const group = byId("lfi-drafts");
  const choice = byId("lfi-draft", HTMLSelectElement);
  const button = byId("lfi-add-items", HTMLButtonElement);
  let csrf = "";
  let waiting = false; // for an answer to what was added

  async function look() {
    try {
      const found = await (await fetch("../admin/drafts.json")).json();
      csrf = found.csrf;
      const chosen = choice.value;
      fill(choice, ...found.drafts.map((name) => make("option", { value: name }, name)));
      if (found.drafts.includes(chosen)) choice.value = chosen;
      group.hidden = found.drafts.length === 0;
    } catch {
      group.hidden = true; // the service does not answer; the page says so elsewhere
    }
  }

  async function add() {
    const name = choice.value;
    const file = await takeFile("study");
    if (!file) return;
    say(`Adding to “${name}”: all its maps are being redrawn…`);
    const telling = setInterval(() => tell(name), 700);
    waiting = true;
    const form = new FormData();
    form.append("csrf", csrf);
    form.append("file", file.blob, file.name);
    try {
      const answer = await fetch(`../admin/${name}/items`, { method: "POST", body: form });
      const said = await answer.json();
      if (!answer.ok) return say(sentence(said.detail), true);
      if (said.added === 0) return say(`Nothing added: “${name}” has these words on this picture already.`);
      const known = said.known ? ` ${said.known} of the words were there already.` : "";
      say(`${said.added} ${said.added === 1 ? "item" : "items"} added to “${name}”.${known}`);
    } catch {
      say(GONE, true);
    } finally {
      clearInterval(telling);
      waiting = false;
    }
  }

  // How far the drawing is, while somebody waits for it.
  async function tell(name) {
    try {
      const now = await (await fetch(`../admin/${name}/drawing`)).json();
      if (now && waiting) say(`Adding to “${name}”: ${now.done} of ${now.of} maps are drawn…`);
    } catch {
      // The next turn tries again.
    }
  }

  const ready = guarded([button]);
  ready.enable(true);
  button.addEventListener("click", () => ready.during(button, add));
  document.addEventListener("visibilitychange", () => document.hidden || look()); // signed in, or opened, in another tab
  look();
}
