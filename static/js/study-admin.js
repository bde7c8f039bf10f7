// Keeps the figures of the owner's page fresh, and leaves them alone while somebody reads or types in them.
const SECONDS = 5;
const live = /** @type {HTMLElement} */ (document.getElementById("live"));

setInterval(async () => {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(live.dataset.live ?? "");
    if (!answer.ok) return;
    const open = live.querySelector("details")?.open;
    live.innerHTML = await answer.text(); // rendered by the service, every value escaped
    const details = live.querySelector("details");
    if (open && details) details.open = true;
  } catch {
    // The next turn tries again.
  }
}, SECONDS * 1000);
