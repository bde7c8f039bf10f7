// The page as a whole: what is chosen, what the service is asked, what is drawn.

import { describeModels } from "./about.js";
import { addressOf, readAddress } from "./address.js";
import { bytesOf, readMaps } from "./colour.js";
import { controls, lookOf, looks, scaleOf, setLooks, setOpacity } from "./controls.js";
import { makeDepth } from "./depth.js";
import { makeDifference } from "./difference.js";
import { makeDownloads } from "./downloads.js";
import { makeDrafts } from "./drafts.js";
import { byId, fill, first, make, sentence } from "./elements.js";
import { makeFilm } from "./film.js";
import { makeGuide } from "./guide.js";
import { makeMaps } from "./maps.js";
import { makePaper } from "./paper.js";
import { ranking } from "./pairs.js";
import { makePicture, sampleOf, shapeFrames } from "./picture.js";
import { makeProbe } from "./probe.js";
import { makeRegion } from "./region.js";
import { GONE } from "./service.js";
import { makeShare } from "./share.js";
import { makeTour } from "./tour.js";
import { makeWords } from "./words.js";
import { makeZoom } from "./zoom.js";

/** @import { About, Picture, Server, Trio, View } from "./service.js" */

const state = {
  about: /** @type {About} */ (/** @type {unknown} */ (null)), // before anything is built
  trio: /** @type {Trio} */ (/** @type {unknown} */ (null)),
  columns: /** @type {string[]} */ ([]),
  picture: /** @type {Picture | null} */ (null),
  view: /** @type {View | null} */ (null),
  drawn: /** @type {Picture | null} */ (null), // the one that the service showed last
  trioBefore: /** @type {string | undefined} */ (undefined), // the one that a sample replaced
  palettes: /** @type {Record<string, Uint8Array>} */ ({}),
};
const root = byId("lfi");
const status = byId("lfi-status");
const banner = byId("lfi-banner");
/** @type {Server} */
let server;
/** @type {ReturnType<typeof makeWords>} */
let words;
/** @type {ReturnType<typeof makePicture>} */
let picture;
/** @type {ReturnType<typeof makeMaps>} */
let maps;
/** @type {ReturnType<typeof makeFilm>} */
let film;
/** @type {ReturnType<typeof makeDepth>} */
let depth;
/** @type {ReturnType<typeof makeDifference>} */
let difference;
/** @type {ReturnType<typeof makeRegion>} */
let region;
/** @type {ReturnType<typeof makeGuide>} */
let guide;
/** @type {ReturnType<typeof makeProbe>} */
let probe;
/** @type {ReturnType<typeof makeShare>} */
let share;
/** @type {ReturnType<typeof makeDownloads>} */
let downloads;
/** @type {ReturnType<typeof makePaper>} */
let paper;
/** @type {ReturnType<typeof makeZoom>} */
let zoom;
let read = 0; // views so far
let taken = 0; // pictures so far
let asked = 0; // only the answer to the latest question is drawn

/** @param {string | null} [message] */
function complain(message) {
  banner.hidden = !message;
  banner.textContent = message ? sentence(message) : "";
}

// The picture, where something is asked or done that there is only once one is chosen.
function shownPicture() {
  if (!state.picture) throw new Error("no picture is chosen");
  return state.picture;
}

/** @param {Picture} shown */
function fields({ sample, token, preview }) {
  return { words: words.words, trio: state.trio.name, columns: state.columns, ...(sample ? { sample } : { token }), shown: Boolean(preview) };
}

// A question about the picture; the file goes along when the service does not hold it (yet, or any more).
async function askWithPicture(question, more = {}, shown = shownPicture()) {
  const request = { ...fields(shown), ...more };
  const send = (upload) => {
    if (!upload) return question(request);
    return question({ binary: true, data: { request: JSON.stringify({ ...request, token: undefined }), file: shown.file } });
  };
  const known = shown.sample || shown.token;
  const answer = await send(!known);
  return answer?.error?.forgotten && shown.file ? send(true) : answer;
}

