// The page as a whole: what is chosen, what the service is asked, what is drawn.

const state = { about: null, trio: null, picture: null, view: null, drawn: null, best: true, depth: 0, palettes: {} };
const root = byId("lfi");
const progress = byId("lfi-progress");
const status = byId("lfi-status");
const banner = byId("lfi-banner");
let words, picture, maps, queries;
let asked = 0; // only the answer to the latest question is drawn

const GONE = "The service does not answer. Check that it is still running, then try again.";

function complain(message) {
  banner.hidden = !message;
  banner.textContent = message ? sentence(message) : "";
}

function fields() {
  const { sample, token } = state.picture;
  return { words: words.words, trio: state.trio.name, ...(sample ? { sample } : { token }), shown: Boolean(state.picture.preview) };
}

// A question about the picture; the file goes along when the service does not hold it (yet, or any more).
async function askWithPicture(question, more = {}) {
  const send = (upload) => {
    const request = { ...fields(), ...more };
    if (!upload) return question(request);
    return question({ binary: true, data: { request: JSON.stringify({ ...request, token: undefined }), file: state.picture.file } });
  };
  const known = state.picture.sample || state.picture.token;
  const answer = await send(!known);
  return answer?.error?.forgotten && state.picture.file ? send(true) : answer;
}

async function refresh() {
  const turn = ++asked;
  const wanted = state.picture;
  root.dataset.busy = "";
  byId("lfi-panels").setAttribute("aria-busy", "true");
  const answer = await askWithPicture(server.compare);
  if (turn !== asked) return { superseded: true };
  delete root.dataset.busy;
  byId("lfi-panels").removeAttribute("aria-busy");
  if (!answer) complain(GONE);
  else if (answer.error?.where === "page") complain(answer.error.message);
  else complain("");
  if (answer?.picture) {
    Object.assign(wanted, answer.picture);
    picture.show(wanted);
  }
  // Words in trouble leave the maps on screen, unless they are of another picture.
  if (answer?.view) state.view = readView(answer.view);
  else if (answer?.picture && (!answer.error || wanted !== state.drawn)) state.view = null;
  if (answer?.picture) state.drawn = wanted;
  return { error: answer ? answer.error : { where: "page", message: GONE } };
}

function readView(view) {
  for (const key of Object.keys(view.models)) view.models[key] = readMaps(view.models[key]);
  if (view.queries) view.queries = readMaps(view.queries);
  return view;
}

// Whether the models know these words: with a picture the maps come along.
async function askWords(wanted) {
  if (!state.picture) {
    const answer = await server.check({ words: wanted, trio: state.trio.name });
    if (!answer) complain(GONE);
    return answer ? answer.error : { where: "page", message: GONE };
  }
  const { error } = await refresh();
  return error;
}

// The scale is that of the words on screen, so one word less is a question, too.
async function dropWord() {
  draw();
  if (state.picture && words.words.length > 0) await refresh();
  draw();
}

async function takePicture(next) {
  const before = state.picture;
  const fromSample = next.words && next.words.length > 0;
  state.picture = next;
  const previousWords = words.words;
  if (fromSample) words.replace(next.words);
  const { error, superseded } = await refresh();
  if (superseded) return;
  if (error && !next.preview) {
    state.picture = before;
    if (fromSample) words.replace(previousWords);
  }
  if (error?.where === "picture") picture.complain(error.message);
  if (error?.where === "words") words.explain(error);
  draw();
}

function draw() {
  const view = state.view;
  const position = state.best || !view ? 0 : 1 + state.depth;
  const shown = words.words[words.selected];
  const word = view && shown !== undefined ? view.words.indexOf(shown) : -1;
  const palette = state.palettes[byId("lfi-palette").value];
  root.dataset.stage = view && word >= 0 ? "maps" : state.picture ? "picture" : "empty";
  const place = view?.positions[position];
  const scale = byId("lfi-all-words").checked ? place?.scale : place?.word_scales[word];
  const scene = { picture: state.picture, view, word, position, scale, palette };
  maps.draw(scene);
  queries.draw({ ...scene, expected: state.trio.queries });
  drawControls(view);
  const foreign = state.picture && !state.picture.scene && state.trio.vocabulary.length > 0;
  byId("lfi-note").classList.toggle("lfi-mind", Boolean(foreign));
  byId("lfi-maps-title").textContent = word >= 0 ? `Where they look for “${shown}”` : "Maps";
  byId("lfi-example").hidden = Boolean(state.picture) || state.about.samples.length === 0;
  const spoken = make("span", { class: "lfi-unseen" }, `Three maps of “${shown}”, `);
  if (word >= 0) fill(status, spoken, `answered in ${view.seconds.toFixed(2)} s`);
  else if (state.picture) status.textContent = "Now type a word for something in the picture.";
  else status.textContent = "Choose a picture and type a word, or";
  for (const button of root.querySelectorAll("[data-download]")) button.disabled = word < 0;
}

