// The page as a whole: what is chosen, what the service is asked, what is drawn.

const state = { about: null, trio: null, columns: [], picture: null, view: null, drawn: null, best: true, depth: 0, palettes: {} };
const root = byId("lfi");
const progress = byId("lfi-progress");
const status = byId("lfi-status");
const banner = byId("lfi-banner");
let words, picture, maps, film, difference, region, probe, share;
let read = 0; // views so far
let taken = 0; // pictures so far
let asked = 0; // only the answer to the latest question is drawn

const GONE = "The service does not answer, or wants you to wait or to sign in again. Try again in a minute, or reload the page.";

function complain(message) {
  banner.hidden = !message;
  banner.textContent = message ? sentence(message) : "";
}

function fields() {
  const { sample, token } = state.picture;
  return { words: words.words, trio: state.trio.name, columns: state.columns, ...(sample ? { sample } : { token }), shown: Boolean(state.picture.preview) };
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
  if (answer?.view) {
    state.view = readView(answer.view);
    words.rename(answer.view.called);
  } else if (answer?.picture && (!answer.error || wanted !== state.drawn)) state.view = null;
  if (answer?.picture) state.drawn = wanted;
  return { error: answer ? answer.error : { where: "page", message: GONE } };
}

function readView(view) {
  view.number = ++read;
  for (const key of Object.keys(view.models)) view.models[key] = readMaps(view.models[key]);
  if (view.queries) view.queries = readMaps(view.queries);
  return view;
}

// Whether the models know these words: with a picture the maps come along.
async function askWords(wanted) {
  if (!state.picture) {
    const answer = await server.check({ words: wanted, trio: state.trio.name });
    if (!answer) complain(GONE);
    if (answer?.called) words.rename(answer.called);
    return answer ? answer.error : { where: "page", message: GONE };
  }
  const { error } = await refresh();
  return error;
}

// The scale is that of the words and columns on screen, so one word less or another column is a question, too.
async function askAgain() {
  draw();
  if (state.picture && words.words.length > 0) {
    const { error } = await refresh();
    if (error?.where === "words") words.explain(error);
  }
  draw();
}

// The words on screen that the models refuse one by one; a link may hold any.
async function unknownWords() {
  const answers = await Promise.all(words.words.map((word) => server.check({ words: [word], trio: state.trio.name })));
  return words.words.filter((_, index) => answers[index]?.error?.where === "words");
}

async function takePicture(next) {
  const before = state.picture;
  next.id ??= ++taken;
  const fromSample = next.words && next.words.length > 0;
  state.picture = next;
  const previousWords = words.words;
  if (fromSample) words.replace(next.words);
  words.quiet();
  let { error, superseded } = await refresh();
  if (error?.where === "words" && next === state.picture) {
    const unknown = await unknownWords();
    if (next !== state.picture) return;
    if (unknown.length) {
      words.leaveOut(unknown);
      ({ error, superseded } = await refresh());
    }
  }
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
  state.depth = Math.min(state.depth, stepsOf(view) - 1);
  const position = state.best || !view ? 0 : 1 + state.depth;
  const shown = words.words[words.selected];
  const word = view && shown !== undefined ? view.words.indexOf(shown) : -1;
  const palette = state.palettes[byId("lfi-palette").value];
  root.dataset.stage = view && word >= 0 ? "maps" : state.picture ? "picture" : "empty";
  const place = view?.positions[position];
  const scale = byId("lfi-all-words").checked ? place?.scale : place?.word_scales[word];
  const { answers } = state.trio;
  const scene = { picture: state.picture, view, word, position, scale, palette, answers, paletteName: byId("lfi-palette").value };
  scene.region = region.of(scene);
  maps.draw(scene);
  film.draw(scene);
  difference.draw(scene);
  probe.draw(scene);
  drawControls(view);
  drawAddress();
  const foreign = state.picture && !state.picture.scene && state.trio.vocabulary.length > 0;
  byId("lfi-note").classList.toggle("lfi-mind", Boolean(foreign));
  byId("lfi-maps-title").textContent = word >= 0 ? `Where they look for “${shown}”` : "Maps";
  byId("lfi-example").hidden = Boolean(state.picture) || state.about.samples.length === 0;
  const spoken = make("span", { class: "lfi-unseen" }, `Maps of “${shown}”, `);
  if (word >= 0) fill(status, spoken, `answered in ${view.seconds.toFixed(2)} s`);
  else if (state.picture) status.textContent = "Now type a word for something in the picture.";
  else status.textContent = "Choose a picture and type a word.";
  for (const button of root.querySelectorAll("[data-download], #lfi-copy-figure, #lfi-add-items")) button.disabled = word < 0;
}

