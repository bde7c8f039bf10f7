// Dark or light, before the first paint: what the address asks for (`?__theme=dark`, as Gradio has it), what was chosen
// last in this browser, on any page, or what the system prefers. A button with `data-theme` changes it and says to what.
// Other scripts ask for it again by the event `lfi-theme` on the document. No module: those run after the first paint.
"use strict";

(() => {
  const KEY = "lfi-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    const asked = new URLSearchParams(location.search).get("__theme");
    if (asked === "dark" || asked === "light") return asked;
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing follows the system
    }
  }

  function set(dark) {
    root.classList.toggle("dark", dark);
    document.body?.classList.toggle("dark", dark); // Gradio's own parts look there
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-theme]"))) {
      button.textContent = dark ? (button.dataset.light ?? "Light") : (button.dataset.dark ?? "Dark");
      button.hidden = false; // without scripts there is none
    }
  }

  function apply() {
    const kept = chosen();
    set(kept ? kept === "dark" : system.matches);
  }

  function change() {
    const dark = !root.classList.contains("dark");
    const address = new URL(location.href);
    if (address.searchParams.has("__theme")) {
      address.searchParams.delete("__theme");
      history.replaceState(history.state, "", address);
    }
    try {
      localStorage.setItem(KEY, dark ? "dark" : "light");
    } catch {
      // It lasts as long as the page.
    }
    set(dark);
  }

  apply();
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("lfi-theme", apply);
  document.addEventListener("click", (event) => event.target instanceof Element && event.target.closest("[data-theme]") && change());
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === KEY && apply()); // chosen in another tab, or around this frame
  addEventListener("pageshow", (event) => event.persisted && apply()); // chosen elsewhere before coming back
})();