async function refresh() {
  const turn = ++asked;
  const wanted = shownPicture();
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
    shapeFrames(wanted);
  }
  // Words in trouble leave the maps on screen, unless they are of another picture.
  if (answer?.view) {
    state.view = readView(answer.view);
    words.rename(answer.view.called);
  } else if (answer?.picture && (!answer.error || wanted !== state.drawn)) state.view = null;
  if (answer?.picture) state.drawn = wanted;
  const error = answer ? answer.error : { where: "page", message: GONE };
  if (error?.where === "picture") picture.complain(error.message);
  if (error && wanted.id !== state.drawn?.id) goBack();
  return { error, seen: answer?.seen };
}

// The picture that was chosen did not come: what the service showed before is chosen again.
function goBack() {
  state.picture = state.drawn;
  if (state.drawn) shapeFrames(state.drawn);
}

// As `refresh`, without the words that the models do not know: they are left out and named.
async function refreshKnown() {
  const [turn, asking, { name }] = [asked + 1, words.words, state.trio];
  const found = await refresh();
  if (found.error?.where !== "words") return found;
  const unknown = await unknownWords();
  if (unknown.length && name === state.trio.name) words.leaveOut(unknown);
  if (turn !== asked) return { superseded: true };
  return words.words === asking ? found : refresh();
}

function readView(view) {
  view.number = ++read;
  for (const key of Object.keys(view.models)) view.models[key] = readMaps(view.models[key]);
  if (view.queries) view.queries = readMaps(view.queries);
  return view;
}

// Whether the models know these words: with a picture the maps come along.
async function askWords(wanted) {
  if (!state.picture) return checkWords(wanted);
  const wantedOf = state.picture.id;
  const { error, superseded } = await refresh();
  if (superseded) return checkWords(wanted); // the later question says nothing of these words alone
  // a picture that was refused says nothing of them, either
  return error && state.picture?.id !== wantedOf ? askWords(wanted) : error;
}

// The same by the words alone, those that are still there.
async function checkWords(wanted) {
  const { name } = state.trio;
  const there = wanted.filter((word) => words.words.includes(word));
  if (there.length === 0) return undefined;
  const answer = await server.check({ words: there, trio: name });
  if (name !== state.trio.name) return checkWords(wanted);
  if (!answer) complain(GONE);
  if (answer?.called) words.rename(answer.called);
  return answer ? answer.error : { where: "page", message: GONE };
}

