// Many images at once: send them, show how far they are, show the gallery. The address keeps the batch's id.

import { makeFigure } from "./batch-figure.js";
import { byId, fill, first, make, sentence } from "./elements.js";

const POLL = 1000;
const OVER = ["done", "stopped", "failed"];
const form = byId("batch-form", HTMLFormElement);
const images = byId("batch-images", HTMLInputElement);
const words = byId("batch-words", HTMLInputElement);
const gallery = byId("batch-gallery", HTMLIFrameElement);
const sure = byId("batch-sure", HTMLDialogElement);
const bar = byId("batch-bar", HTMLProgressElement);
const drop = byId("batch-drop");
const start = byId("batch-start", HTMLButtonElement);
const figure = makeFigure(gallery);
let timer = 0;
let turn = 0; // what was asked of a batch before it was stopped, deleted or left is not shown any more
let polling = false;

class Refused extends Error {
  /**
   * @param {string} message
   * @param {number} status of HTTP, 0 where nothing answered
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function complain(text, said = "") {
  for (const [name, line] of [["batch-error", text], ["batch-said", said]]) {
    byId(name).hidden = !line;
    byId(name).textContent = line ? sentence(line) : "";
  }
}

// The words go along to the page for one image.
function lead(words) {
  byId("batch-one", HTMLAnchorElement).href = words ? `ui/?${new URLSearchParams({ words })}` : "ui/";
}

// The answer, or a refusal in the service's words.
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("the service does not answer; is it running, and are you online?", 0);
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Refused(problem.detail || `the service answered ${response.status}`, response.status);
}

function pathOf(id) {
  return `v1/batches/${encodeURIComponent(id)}`;
}

async function send(event) {
  event.preventDefault();
  complain("");
  const fields = new FormData();
  for (const file of images.files ?? []) fields.append("images", file);
  fields.append("words", words.value);
  start.disabled = true;
  start.textContent = "Sending…";
  try {
    const batch = await ask("v1/batches", { method: "POST", body: fields });
    turn++;
    history.replaceState(null, "", `#${batch.id}`);
    show(batch);
    byId("batch-state").focus();
  } catch (thrown) {
    const error = /** @type {Refused} */ (thrown);
    complain(error.message);
  } finally {
    start.disabled = false;
    start.textContent = "Start";
  }
}

