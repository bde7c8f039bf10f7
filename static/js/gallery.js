// The gallery of a batch: rows sorted by any column, and only those of one word or with a certain name.
(function () {
  /** @type {HTMLTableSectionElement} */
  const body = need("tbody");
  const heads = [...document.querySelectorAll("thead th")];
  /** @type {HTMLSelectElement} */
  const word = need("#word");
  /** @type {HTMLInputElement} */
  const name = need("#name");
  const count = need("#count");
  const wide = need("#wide");

  function need(selector) {
    return /** @type {any} */ (document.querySelector(selector));
  }

  // Text sorts as people write it (image 2 before image 10); a number that is missing comes last either way.
  function compare(column, sign) {
    return (one, other) => {
      const [a, b] = [one.cells[column], other.cells[column]];
      if (!a.classList.contains("lfi-number"))
        return sign * a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
      if (a.dataset.value === undefined || b.dataset.value === undefined)
        return Number(a.dataset.value === undefined) - Number(b.dataset.value === undefined);
      return sign * (Number(a.dataset.value) - Number(b.dataset.value));
    };
  }

  function sort(column) {
    const head = heads[column];
    const numbers = body.rows.length > 0 && body.rows[0].cells[column].classList.contains("lfi-number");
    const before = head.getAttribute("aria-sort");
    const first = numbers ? "descending" : "ascending";
    const next = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
    for (const each of heads) if (each.hasAttribute("aria-sort")) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    body.append(...[...body.rows].sort(compare(column, next === "ascending" ? 1 : -1)));
  }

  function choose() {
    const part = name.value.trim().toLowerCase();
    let shown = 0;
    for (const row of body.rows) {
      const fits =
        (!word.value || row.dataset.word === word.value) && (row.dataset.image ?? "").toLowerCase().includes(part);
      row.hidden = !fits;
      shown += Number(fits);
    }
    const all = body.rows.length;
    count.textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows`;
  }

  // Says that columns are out of sight, and fades the edge behind which they are.
  function hint() {
    const hidden = wide.scrollWidth - wide.clientWidth;
    need("#more").hidden = hidden < 2;
    wide.classList.toggle("lfi-cut", hidden - wide.scrollLeft > 1);
  }

  // Served and not saved: ways to the start page, and from a word to the page for one image, in a tab of its own.
  function link() {
    if (!/\/v1\/batches\/[^/]+\/gallery$/.test(location.pathname)) return;
    const home = need("#home");
    home.hidden = window !== window.top;
    home.firstChild.href = "../../../";
    const { trio } = need("main").dataset;
    for (const cell of document.querySelectorAll("td.lfi-word")) {
      const words = cell.textContent;
      const to = document.createElement("a");
      to.textContent = words;
      to.href = `../../../ui/?${new URLSearchParams({ words, trio })}`;
      to.target = "_blank";
      to.title = `Ask one image about “${words}”, in a new tab`;
      cell.replaceChildren(to);
    }
  }

  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sort(column)));
  word.addEventListener("change", choose);
  name.addEventListener("input", choose);
  wide.addEventListener("scroll", hint, { passive: true });
  addEventListener("resize", hint);
  need("#legend").open = matchMedia("(min-width: 40rem)").matches;
  hint();
  link();
})();
