// What is on screen as an address, and back: `?image=sample:paper&words=red+circle,blue+star&layer=3`. What is as it is by
// itself is left out. A picture is named only when others can see it: a sample, or one that is kept; `image=own` says
// that there was another. `region=.5,0,1,.5` is a box in shares of the picture: left, top, right, bottom.

const OWN = ["image", "words", "word", "layer", "columns", "trio", "palette", "opacity", "scale", "draw", "region"];

export function addressOf({ picture, words, selected, best, depth, columns, trio, palette, opacity, allWords, allLayers, patches, contour, box }, usual) {
  const address = new URL(location.href);
  for (const name of OWN) address.searchParams.delete(name);
  const set = (name, value, other) => value !== other && address.searchParams.set(name, value);
  if (picture?.sample) set("image", `sample:${picture.sample}`);
  else if (picture) set("image", picture.kept ? picture.token : "own");
  set("words", words.join(","), "");
  set("word", words[selected] ?? "", words[0] ?? "");
  set("layer", best ? "best" : String(depth + 1), "best");
  set("columns", columns.join(","), usual.columns.join(","));
  set("trio", trio, usual.trio);
  set("palette", palette, usual.palette);
  set("opacity", opacity, usual.opacity);
  set("scale", [allWords ? "all" : "", allLayers ? "layers" : ""].filter(Boolean).join(","), "");
  set("draw", [patches ? "patches" : "", contour ? "contour" : ""].filter(Boolean).join(","), "");
  if (box) set("region", box.map((share) => String(Number(share.toFixed(3)))).join(","));
  address.hash = "";
  return address;
}

/**
 * What an address asks for; anything that makes no sense here is as if it had not been said.
 *
 * @param {import("./service.js").About} about
 */
export function readAddress(about) {
  const given = new URL(location.href).searchParams;
  const list = (name) => (given.get(name) ?? "").split(",").map((piece) => piece.trim()).filter(Boolean);
  const named = (name) => about.trios.find((each) => each.name === name);
  const image = given.get("image") ?? "";
  const sample = image.startsWith("sample:") ? about.samples.find((each) => each.name === image.slice(7)) : undefined;
  const trio = named(given.get("trio")) ?? named(sample?.trio) ?? named(about.trio) ?? about.trios[0];
  const known = trio.answers.map((answer) => answer.key);
  const columns = [...new Set(list("columns"))].filter((key) => known.includes(key)).slice(0, 3);
  const layer = Number.parseInt(given.get("layer") ?? "", 10);
  const opacity = Number.parseInt(given.get("opacity") ?? "", 10);
  const palette = given.get("palette") ?? "";
  return {
    trio: trio.name,
    columns: columns.length > 1 ? columns : trio.columns,
    words: [...new Set(list("words"))].slice(0, about.limits.words),
    word: given.get("word"),
    depth: layer >= 1 ? layer - 1 : null,
    palette: palette in about.palettes ? palette : about.palette,
    opacity: opacity >= 0 && opacity <= 100 ? String(opacity) : String(Math.round(100 * about.opacity)),
    allWords: list("scale").includes("all"),
    allLayers: list("scale").includes("layers"),
    patches: list("draw").includes("patches"),
    contour: list("draw").includes("contour"),
    sample,
    token: /^[0-9a-f]{64}$/.test(image) ? image : undefined,
    own: image === "own",
    box: boxIn(given.get("region")),
    lost: Boolean(image) && image !== "own" && !/^[0-9a-f]{64}$/.test(image) && !about.samples.some((each) => `sample:${each.name}` === image),
  };
}

// The box of a link: four shares, undefined where the link has none, null where it makes no sense.
function boxIn(text) {
  if (text === null) return undefined;
  const box = text.split(",").map((piece) => (/^(0|1|[01]?\.\d+)$/.test(piece.trim()) ? Number(piece) : NaN));
  const [left, top, right, bottom] = box;
  return box.length === 4 && left < right && top < bottom && right <= 1 && bottom <= 1 ? box : null;
}
