// Words as chips: Enter, comma or Add puts one in; its cross, Delete on it, or Backspace in the empty field takes it out.

import { byId, fill, make, sentence } from "./elements.js";

// `ask(words)` says whether the models know them; a word that they do not know goes back into the field, with the
// words that are spelled almost alike to choose from.

const MOST_QUOTED = 40; // characters of a word in a message
const MOST_LISTED = 80; // known words on screen at a time

export function makeWords({ limit, ask, onChange, onRemove, onSelect, onPeek }) {
  const field = byId("lfi-word", HTMLInputElement);
  const list = byId("lfi-chips");
  const message = byId("lfi-words-message");
  const vocabulary = byId("lfi-vocabulary");
  const fold = byId("lfi-known", HTMLDetailsElement);
  const HINT = "Enter or a comma adds it. Choose one of your words to see its maps.";
  let words = [];
  let selected = 0;
  let known = [];
  let turn = Promise.resolve();
  let had = false; // whether there were words when last drawn
  let proposed = ""; // what an Enter in the empty field puts in
  const INVITATION = field.placeholder;
  let emptied = false; // a comma has just put in what the field held, so an Enter after it wants nothing more

  function say(...content) {
    const wrong = content.length > 0;
    message.classList.toggle("lfi-wrong", wrong);
    message.classList.remove("lfi-offering");
    field.setAttribute("aria-invalid", String(wrong));
    fill(message, ...(wrong ? content : [HINT]));
  }

  /** @returns {HTMLElement[]} */
  function chosen() {
    return [...list.querySelectorAll(".lfi-chip-word")].map((node) => /** @type {HTMLElement} */ (node));
  }

  function suggestion(text, choose) {
    return make("button", { type: "button", class: "lfi-suggestion", onclick: choose }, text);
  }

  function quote(unknown) {
    return unknown.map((word) => `“${word.length > MOST_QUOTED ? `${word.slice(0, MOST_QUOTED)}…` : word}”`).join(" and ");
  }

  // Chips of words that the teacher sees in the picture.
  function seenIn(seen) {
    if (!seen?.length) return [];
    const chips = seen.map(({ word, likely }) => {
      const node = suggestion(word, take(word));
      node.title = likely;
      return node;
    });
    return [make("span", {}, "The teacher sees here:"), ...chips];
  }

  function take(word) {
    return () => {
      field.value = "";
      add(word);
      field.focus();
    };
  }

  // Some words they know, from all over the list.
  function examples() {
    if (known.length < 4) return "";
    const some = [0.125, 0.375, 0.625, 0.875].map((share) => known[Math.floor(share * known.length)]);
    return ` They know ${known.length} words, such as ${some.slice(0, 3).join(", ")} and ${some[3]}.`;
  }

  // The way to models that know more.
  function own() {
    const go = (event) => {
      event.preventDefault();
      byId("lfi-own").scrollIntoView({ block: "center" });
    };
    return make("a", { href: "#lfi-own", class: "lfi-own-link", onclick: go }, "Or use your own models");
  }

  // The phrases that the models know and that are spelled almost like this one.
  function nearPhrases(text, unknown) {
    const [first] = Object.keys(unknown);
    if (!text || !Object.values(unknown).every((near) => near.length)) return [];
    const content = unknown[first].filter((near) => known.includes(near));
    const offers = (content.length ? content : unknown[first]).map((near) =>
      text
        .toLowerCase()
        .split(/\s+/)
        .map((word) => (word === first ? near : unknown[word] ? unknown[word][0] : word))
        .join(" "),
    );
    return [...new Set(offers)];
  }

  function explain(text, error) {
    if (!error.unknown) return say(sentence(error.message));
    const offers = nearPhrases(text, error.unknown);
    const trouble = `These models do not know ${quote(Object.keys(error.unknown))}.`;
    const seen = seenIn(error.seen);
    if (offers.length) return say(make("span", {}, `${trouble} Nearest:`), ...offers.map((offer) => suggestion(offer, take(offer))), ...seen, own());
    if (seen.length) return say(make("span", {}, trouble), ...seen, own());
    say(make("span", {}, `${trouble}${examples()}`), own());
  }

  // One after the other, so that an answer always speaks of the words that were last put in.
  function add(text) {
    const pieces = text.split(",").map((piece) => piece.trim().replace(/\s+/g, " ")).filter(Boolean);
    field.value = "";
    if (pieces.length === 0) return say("Type a word first.");
    turn = turn.then(() => addNow([...new Set(pieces)], text.trim())).catch(report);
  }

  // A fault of the page's own: said here and in the browser's log, and the next word is asked all the same.
  function report(fault) {
    draw();
    say(sentence(`something went wrong on this page (${fault.message}); try again, or reload it`));
    reportError(fault);
  }

  // A first word stands in the empty field, to be taken with Enter or typed over.
  function offer(word) {
    proposed = word;
    field.placeholder = word ? `${word}? Press Enter to use it` : INVITATION;
  }

  async function addNow(pieces, text) {
    const fresh = pieces.filter((piece) => !words.includes(piece));
    say();
    if (fresh.length === 0) return select(words.indexOf(pieces[pieces.length - 1]));
    if (words.length + fresh.length > limit) {
      field.value = text;
      return say(`At most ${limit} words are compared at once. Remove one first.`);
    }
    const kept = selected;
    words = [...words, ...fresh];
    selected = words.length - 1;
    draw(fresh);
    const error = await ask(words);
    if (error) {
      words = words.filter((word) => !fresh.includes(word));
      selected = Math.min(kept, Math.max(words.length - 1, 0));
      if (!field.value) field.value = text;
      explain(text, error);
      if (document.activeElement === field) field.select(); // what is typed next replaces it
    }
    draw();
    onChange();
  }

  function remove(index) {
    words = words.filter((_, other) => other !== index);
    if (selected > index || selected >= words.length) selected = Math.max(selected - 1, 0);
    say();
    draw();
    onRemove();
    const next = chosen()[Math.min(index, words.length - 1)];
    (next || field).focus();
  }

  function select(index) {
    selected = index;
    draw();
    onSelect();
  }

  function chip(word, index, pending) {
    const choose = make(
      "button",
      {
        type: "button",
        class: "lfi-chip-word",
        "aria-pressed": String(index === selected),
        onclick: () => select(index),
        onkeydown: (event) => {
          if (event.key === "Delete" || event.key === "Backspace") {
            event.preventDefault();
            remove(index);
          }
        },
      },
      word,
    );
    const cross = make(
      "button",
      { type: "button", class: "lfi-chip-remove", "aria-label": `Remove ${word}`, onclick: () => remove(index) },
      "×",
    );
    const peek = { onpointerenter: () => onPeek(word), onpointerleave: () => onPeek(null), onfocusin: () => onPeek(word), onfocusout: () => onPeek(null) };
    return make("li", { class: pending ? "lfi-chip lfi-pending" : "lfi-chip", ...peek }, choose, cross);
  }

  function draw(pending = []) {
    // the list folds with the first word and unfolds without any; in between it is the visitor's
    const some = words.length > 0;
    if (some) offer("");
    if (some !== had) fold.open = !some;
    had = some;
    const focused = document.activeElement?.closest?.(".lfi-chip-word") && document.activeElement.textContent;
    fill(list, ...words.map((word, index) => chip(word, index, pending.includes(word))));
    if (focused) chosen().find((node) => node.textContent === focused)?.focus();
    drawVocabulary();
  }

  // What starts like the word being typed is marked.
  function drawVocabulary() {
    const start = field.value.toLowerCase().split(/[\s,]+/).pop() ?? "";
    const button = (word) => {
      const node = suggestion(word, () => add(word));
      node.classList.toggle("lfi-match", start.length > 0 && word.startsWith(start));
      node.disabled = words.includes(word);
      return node;
    };
    const begun = start ? known.filter((word) => word.split(" ").some((part) => part.startsWith(start))) : known;
    const step = Math.ceil(begun.length / MOST_LISTED); // of very many, some from all over the list
    const listed = known.length > MOST_LISTED ? begun.filter((_, index) => index % step === 0) : known;
    fill(vocabulary, ...listed.map(button));
    fold.hidden = known.length === 0;
  }

  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (field.value || !emptied) add(field.value || proposed);
      emptied = false;
    } else if (event.key === "Backspace" && field.value === "" && words.length > 0) {
      event.preventDefault();
      remove(words.length - 1);
      field.focus();
    }
  });
  field.addEventListener("input", () => {
    if (field.value === "") say();
    emptied = field.value.includes(",");
    if (emptied) add(field.value);
    else drawVocabulary();
  });
  byId("lfi-add").addEventListener("click", () => {
    add(field.value || proposed);
    field.focus();
  });
  say();

  return {
    explain: (error) => explain("", error),
    get words() {
      return words;
    },
    get selected() {
      return selected;
    },
    replace(next, chosen = 0) {
      words = [...new Set(next)];
      selected = Math.max(words.indexOf(next[chosen]), 0);
      say();
      draw();
    },
    quiet() {
      say();
      offer("");
    },
    // What the teacher sees in a picture that nobody has asked about yet.
    propose(seen) {
      if (!seen?.length || words.length > 0) return;
      message.classList.add("lfi-offering"); // beside a picture a hint is for screen readers alone
      fill(message, ...seenIn(seen));
      fold.open = false; // these words are better ones
      offer(seen[0].word);
    },
    // The service answers “the star” as “star”.
    rename(called) {
      const shown = called[words[selected]] ?? words[selected];
      words = [...new Set(words.map((word) => called[word] ?? word))];
      selected = Math.max(words.indexOf(shown), 0);
      draw();
    },
    // What the models do not know goes, and is named.
    leaveOut(unknown) {
      const shown = words[selected];
      words = words.filter((word) => !unknown.includes(word));
      selected = Math.max(words.indexOf(shown), 0);
      say(`${quote(unknown)} ${unknown.length > 1 ? "were" : "was"} left out: these models do not know ${unknown.length > 1 ? "them" : "it"}.${examples()}`);
      draw();
    },
    setKnown(next) {
      known = next;
      draw();
    },
  };
}
