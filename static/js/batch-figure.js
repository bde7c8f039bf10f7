// A figure of a batch's rows: those that the gallery shows first, or others of them, with columns, width and letters.

import { byId, fill, guarded, make, sentence } from "./elements.js";

const TICKED = 6;
const MOST = 24;
const TITLES = { teacher: "Teacher", lfi: "LFI student", baseline: "Baseline" };

const chosen = (id) =>
  [...byId(id).querySelectorAll("input")].filter((each) => each.checked).map((each) => each.value);

// "baseline:rollout" is called "Baseline, rollout", as on the figure.
function titleOf(model) {
  const [name, ...explanation] = model.split(":");
  return [TITLES[name] ?? name, ...explanation].join(", ");
}

function check(value, text, checked) {
  return make("label", { class: "lfi-batch-check" }, make("input", { type: "checkbox", value, checked }), ` ${text}`);
}

/** @param {HTMLIFrameElement} gallery which is of this page's own service, so its rows can be read */
export function makeFigure(gallery) {
  const panel = byId("batch-figure", HTMLDetailsElement);
  const button = byId("batch-figure-make", HTMLButtonElement);
  let path = "";
  let listed = "";

  function say(text, wrong = false) {
    const said = byId("batch-figure-said");
    said.classList.toggle("lfi-wrong", wrong);
    said.textContent = text;
  }

  // What is listed follows the gallery; a choice of rows lasts until it is sorted or narrowed anew.
  function list() {
    const rows = [...(gallery.contentDocument?.querySelectorAll("tbody tr") ?? [])]
      .map((each) => /** @type {HTMLTableRowElement} */ (each))
      .filter((each) => !each.hidden)
      .slice(0, MOST)
      .map(({ dataset: { image = "", word = "" } }) => ({ image, word }));
    const now = JSON.stringify(rows);
    if (now === listed) return;
    listed = now;
    const boxes = rows.map(({ image, word }, number) => check(`${image}:${word}`, `${word} in ${image}`, number < TICKED));
    fill(byId("batch-figure-rows"), ...(boxes.length ? boxes : ["The gallery shows no row."]));
  }

  async function take() {
    const [rows, models] = [chosen("batch-figure-rows"), chosen("batch-figure-models")];
    if (!rows.length || !models.length) return say("Choose at least one row and one column for the figure.", true);
    const picked = (name) => byId(`batch-figure-${name}`, HTMLSelectElement).value;
    const query = new URLSearchParams([
      ...rows.map((row) => ["row", row]),
      ...models.map((model) => ["models", model]),
      ...["format", "width", "points"].map((name) => [name, picked(name)]),
      ["captions", String(byId("batch-figure-captions", HTMLInputElement).checked)],
    ]);
    say("Drawing…");
    try {
      const response = await fetch(`${path}/figure.zip?${query}`);
      if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        return say(sentence(problem.detail || `the service answered ${response.status}`), true);
      }
      const address = URL.createObjectURL(await response.blob());
      make("a", { href: address, download: "figure.zip" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      say("figure.zip is ready.");
    } catch {
      say("The service does not answer; is it running, and are you online?", true);
    }
  }

  const ready = guarded([button]);
  ready.enable(true);
  button.addEventListener("click", () => ready.during(button, take));
  gallery.addEventListener("load", () => {
    list();
    for (const kind of ["click", "change", "input"]) gallery.contentDocument?.addEventListener(kind, list);
  });

  return {
    /** @param {string} at the batch's path @param {string[]} models its columns */
    offer(at, models) {
      path = at;
      listed = "";
      say("");
      fill(byId("batch-figure-models"), ...models.map((model) => check(model, titleOf(model), true)));
      panel.hidden = false;
    },
    withdraw() {
      panel.hidden = true;
      panel.open = false;
    },
  };
}