function drawControls(view) {
  const depth = byId("lfi-depth");
  const steps = view ? view.positions.length - 1 : 2;
  depth.max = String(steps - 1);
  depth.disabled = !view || steps < 2;
  state.depth = Math.min(state.depth, steps - 1);
  depth.value = String(state.depth);
  const label = state.best ? "best" : `${state.depth + 1} of ${steps}`;
  byId("lfi-depth-value").textContent = label;
  depth.setAttribute("aria-valuetext", state.best ? "best layer of each model" : `depth ${label}`);
  depth.classList.toggle("lfi-off", state.best);
  byId("lfi-best").checked = state.best;
}

function setOpacity() {
  const value = byId("lfi-opacity").value;
  root.style.setProperty("--lfi-opacity", String(value / 100));
  byId("lfi-opacity-value").textContent = `${value} %`;
}

async function download(button) {
  const message = byId("lfi-downloads-message");
  button.disabled = true;
  message.textContent = "Preparing…";
  const more = { format: button.dataset.download, palette: byId("lfi-palette").value, position: state.best ? 0 : 1 + state.depth };
  const answer = await askWithPicture(server.download, { ...more, shown: true });
  button.disabled = false;
  message.classList.toggle("lfi-wrong", !answer || Boolean(answer.error));
  if (!answer || answer.error) {
    message.textContent = answer ? sentence(answer.error.message) : GONE;
    return;
  }
  const address = URL.createObjectURL(new Blob([bytesOf(answer.data)], { type: answer.type }));
  make("a", { href: address, download: answer.name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  message.textContent = `${answer.name} is ready.`;
}

function setDark(dark) {
  document.body.classList.toggle("dark", dark);
  byId("lfi-theme").setAttribute("aria-pressed", String(dark));
  const address = new URL(location.href);
  address.searchParams.set("__theme", dark ? "dark" : "light");
  history.replaceState(history.state, "", address);
}

function chooseTrio(name) {
  state.trio = state.about.trios.find((trio) => trio.name === name) ?? state.about.trios[0];
  state.view = null;
  describeModels(state.trio);
  maps = makeMaps(state.trio.models);
  words.setKnown(state.trio.vocabulary);
}

function build(about) {
  state.about = about;
  for (const [name, bytes] of Object.entries(about.palettes)) state.palettes[name] = bytesOf(bytes);
  fill(byId("lfi-palette"), ...Object.keys(about.palettes).map((name) => make("option", { value: name, selected: name === about.palette }, name)));
  byId("lfi-opacity").value = String(Math.round(100 * about.opacity));
  setOpacity();
  picture = makePicture({ samples: about.samples, maxBytes: about.limits.bytes, onPicture: takePicture });
  words = makeWords({ limit: about.limits.words, ask: askWords, onChange: draw, onRemove: dropWord, onSelect: draw });
  queries = makeQueries();
  chooseTrio(about.trio);
  fill(byId("lfi-trio"), ...about.trios.map((trio) => make("option", { value: trio.name }, trio.name)));
  byId("lfi-trio").value = state.trio.name;
  byId("lfi-trio-control").hidden = about.trios.length < 2;
  byId("lfi-trio").addEventListener("change", async (event) => {
    chooseTrio(event.target.value);
    if (state.picture) await takePicture(state.picture);
    else draw();
  });
  byId("lfi-depth").addEventListener("input", (event) => {
    state.best = false;
    state.depth = Number(event.target.value);
    draw();
  });
  byId("lfi-best").addEventListener("change", (event) => {
    state.best = event.target.checked;
    draw();
  });
  byId("lfi-palette").addEventListener("change", draw);
  byId("lfi-all-words").addEventListener("change", draw);
  byId("lfi-opacity").addEventListener("input", setOpacity);
  for (const button of root.querySelectorAll("[data-download]")) button.addEventListener("click", () => download(button));
  byId("lfi-example").addEventListener("click", () => root.querySelector("[data-sample]").click());
  draw();
}

async function start() {
  byId("lfi-note").open = matchMedia("(min-width: 40rem)").matches;
  byId("lfi-theme").setAttribute("aria-pressed", String(document.body.classList.contains("dark")));
  byId("lfi-theme").addEventListener("click", () => setDark(!document.body.classList.contains("dark")));
  byId("lfi-to-about").addEventListener("click", () => {
    byId("lfi-about").scrollIntoView();
    byId("lfi-about").focus({ preventScroll: true });
  });
  for (;;) {
    const about = await server.describe();
    if (about?.ready) {
      complain("");
      return build(about);
    }
    complain(about ? about.problem || "The models are still loading…" : GONE);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

start();