// The address bar says what is on screen, so that a reload or a bookmark comes back to it.
function drawAddress() {
  const shown = { ...state, words: words.words, selected: words.selected, trio: state.trio.name };
  Object.assign(shown, { palette: byId("lfi-palette").value, opacity: byId("lfi-opacity").value, allWords: byId("lfi-all-words").checked, box: region.box });
  const { palette, opacity, trio } = state.about;
  const link = addressOf(shown, { palette, opacity: String(Math.round(100 * opacity)), trio, columns: state.trio.columns });
  if (link.href !== location.href) history.replaceState(history.state, "", link);
  link.searchParams.delete("__theme"); // dark or light is the reader's own
  share.draw(state.picture, link.href, region.marked && !region.box);
}

// From now on the page shows what is kept, so that whoever opens the link sees exactly the same.
async function takeKept(kept) {
  state.picture = kept;
  await refresh();
  draw();
}

async function letGo(forgotten) {
  if (state.picture.token !== forgotten.token) return;
  if (!forgotten.file) return location.assign(location.pathname);
  await takeKept({ ...forgotten, kept: false, exact: undefined, token: undefined, preview: undefined });
}

// Positions of the slider: as many as the deepest column has layers.
function stepsOf(view) {
  if (view) return view.positions.length - 1;
  return Math.max(...state.trio.answers.filter((answer) => state.columns.includes(answer.key)).map((answer) => answer.layers));
}

function drawControls(view) {
  const depth = byId("lfi-depth");
  const steps = stepsOf(view);
  depth.max = String(steps - 1);
  depth.disabled = !view || steps < 2;
  depth.value = String(state.depth);
  const label = state.best ? "best" : `${state.depth + 1} of ${steps}`;
  byId("lfi-depth-value").textContent = label;
  depth.setAttribute("aria-valuetext", state.best ? "best layer of each model" : `depth ${label}`);
  depth.classList.toggle("lfi-off", state.best);
  byId("lfi-best").checked = state.best;
}

// The depth at which this model shows this layer.
function showLayer(model, layer) {
  const depth = state.view ? state.view.positions.slice(1).findIndex((place) => place.layers[model] === layer) : -1;
  if (depth < 0) return;
  state.best = false;
  state.depth = depth;
  draw();
  root.querySelector(".lfi-maps").scrollIntoView();
}

function setOpacity() {
  const value = byId("lfi-opacity").value;
  root.style.setProperty("--lfi-opacity", String(value / 100));
  byId("lfi-opacity-value").textContent = `${value} %`;
}

function sayBelow(text, wrong = false) {
  const message = byId("lfi-downloads-message");
  message.classList.toggle("lfi-wrong", wrong);
  message.textContent = text;
}

// A file of what is on screen, or null after saying why there is none.
async function takeFile(format) {
  sayBelow("Preparing…");
  const more = { format, palette: byId("lfi-palette").value, position: state.best ? 0 : 1 + state.depth };
  more.opacity = Number(byId("lfi-opacity").value) / 100;
  if (region.marked) more.region = region.encoded();
  const answer = await askWithPicture(server.download, { ...more, shown: true });
  if (!answer || answer.error) {
    sayBelow(answer ? sentence(answer.error.message) : GONE, true);
    return null;
  }
  sayBelow(`${answer.name} is ready.`);
  return { name: answer.name, blob: new Blob([bytesOf(answer.data)], { type: answer.type }) };
}

async function download(button) {
  button.disabled = true;
  const file = await takeFile(button.dataset.download);
  button.disabled = false;
  if (file) save(file);
}

function save({ name, blob }) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

async function copyFigure() {
  const button = byId("lfi-copy-figure");
  button.disabled = true;
  const file = await takeFile("png");
  button.disabled = false;
  if (!file) return;
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": file.blob })]);
    sayBelow("The figure is on the clipboard.");
  } catch {
    save(file);
    sayBelow("This browser does not let the page copy pictures, so the figure was saved instead.");
  }
}

