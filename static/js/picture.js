// The picture: chosen, dropped or pasted anywhere on the page, or a sample. `onPicture({ file } or { sample })`.

import { byId, dayOf, fill, make, sentence } from "./elements.js";

export function sampleOf(sample) {
  return { sample: sample.name, name: sample.alt, alt: sample.alt, words: sample.words, trio: sample.trio, scene: sample.scene };
}

export function makePicture({ samples, maxBytes, onPicture }) {
  const input = byId("lfi-file", HTMLInputElement);
  const drop = byId("lfi-drop");
  const frame = byId("lfi-drop-frame");
  const text = byId("lfi-drop-text");
  const error = byId("lfi-picture-error");
  const list = byId("lfi-samples");
  const hint = byId("lfi-picture-hint");
  const HINT = hint.textContent;
  const empty = [...frame.childNodes];
  const root = byId("lfi");

  function complain(message) {
    error.textContent = message ? sentence(message) : "";
    input.setAttribute("aria-invalid", String(Boolean(message)));
  }

  function take(file) {
    if (!file) return;
    if (file.size > maxBytes) {
      const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
      complain(`the file is ${megabytes(file.size)}; at most ${megabytes(maxBytes)} are accepted`);
      return;
    }
    complain("");
    onPicture({ file, name: file.name || "pasted picture" });
  }

  input.addEventListener("change", () => {
    take(input.files?.[0]);
    input.value = ""; // so that choosing the same file again counts as a change
  });
  // Files only: dragged text belongs to the word field.
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  document.addEventListener("dragenter", (event) => {
    if (hasFiles(event)) root.toggleAttribute("data-dragging", ++depth > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (hasFiles(event)) root.toggleAttribute("data-dragging", --depth > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    root.removeAttribute("data-dragging");
    take(event.dataTransfer?.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) {
      event.preventDefault();
      take(file);
    }
  });

  byId("lfi-samples-title").hidden = samples.length === 0;
  fill(
    list,
    ...samples.map((sample) =>
      make(
        "li",
        {},
        make(
          "button",
          {
            type: "button",
            class: "lfi-sample",
            "aria-label": `Sample: ${sample.alt}`,
            "aria-pressed": "false",
            "data-sample": sample.name,
            onclick: () => {
              complain("");
              onPicture(sampleOf(sample));
            },
          },
          make("img", { src: sample.thumbnail, alt: "", width: 64, height: 64 }),
        ),
      ),
    ),
  );

  let expected = 0;

  return {
    complain,
    // The shape of a picture that is on its way to the service, so that nothing moves when its maps come.
    /** @param {import("./service.js").Picture} next */
    async expect(next) {
      const turn = ++expected;
      const small = next.sample ? list.querySelector(`[data-sample="${CSS.escape(next.sample)}"] img`) : null;
      if (small instanceof HTMLImageElement && small.naturalWidth) return shapeFrames({ width: small.naturalWidth, height: small.naturalHeight });
      if (!next.file) return;
      const bitmap = await createImageBitmap(next.file).catch(() => null); // none of a format that browsers do not read
      if (bitmap && turn === expected) shapeFrames(bitmap);
      bitmap?.close();
    },
    show(picture) {
      for (const button of list.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.dataset.sample === picture?.sample));
      }
      if (!picture) {
        fill(frame, ...empty);
        text.textContent = "Choose a picture";
        return;
      }
      fill(frame, make("img", { src: picture.preview, alt: picture.alt || `Your picture ${picture.name}` }));
      text.textContent = "Choose another picture";
      drop.dataset.filled = "";
      const until = picture.kept && picture.until ? `Kept here until ${dayOf(picture.until)}.` : "";
      const copied = picture.exact === false ? " The numbers are now those of the stored copy, which was made smaller or compressed." : "";
      hint.textContent = (picture.note ? `${sentence(picture.note)} ` : "") + until + copied || HINT;
    },
  };
}

const WIDE = 2.2; // times as wide as high: a panorama, which has the whole width of the page

/**
 * Frames are as wide as the picture.
 *
 * @param {{ width?: number, height?: number }} picture
 */
export function shapeFrames({ width = 1, height = 1 }) {
  const ratio = Math.max(width / height, 1);
  const root = byId("lfi");
  root.style.setProperty("--lfi-aspect", String(ratio));
  root.toggleAttribute("data-wide", ratio > WIDE);
}
