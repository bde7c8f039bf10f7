// Files of what is on screen, and the figure on the clipboard.

import { bytesOf } from "./colour.js";
import { byId, guarded, make, sentence } from "./elements.js";
import { GONE } from "./service.js";

/** @param {{ ask: import("./service.js").Ask }} given asks for the file of a `format` */
export function makeDownloads({ ask }) {
  const message = byId("lfi-downloads-message");
  const copy = byId("lfi-copy-figure", HTMLButtonElement);
  const addItems = byId("lfi-add-items", HTMLButtonElement);
  const buttons = [...document.querySelectorAll("[data-download]")].map((each) => /** @type {HTMLButtonElement} */ (each));

  const guard = guarded([...buttons, copy, addItems]);

  function say(text, wrong = false) {
    message.classList.toggle("lfi-wrong", wrong);
    message.textContent = text;
  }

  // A file of what is on screen, or null after saying why there is none.
  async function takeFile(format, more = {}) {
    say("Preparing…");
    const answer = await ask({ format, ...more });
    if (!answer || answer.error) {
      say(answer?.error ? sentence(answer.error.message) : GONE, true);
      return null;
    }
    say(`${answer.name} is ready.`);
    return { name: answer.name, blob: new Blob([bytesOf(answer.data)], { type: answer.type }) };
  }

  async function download(format, more = {}) {
    const file = await takeFile(format, more);
    if (file) save(file);
  }

  function save({ name, blob }) {
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  async function copyFigure() {
    const file = await takeFile("png");
    if (!file) return;
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": file.blob })]);
      say("The figure is on the clipboard.");
    } catch {
      save(file);
      say("This browser does not let the page copy pictures, so the figure was saved instead.");
    }
  }

  copy.addEventListener("click", () => guard.during(copy, copyFigure));
  for (const button of buttons) {
    button.addEventListener("click", () => guard.during(button, () => download(button.dataset.download)));
  }

  return {
    takeFile,
    download,
    say,
    enable: guard.enable, // where there are maps to take away
  };
}
