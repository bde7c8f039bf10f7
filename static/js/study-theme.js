// Dark or light, before the first paint: what was chosen last in this browser, on any page, or what the system prefers.
// A button with `data-theme` changes it and says to what.
"use strict";

const theme = (() => {
  const KEY = "lfi-theme";
  const root = document.documentElement;

  function read() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing follows the system
    }
  }

  function apply() {
    const chosen = read();
    root.classList.toggle("dark", chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
    label();
  }

  function label() {
    const dark = root.classList.contains("dark");
    for (const button of document.querySelectorAll("[data-theme]")) {
      button.textContent = dark ? button.dataset.light : button.dataset.dark;
    }
  }

  function change() {
    const dark = root.classList.toggle("dark");
    try {
      localStorage.setItem(KEY, dark ? "dark" : "light");
    } catch {
      // It lasts as long as the page.
    }
    label();
  }

  apply();
  document.addEventListener("DOMContentLoaded", label);
  document.addEventListener("click", (event) => event.target.closest("[data-theme]") && change());
  addEventListener("storage", (event) => event.key === KEY && apply()); // chosen in another tab, or around this frame
  addEventListener("pageshow", (event) => event.persisted && apply()); // chosen elsewhere before coming back
  return { label };
})();
