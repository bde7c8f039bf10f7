// The owner's page: keeps its figures fresh, and leaves them alone while somebody reads or types in them; says how far
// a drawing is; closes menus.
const SECONDS = 5;
const WAITING = 700; // milliseconds between two looks at a drawing
const live = /** @type {HTMLElement} */ (document.getElementById("live"));

setInterval(async () => {
  const busy = live.contains(document.activeElement) || live.querySelector(".lfi-admin-menu[open]");
  if (document.hidden || busy) return;
  try {
    const answer = await fetch(live.dataset.live ?? "");
    if (!answer.ok) return;
    const trail = () => /** @type {HTMLDetailsElement | null} */ (live.querySelector(".lfi-admin-trail"));
    const open = trail()?.open;
    live.innerHTML = await answer.text(); // rendered by the service, every value escaped
    const details = trail();
    if (open && details) details.open = true;
  } catch {
    // The next turn tries again.
  }
}, SECONDS * 1000);

// Adding items draws all maps anew, which takes a while: until the next page comes, this one says how far it is.
const drawn = /** @type {HTMLFormElement | null} */ (document.querySelector("[data-drawing]"));
drawn?.addEventListener("submit", () => {
  const said = /** @type {HTMLElement} */ (document.querySelector(".lfi-admin-wait"));
  const button = /** @type {HTMLButtonElement} */ (drawn.querySelector("button"));
  const progress = document.createElement("progress");
  const text = document.createElement("span");
  progress.setAttribute("aria-label", "Maps drawn");
  text.textContent = "Drawing the maps…";
  said.replaceChildren(progress, text);
  said.hidden = false;
  setTimeout(() => (button.disabled = true)); // a disabled one would not submit
  setInterval(async () => {
    try {
      const now = await (await fetch(drawn.dataset.drawing ?? "")).json();
      if (!now) return;
      progress.max = now.of;
      progress.value = now.done;
      text.textContent = `${now.done} of ${now.of} maps are drawn`;
    } catch {
      // The next turn tries again; what became of the items the next page says.
    }
  }, WAITING);
});

// One menu at a time; Escape and a click elsewhere close it.
const menus = () => /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".lfi-admin-menu[open]"));
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});