function time(seconds) {
  if (seconds < 90) return `about ${Math.max(Math.round(seconds), 1)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

const TITLES = { waiting: "Waiting", running: "Looking", done: "Done", stopped: "Stopped", failed: "Failed" };

function show(batch) {
  const over = OVER.includes(batch.state);
  form.hidden = true;
  byId("batch-run").hidden = false;
  byId("batch-state").textContent = `${TITLES[batch.state]}: ${batch.words.join(", ")}`;
  bar.max = batch.total;
  bar.value = batch.done;
  const unread = batch.unread.length;
  const missed = unread ? `, ${unread} could not be read` : "";
  const parts = [`${batch.done - unread} of ${batch.total} images${missed}`];
  if (batch.ahead) parts.push(`${batch.ahead} batch${batch.ahead === 1 ? "" : "es"} before this one`);
  if (batch.seconds_left !== null) parts.push(time(batch.seconds_left));
  if (batch.problem) parts.push(batch.problem);
  byId("batch-left").textContent = parts.join(" · ");

  byId("batch-unread").hidden = !unread;
  fill(first(byId("batch-unread"), "ul"), ...batch.unread.map((each) => make("li", {}, `${each.image}: ${each.problem}`)));
  const noted = [...batch.noted.map((each) => `${each.image}: ${each.note}`), ...batch.other_names.map((name) => `${name}: not an image`)];
  byId("batch-noted").hidden = !noted.length;
  fill(first(byId("batch-noted"), "ul"), ...noted.map((each) => make("li", {}, each)));

  lead(batch.words.join(","));
  byId("batch-stop").hidden = over;
  polling = !batch.finished;
  if (polling) lookLater(batch.id, POLL);
  else finish(batch);
}

function lookLater(id, pause) {
  clearTimeout(timer);
  timer = setTimeout(() => look(id), pause);
}

function finish(batch) {
  const links = {
    "batch-archive": batch.state === "failed" ? "" : `${pathOf(batch.id)}/batch.zip`,
    "batch-table": `${pathOf(batch.id)}/scores.csv`,
    "batch-open": `${pathOf(batch.id)}/gallery`,
  };
  for (const [name, link] of Object.entries(links)) {
    byId(name).hidden = !link;
    byId(name, HTMLAnchorElement).href = link;
  }
  if (batch.done > batch.unread.length) figure.offer(pathOf(batch.id), batch.models);
  gallery.hidden = false;
  gallery.src = `${pathOf(batch.id)}/gallery`;
}

function reset() {
  turn++;
  clearTimeout(timer);
  history.replaceState(null, "", location.pathname);
  form.hidden = false;
  byId("batch-run").hidden = true;
  figure.withdraw();
  gallery.hidden = true;
  gallery.removeAttribute("src");
  for (const name of ["batch-archive", "batch-table", "batch-open"]) byId(name).hidden = true;
}

async function look(id) {
  const mine = turn;
  try {
    const batch = await ask(pathOf(id));
    if (mine === turn) show(batch);
  } catch (thrown) {
    if (mine !== turn) return;
    const error = /** @type {Refused} */ (thrown);
    if (error.status === 404) reset();
    else lookLater(id, 5 * POLL);
    complain(error.message);
  }
}

async function act(method, end) {
  const id = location.hash.slice(1);
  const mine = ++turn;
  clearTimeout(timer);
  complain("");
  try {
    const batch = await ask(pathOf(id) + end, { method });
    if (mine !== turn) return;
    if (batch) show(batch);
    else {
      reset();
      complain("", "the batch and all of its files are deleted");
    }
  } catch (thrown) {
    if (mine !== turn) return;
    const error = /** @type {Refused} */ (thrown);
    complain(error.message);
    if (error.status === 404) reset();
    else if (polling) lookLater(id, 5 * POLL);
  }
}

for (const kind of /** @type {const} */ (["dragover", "dragleave", "drop"])) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("lfi-over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer?.files.length) images.files = event.dataTransfer.files;
  });
}
form.addEventListener("submit", send);
byId("batch-stop").addEventListener("click", () => act("POST", "/stop"));
byId("batch-delete").addEventListener("click", () => sure.showModal());
byId("batch-sure-keep").addEventListener("click", () => sure.close());
byId("batch-sure-delete").addEventListener("click", () => {
  sure.close();
  act("DELETE", "");
});
// The samples of the models that answer, as if they had been chosen here, with their words.
async function takeSamples(samples) {
  const sample = byId("batch-sample", HTMLButtonElement);
  sample.disabled = true;
  try {
    const chosen = new DataTransfer();
    for (const { file } of samples) {
      const found = await fetch(`static/samples/${file}`);
      if (!found.ok) throw new Refused(`the sample ${file} did not load; try again`, found.status);
      const blob = await found.blob();
      chosen.items.add(new File([blob], file, { type: blob.type }));
    }
    images.files = chosen.files;
    words.value = [...new Set(samples.flatMap((each) => each.words.slice(0, 1)))].join(", ");
    lead(words.value);
    complain("", `${samples.length} samples and their words are chosen; change them, or start`);
    start.focus();
  } catch (thrown) {
    complain(/** @type {Error} */ (thrown).message);
  } finally {
    sample.disabled = false;
  }
}

async function offerSamples(trio) {
  const listed = await ask("static/samples/samples.json");
  const samples = listed.filter((each) => (each.trio ?? "scenes") === trio && !each.scene);
  const sample = byId("batch-sample");
  sample.hidden = samples.length === 0;
  sample.onclick = () => takeSamples(samples);
}

words.addEventListener("input", () => lead(words.value));

ask("v1/models")
  .then(({ default: name, trios }) => {
    const { vocabulary } = trios.find((trio) => trio.name === name);
    if (vocabulary.length) byId("batch-known").textContent = `These models know: ${vocabulary.join(", ")}. Separate words with commas.`;
    return offerSamples(name);
  })
  .catch(() => {}); // the hint that is there will do
if (location.hash.length > 1) look(location.hash.slice(1));