// The scale is that of the words and columns on screen, so one word less or another column is a question, too.
async function askAgain() {
  draw();
  if (state.picture && words.words.length > 0) {
    const { error } = await refreshKnown();
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
  next.id ??= ++taken;
  const fromSample = next.words && next.words.length > 0;
  state.picture = next;
  root.setAttribute("data-compact", ""); // now, so that nothing moves when the maps come
  const previousWords = words.words;
  if (fromSample) words.replace(next.words);
  words.quiet();
  zoom.reset();
  picture.expect(next);
  const { error, superseded, seen } = await refreshKnown();
  if (superseded) return;
  if (fromSample && next !== state.picture) words.replace(previousWords);
  if (error?.where === "words") words.explain(error);
  draw();
  words.propose(seen);
}

// A sample has words of one trio; a picture of one's own goes back to the trio from before the samples.
function followTrio(next) {
  const wanted = next.trio ?? (next.file ? state.trioBefore : undefined);
  const { name } = state.trio;
  state.trioBefore = next.trio ? (state.trioBefore ?? name) : undefined;
  if (wanted && wanted !== name && state.about.trios.some((trio) => trio.name === wanted)) {
    chooseTrio(wanted);
    controls.trio.value = wanted;
  }
  return next;
}

function draw() {
  const view = state.view;
  const shown = words.words[words.selected];
  const word = view && shown !== undefined ? view.words.indexOf(shown) : -1;
  depth.draw({ view, word, count: stepsOf(view), columns: state.columns, answers: state.trio.answers });
  const position = view ? depth.position : 0;
  root.toggleAttribute("data-compact", Boolean(state.picture));
  root.dataset.stage = view && word >= 0 ? "maps" : state.picture ? "picture" : "empty";
  const scale = view && word >= 0 ? scaleOf(view, word, position, controls) : undefined;
  const { answers } = state.trio;
  const drawn = state.picture?.preview ? state.picture : state.drawn; // one that is under way has no size yet
  const scene = { picture: drawn, view, word, position, scale, look: lookOf(state.palettes), answers, region: null };
  scene.region = region.of(scene);
  maps.draw(scene);
  film.draw(scene);
  difference.draw(scene);
  for (const each of [probe, guide]) each.draw(scene);
  if (!depth.playing) drawAddress();
  const foreign = state.picture && !state.picture.scene && state.trio.vocabulary.length > 0;
  byId("lfi-note").classList.toggle("lfi-mind", Boolean(foreign));
  byId("lfi-maps-title").textContent = word >= 0 ? `Where they look for “${shown}”` : "Maps";
  byId("lfi-example").hidden = Boolean(state.picture) || state.about.samples.length === 0;
  const spoken = make("span", { class: "lfi-unseen" }, `Maps of “${shown}”, `);
  if (view && word >= 0) fill(status, spoken, `answered in ${view.seconds.toFixed(2)} s`);
  else if (state.picture) status.textContent = "Now type a word for something in the picture.";
  else status.textContent = "Choose a picture and type a word.";
  downloads.enable(word >= 0);
  paper.draw({ words: view?.words ?? [], columns: answers.filter((each) => state.columns.includes(each.key)), there: word >= 0 });
}

// The address bar says what is on screen, so that a reload or a bookmark comes back to it.
function drawAddress() {
  const shown = { ...state, ...looks(), best: depth.best, depth: depth.depth, words: words.words, selected: words.selected, trio: state.trio.name, box: region.box };
  const { palette, opacity, trio } = state.about;
  const link = addressOf(shown, { palette, opacity: String(Math.round(100 * opacity)), trio, columns: state.trio.columns });
  if (link.href !== location.href) history.replaceState(history.state, "", link);
  link.searchParams.delete("__theme"); // dark or light is the reader's own
  share.draw(state.picture, link.href, region.marked && !region.box);
}

// From now on the page shows what is kept, so that whoever opens the link sees exactly the same.
async function takeKept(kept) {
  if (state.picture?.id !== kept.id) return; // another one was chosen in the meantime
  state.picture = kept;
  await refreshKnown();
  draw();
}

async function letGo(forgotten) {
  if (state.picture?.token !== forgotten.token) return;
  if (!forgotten.file) return location.assign(location.pathname);
  await takeKept({ ...forgotten, kept: false, exact: undefined, token: undefined, preview: undefined });
}

// Positions of the slider: as many as the deepest column has layers.
function stepsOf(view) {
  if (view) return view.positions.length - 1;
  return Math.max(...state.trio.answers.filter((answer) => state.columns.includes(answer.key)).map((answer) => answer.layers));
}

// The depth at which this model shows this layer.
function showLayer(model, layer) {
  const found = state.view ? state.view.positions.slice(1).findIndex((place) => place.layers[model] === layer) : -1;
  if (found < 0) return;
  depth.show(found);
  if (byId("lfi-panels").getBoundingClientRect().top < 0) first(root, ".lfi-maps").scrollIntoView();
}

// How the maps stand on screen, for a file of them.
function asShown() {
  const more = { palette: controls.palette.value, position: depth.position, word: words.selected, opacity: Number(controls.opacity.value) / 100 };
  Object.assign(more, { smooth: !controls.patches.checked, contour: controls.contour.checked });
  return region.marked ? { ...more, region: region.encoded() } : more;
}

/** @param {string[]} columns */
function setColumns(columns) {
  state.columns = columns;
  for (const each of [maps, film, difference]) each.setColumns(columns);
}

// The explanation of a student that does best in this picture for the word on screen, and how the others do.
async function bestExplanation(model) {
  const subject = () => [state.trio.name, state.picture?.id, words.words[words.selected], region.marked && region.encoded()].join("\n");
  const more = region.marked ? { region: region.encoded() } : {};
  const about = subject();
  const answer = await askWithPicture(server.rank, { model, word: words.selected, ...more, shown: true });
  if (about !== subject()) return null;
  if (!answer?.ranked?.length) return { key: "", said: answer?.error ? sentence(answer.error.message) : GONE };
  depth.showBest();
  return ranking(answer.ranked, state.trio.answers);
}

// How much of the maps on screen lies in a region, whatever has been chosen since they came.
async function measured(mask, view) {
  const question = { region: mask, words: view.words, columns: Object.keys(view.models), shown: true };
  return askWithPicture(server.measure, question, state.drawn ?? undefined);
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
  maps = makeMaps({ answers, columns, onColumns: changeColumns, onLayer: showLayer, onRank: bestExplanation });
  film = makeFilm({ answers, queries: state.trio.queries, onLayer: showLayer, onPeek: (what) => probe.peek(state.view && what) });
  difference = makeDifference({ answers, palette: bytesOf(state.about.diverging) });
  probe = makeProbe({ panels: maps.panels });
  guide = makeGuide({ panels: maps.panels });
  setColumns(columns);
  words.setKnown(state.trio.vocabulary);
}

function build(about) {
  state.about = about;
  const given = readAddress(about);
  for (const [name, bytes] of Object.entries(about.palettes)) state.palettes[name] = bytesOf(bytes);
  fill(controls.palette, ...Object.keys(about.palettes).map((name) => make("option", { value: name }, name)));
  setLooks(given);
  // while the layers play, and when they stand still again, their colours mean the same in all of them
  const onPlay = (playing) => (playing ? (controls.allLayers.checked = true) : drawAddress());
  depth = makeDepth({ depth: given.depth, onChange: draw, onFade: (share) => maps.fade(share), onPlay });
  picture = makePicture({ samples: about.samples, maxBytes: about.limits.bytes, onPicture: (next) => takePicture(followTrio(next)) });
  words = makeWords({ limit: about.limits.words, ask: askWords, onChange: draw, onRemove: askAgain, onSelect: draw, onPeek: peekWord });
  zoom = makeZoom();
  region = makeRegion({ ask: measured, onMeasured: draw });
  downloads = makeDownloads({ ask: (question) => askWithPicture(server.download, { ...asShown(), ...question, shown: true }) });
  paper = makePaper({ take: ({ format, ...more }) => downloads.download(format, more), say: downloads.say });
  if (about.studies) makeDrafts(downloads);
  share = makeShare({ days: about.keeping, keeping: (mine) => askWithPicture(server.keep, {}, mine), forgetting: server.forget, onKept: takeKept, onForgotten: letGo });
  chooseTrio(given.trio);
  setColumns(given.columns);
  fill(controls.trio, ...about.trios.map((trio) => make("option", { value: trio.name }, trio.name)));
  controls.trio.value = state.trio.name;
  byId("lfi-trio-control").hidden = about.trios.length < 2;
  controls.trio.addEventListener("change", async () => {
    state.trioBefore = undefined;
    chooseTrio(controls.trio.value);
    if (state.picture) await takePicture(state.picture);
    else draw();
  });
  for (const each of [controls.palette, controls.allWords, controls.allLayers, controls.patches, controls.contour]) each.addEventListener("change", draw);
  controls.opacity.addEventListener("input", setOpacity);
  controls.opacity.addEventListener("change", drawAddress);
  const example = () => first(root, "[data-sample]").click();
  byId("lfi-example").addEventListener("click", example);
  makeTour({ onSecond: () => state.picture || example() });
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

/** @param {Server} given what Gradio lets the page ask of the service */
export async function start(given) {
  server = given;
  byId("lfi-note", HTMLDetailsElement).open = matchMedia("(min-width: 40rem)").matches;
  document.dispatchEvent(new Event("lfi-theme")); // its button is here now, and Gradio has set its own
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-jump]"))) {
    button.addEventListener("click", () => {
      const section = byId(button.dataset.jump ?? "");
      section.scrollIntoView();
      section.focus({ preventScroll: true });
    });
  }
  for (;;) {
    const about = /** @type {About | null} */ (await server.describe());
    if (about?.ready) {
      complain("");
      return build(about);
    }
    complain(about ? about.problem || "The models are still loading…" : GONE);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
