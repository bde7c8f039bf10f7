// The three panels on their one colour scale.

const MAP_SIDE = 320; // pixels of a panel's canvas along the picture's longer side; CSS does the rest

const FACTS = ["Map", "Layer", "Read from", "Peak", "Model"];

// A square frame with a picture in it and a canvas exactly over the picture, so nothing moves when pictures change.
function makeFrame(label) {
  const picture = make("img", { alt: "", class: "lfi-picture" });
  const canvas = make("canvas", { class: "lfi-heat", role: "img", "aria-label": label, width: 8, height: 8 });
  const stack = make("div", { class: "lfi-stack", hidden: true }, picture, canvas);
  const node = make("div", { class: "lfi-frame" }, stack);
  return {
    node,
    canvas,
    setPicture(shown, side) {
      const ratio = shown.width / shown.height;
      stack.hidden = false;
      stack.style.aspectRatio = String(ratio);
      stack.style.width = ratio >= 1 ? "100%" : "auto";
      stack.style.height = ratio >= 1 ? "auto" : "100%";
      canvas.width = Math.max(1, Math.round(side * Math.min(ratio, 1)));
      canvas.height = Math.max(1, Math.round(side / Math.max(ratio, 1)));
      if (picture.src !== shown.preview) picture.src = shown.preview;
    },
    setMap(map, grid, scale, palette, label) {
      paint(canvas, map, grid, scale, palette);
      canvas.hidden = false;
      canvas.setAttribute("aria-label", label);
    },
    clear(label) {
      canvas.hidden = true;
      canvas.setAttribute("aria-label", label);
    },
  };
}

function makeMaps(models) {
  const panels = models.map((model) => {
    const frame = makeFrame(`${model.name}: no map yet`);
    const teaching = make("div", { class: "lfi-teaching" }, byId(`lfi-teach-${model.key}`).content.cloneNode(true));
    frame.node.append(teaching);
    const facts = make("dl", { class: "lfi-facts" });
    const node = make(
      "article",
      { class: "lfi-panel", "data-model": model.key, "aria-label": model.name },
      make("h3", {}, make("span", { class: "lfi-dot", "aria-hidden": "true" }), model.name),
      frame.node,
      facts,
    );
    return { key: model.key, name: model.name, frame, teaching, facts, node };
  });
  fill(byId("lfi-panels"), ...panels.map((panel) => panel.node));

  function factsOf(key, maps, layer, query, addressed, lookedUp) {
    const peak = peakOf(maps.at(layer, query), maps.grid);
    const source =
      key === "lfi" && addressed
        ? `${lookedUp}, nearness ${short(addressed.nearness)}`
        : maps.source;
    const outside = maps.outside[layer][query];
    const off = outside >= 0.005 ? `; ${Math.round(100 * outside)} % of attention off the picture` : "";
    const values = [
      maps.kind,
      maps.layers.length > 1 ? `${layer + 1} of ${maps.layers.length} (${maps.layers[layer]})` : maps.layers[0],
      source,
      `${short(peak.value)}× uniform, ${peak.place}${off}`,
      maps.model,
    ];
    return FACTS.map((name, index) => [name, values[index]]);
  }

  function write(list, facts) {
    fill(list, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  }

  function draw({ picture, view, word, position, scale, palette }) {
    for (const panel of panels) {
      panel.teaching.hidden = Boolean(picture);
      if (picture) panel.frame.setPicture(picture, MAP_SIDE);
      if (!view || word < 0) {
        panel.frame.clear(`${panel.name}: no map yet`);
        write(panel.facts, FACTS.map((name) => [name, "–"]));
        continue;
      }
      const maps = view.models[panel.key];
      const layer = view.positions[position].layers[panel.key];
      const addressed = view.addressed[word];
      const query = addressed && view.queries ? view.queries.names[addressed.query] : "";
      const facts = factsOf(panel.key, maps, layer, word, addressed, query);
      const peak = facts.find(([name]) => name === "Peak")[1];
      panel.frame.setMap(
        maps.at(layer, word),
        maps.grid,
        scale,
        palette,
        `${panel.name}, where it looks for ${view.words[word]}: ${peak}`,
      );
      write(panel.facts, facts);
    }
    drawScale(word < 0 ? null : scale, palette);
  }

  function drawScale(scale, palette) {
    const bar = byId("lfi-scale");
    byId("lfi-scale-bar").style.backgroundImage = gradientOf(palette);
    bar.classList.toggle("lfi-idle", !scale);
    if (!scale) return fill(byId("lfi-scale-ticks"));
    const labels = scale.ticks.map((tick) => tick.label);
    bar.setAttribute(
      "aria-label",
      `One colour scale for all maps, from ${labels[0]} to ${labels[labels.length - 1]} uniform attention`,
    );
    fill(
      byId("lfi-scale-ticks"),
      ...scale.ticks.map((tick) => make("span", { style: `left: ${(100 * tick.at).toFixed(2)}%` }, tick.label)),
    );
  }

  return { draw };
}
