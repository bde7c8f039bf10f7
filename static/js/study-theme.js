// Dark or light before the first paint: what was chosen here last, or what the system prefers.
"use strict";

(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("lfi-theme");
  } catch {
    // A browser that keeps nothing follows the system.
  }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark", dark);
})();
