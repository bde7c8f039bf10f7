// The gallery of a batch: rows sorted by any column, and only those of one word or with a certain name.
"use strict";

(function () {
  document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);

  const body = document.querySelector("tbody");
  const heads = [...document.querySelectorAll("thead th")];
  const word = document.getElementById("word");
  const name = document.getElementById("name");
  const count = document.getElementById("count");

  // Text sorts as people write it (image 2 before image 10); a number that is missing comes last either way.
  function compare(column, sign) {
    return (one, other) => {
      const [a, b] = [one.cells[column], other.cells[column]];
      if (!a.classList.contains("lfi-number"))
        return sign * a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
      if (a.dataset.value === undefined || b.dataset.value === undefined)
        return (a.dataset.value === undefined) - (b.dataset.value === undefined);
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
        (!word.value || row.dataset.word === word.value) && row.dataset.image.toLowerCase().includes(part);
      row.hidden = !fits;
      shown += fits;
    }
    const all = body.rows.length;
    count.textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows`;
  }

  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sort(column)));
  word.addEventListener("change", choose);
  name.addEventListener("input", choose);
})();
