// Keeps the figures of the owner's page fresh, and leaves them alone while somebody reads or types in them.
"use strict";

const SECONDS = 5;
const live = document.getElementById("live");

setInterval(async () => {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(live.dataset.live);
    if (!answer.ok) return;
    const open = live.querySelector("details")?.open;
    live.innerHTML = await answer.text(); // rendered by the service, every value escaped
    if (open) live.querySelector("details").open = true;
  } catch {
    // The next turn tries again.
  }
}, SECONDS * 1000);