function setColumns(columns) {
  state.columns = columns;
  for (const each of [maps, film, difference]) each.setColumns(columns);
}

async function changeColumns(columns) {
  setColumns(columns);
  words.quiet();
  await askAgain();
}

// Point at a word to see its region; the word on screen has its map.
function peekWord(word) {
  const index = state.view && word !== null ? state.view.words.indexOf(word) : -1;
  probe.peek(index < 0 ? null : { word: index });
}

function chooseTrio(name) {
  state.trio = state.about.trios.find((trio) => trio.name === name) ?? state.about.trios[0];
  state.view = null;
  state.columns = state.trio.columns;
  describeModels(state.trio);
  const { answers, columns } = state.trio;
  maps = makeMaps({ answers, columns, onColumns: changeColumns });
  film = makeFilm({ answers, queries: state.trio.queries, onLayer: showLayer, onPeek: (what) => probe.peek(state.view && what) });
  difference = makeDifference({ answers, palette: bytesOf(state.about.diverging) });
  probe = makeProbe({ panels: maps.panels });
  setColumns(columns);
  words.setKnown(state.trio.vocabulary);
}

function build(about) {
  state.about = about;
  const given = readAddress(about);
  for (const [name, bytes] of Object.entries(about.palettes)) state.palettes[name] = bytesOf(bytes);
  fill(byId("lfi-palette"), ...Object.keys(about.palettes).map((name) => make("option", { value: name }, name)));
  byId("lfi-palette").value = given.palette;
  byId("lfi-opacity").value = given.opacity;
  byId("lfi-all-words").checked = given.allWords;
  setOpacity();
  picture = makePicture({ samples: about.samples, maxBytes: about.limits.bytes, onPicture: takePicture });
  words = makeWords({ limit: about.limits.words, ask: askWords, onChange: draw, onRemove: askAgain, onSelect: draw, onPeek: peekWord });
  region = makeRegion({ ask: (mask) => askWithPicture(server.measure, { region: mask, shown: true }), onMeasured: draw });
  share = makeShare({ days: about.keeping, ask: askWithPicture, onKept: takeKept, onForgotten: letGo });
  chooseTrio(given.trio);
  setColumns(given.columns);
  if (given.depth !== null) [state.best, state.depth] = [false, given.depth];
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
  byId("lfi-opacity").addEventListener("change", drawAddress);
  byId("lfi-copy-figure").addEventListener("click", copyFigure);
  for (const button of root.querySelectorAll("[data-download]")) button.addEventListener("click", () => download(button));
  if (about.studies) makeDrafts({ takeFile, say: sayBelow });
  byId("lfi-example").addEventListener("click", () => root.querySelector("[data-sample]").click());
  window.addEventListener("beforeunload", (event) => {
    const { picture: shown } = state;
    if (shown?.file && !shown.kept) event.preventDefault(); // it is nowhere but here
  });
  follow(given);
}

// What the address asks for, in one question where it names a picture.
async function follow({ words: wanted, word, sample, token, lost, own, box }) {
  const shown = wanted.length ? wanted : (sample?.words ?? []);
  words.replace(shown, Math.max(shown.indexOf(word), 0));
  const missing = () => picture.complain("the picture of this link is not kept here any more; choose one");
  region.restore(box);
  if (lost) missing();
  if (own) picture.complain(`the sender's picture was not kept, so it is not part of the link. Choose it here, or another; whoever sent you the link can ${state.about.keeping ? "keep the picture and send a new one" : "send a figure"}`);
  if (sample || token) {
    await takePicture(sample ? { ...sampleOf(sample), words: [] } : { token, kept: true, name: "of this link" });
    if (token && !state.picture) missing();
  } else draw();
}

async function start() {
  byId("lfi-note").open = matchMedia("(min-width: 40rem)").matches;
  theme.apply(); // its button is here now, and Gradio has set its own
  for (const button of root.querySelectorAll("[data-jump]")) {
    button.addEventListener("click", () => {
      const section = byId(button.dataset.jump);
      section.scrollIntoView();
      section.focus({ preventScroll: true });
    });
  }
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
