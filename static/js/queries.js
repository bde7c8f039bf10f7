// All Interaction Queries of the student at the layer on screen, with the names they learned.

const QUERY_SIDE = 144;

function makeQueries() {
  const list = byId("lfi-queries");
  let shown = [];

  function item(name) {
    const frame = makeFrame(name);
    const title = make("p", { class: "lfi-query-title" });
    const named = make("p", { class: "lfi-query-name" });
    const answers = make("p", { class: "lfi-query-answers" });
    return { frame, title, named, answers, node: make("li", { class: "lfi-query" }, frame.node, title, named, answers) };
  }

  return {
    // `expected` empty frames keep the place until there are maps.
    draw({ picture, view, word, position, scale, palette, expected }) {
      const queries = view?.queries;
      const names = queries ? queries.names : Array.from({ length: expected }, (_, index) => `query ${index + 1}`);
      if (shown.length !== names.length) {
        shown = names.map(item);
        fill(list, ...shown.map((each) => each.node));
      }
      shown.forEach((each, index) => {
        each.title.textContent = names[index];
        if (picture) each.frame.setPicture(picture, QUERY_SIDE);
        if (!queries || word < 0) {
          each.frame.clear(`${names[index]}: no map yet`);
          each.named.textContent = "";
          each.answers.textContent = "";
          each.node.classList.remove("lfi-answering");
          return;
        }
        const map = queries.at(view.positions[position].layers.lfi, index);
        const peak = peakOf(map, queries.grid);
        const [name, nearness] = queries.named[index] ?? ["", 0];
        each.frame.setMap(map, queries.grid, scale, palette, `${names[index]}: peak ${short(peak.value)}× uniform, ${peak.place}`);
        fill(each.named, `near “${name}” `, make("span", { class: "lfi-number" }, short(nearness)));
        const answered = view.addressed.filter((one) => one.query === index).map((one) => `“${one.word}”`);
        each.answers.textContent = answered.length ? `answers ${answered.join(", ")}` : "";
        each.node.classList.toggle("lfi-answering", view.addressed[word]?.query === index);
      });
    },
  };
}
