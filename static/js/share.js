// The link to what is on screen, and the choice to keep one's own picture for some days so that the link shows it.

function makeShare({ days, ask, onKept, onForgotten }) {
  const address = byId("lfi-address");
  const note = byId("lfi-share-note");
  const [keep, forget] = ["lfi-keep", "lfi-forget"].map(byId);
  const span = `${days} ${days === 1 ? "day" : "days"}`;
  let picture = null;
  let trouble = "";
  let asking = false;

  // The keys of what was kept from here, by picture; a browser that stores nothing has them until the page is left.
  const keys = new Map();
  function keyOf(token) {
    try {
      return keys.get(token) ?? JSON.parse(localStorage.getItem(`lfi-kept-${token}`));
    } catch {
      return keys.get(token) ?? null;
    }
  }
  function setKey(token, kept) {
    keys.set(token, kept);
    try {
      if (kept) localStorage.setItem(`lfi-kept-${token}`, JSON.stringify(kept));
      else localStorage.removeItem(`lfi-kept-${token}`);
    } catch {
      // It lasts as long as the page.
    }
  }

  async function whileAsking(button, step) {
    button.disabled = asking = true;
    trouble = "";
    const answer = await step();
    button.disabled = asking = false;
    if (!answer || answer.error) trouble = answer ? sentence(answer.error.message) : GONE;
    show();
    return answer && !answer.error ? answer : null;
  }

  keep.addEventListener("click", async () => {
    const mine = picture;
    const answer = await whileAsking(keep, () => ask(server.keep));
    if (!answer) return;
    setKey(answer.picture.token, answer.kept);
    await onKept({ ...mine, ...answer.picture, kept: true });
  });
  forget.addEventListener("click", async () => {
    const mine = picture;
    const answer = await whileAsking(forget, () => server.forget({ token: mine.token, key: keyOf(mine.token).key }));
    if (!answer) return;
    setKey(mine.token, null);
    await onForgotten(mine);
  });
  byId("lfi-copy-address").addEventListener("click", async (event) => {
    try {
      await navigator.clipboard.writeText(address.value);
      event.target.textContent = "Copied";
      setTimeout(() => (event.target.textContent = "Copy link"), 2000);
    } catch {
      address.focus();
      address.select(); // a page without the right to the clipboard at least selects
    }
  });

  function words() {
    if (trouble) return trouble;
    if (!picture) return "Choose a picture: the link then shows others the same picture, words, layer and columns.";
    if (picture.sample) return "Whoever opens it sees this sample with your words, layer and columns.";
    if (picture.kept) {
      const kept = keyOf(picture.token);
      const until = kept ? ` until ${new Date(1000 * kept.until).toLocaleDateString(undefined, { dateStyle: "long" })}` : "";
      return `Whoever opens it sees this picture: it is kept${until}.`;
    }
    if (!days) return "The link leaves out your picture, and this service keeps none. Share a figure instead.";
    return "The link leaves out your picture: it is nowhere but here. To share it, have it kept, without its metadata, at most 2,048 pixels large; whoever has the link sees it.";
  }

  function show() {
    note.textContent = words();
    note.classList.toggle("lfi-wrong", Boolean(trouble));
    keep.textContent = `Keep this picture for ${span} to share it`;
    keep.hidden = !days || !picture?.token || Boolean(picture.sample || picture.kept);
    forget.hidden = !picture?.kept || !keyOf(picture.token);
  }

  return {
    draw(next, link) {
      if (next?.token !== picture?.token && !asking) trouble = "";
      picture = next;
      address.value = link;
      show();
    },
  };
}
