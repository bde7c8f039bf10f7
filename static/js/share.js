// The link to what is on screen, and the choice to keep one's own picture for some days so that the link shows it.

import { byId, dayOf, sentence } from "./elements.js";
import { GONE } from "./service.js";

const KEYS = 100; // of one picture: the service knows no more

export function makeShare({ days, keeping, forgetting, onKept, onForgotten }) {
  const address = byId("lfi-address", HTMLInputElement);
  const note = byId("lfi-share-note");
  const [copy, keep, forget] = ["lfi-copy-address", "lfi-keep", "lfi-forget"].map((id) => byId(id, HTMLButtonElement));
  const span = `${days} ${days === 1 ? "day" : "days"}`;
  let picture = null;
  let handmade = false; // a region that is no box
  let trouble = "";
  let asking = false;

  // What was kept from here, by picture: a list, since a picture may be kept again, and goes with its last key. A browser
  // that stores nothing has them until the page is left.
  const keys = new Map();
  function keptOf(token) {
    try {
      return keys.get(token) ?? [JSON.parse(localStorage.getItem(`lfi-kept-${token}`) ?? "[]")].flat();
    } catch {
      return keys.get(token) ?? [];
    }
  }
  function setKept(token, kept) {
    keys.set(token, kept);
    try {
      if (kept.length) localStorage.setItem(`lfi-kept-${token}`, JSON.stringify(kept));
      else localStorage.removeItem(`lfi-kept-${token}`);
    } catch {
      // It lasts as long as the page.
    }
  }

  // What goes wrong is said of the picture that it went wrong with.
  async function whileAsking(button, mine, step) {
    button.disabled = asking = true;
    trouble = "";
    const answer = await step();
    button.disabled = asking = false;
    if ((!answer || answer.error) && mine.id === picture?.id) trouble = answer ? sentence(answer.error.message) : GONE;
    show();
    return answer && !answer.error ? answer : null;
  }

  keep.addEventListener("click", async () => {
    const mine = picture;
    const answer = await whileAsking(keep, mine, () => keeping(mine));
    if (!answer) return;
    setKept(answer.picture.token, [...keptOf(answer.picture.token), answer.kept].slice(-KEYS));
    await onKept({ ...mine, ...answer.picture, kept: true });
  });
  forget.addEventListener("click", async () => {
    const mine = picture;
    const several = keptOf(mine.token).map(({ key }) => key);
    const answer = await whileAsking(forget, mine, () => forgetting({ token: mine.token, keys: several }));
    if (!answer) return;
    setKept(mine.token, []);
    await onForgotten(mine);
  });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(address.value);
      copy.textContent = "Copied";
      setTimeout(show, 2000);
    } catch {
      address.focus();
      address.select(); // a page without the right to the clipboard at least selects
    }
  });

  function words() {
    if (trouble) return trouble;
    if (!picture) return "Choose a picture: the link then shows others the same picture, words, layer and columns.";
    const mask = handmade ? " Your mask is not in it: only a region that is a single box is." : "";
    if (picture.sample) return `Whoever opens it sees this sample with your words, layer and columns.${mask}`;
    if (picture.kept) {
      return `Whoever opens it sees this picture: it is kept until ${dayOf(picture.until)}.${mask}`;
    }
    if (!days) return `The link leaves out your picture, and this service keeps none. Share a figure instead.${mask}`;
    return `The link leaves out your picture, which is held only in memory. To share it, keep it first (without its metadata, at most 2,048 pixels a side); anyone with the link can then see it.${mask}`;
  }

  function show() {
    const own = Boolean(picture) && !picture.sample && !picture.kept;
    copy.textContent = own ? "Copy link without the picture" : "Copy link";
    copy.classList.toggle("lfi-primary", !own);
    note.textContent = words();
    note.classList.toggle("lfi-wrong", Boolean(trouble));
    keep.textContent = `Keep this picture for ${span} to share it`;
    keep.hidden = !days || !picture?.token || Boolean(picture.sample || picture.kept);
    forget.hidden = !picture?.kept || keptOf(picture.token).length === 0;
  }

  return {
    draw(next, link, mask) {
      handmade = mask;
      if (next?.token !== picture?.token && !asking) trouble = "";
      picture = next;
      address.value = link;
      show();
    },
  };
}
