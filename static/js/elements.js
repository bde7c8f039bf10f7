// Small tools for the document. Text is always set as text, never as markup: words and names come from people.

function byId(id) {
  return document.getElementById(id);
}

// make("button", { class: "x", "aria-label": "y", onclick: f }, "text", child, ...)
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child != null));
}

// "the file is empty" -> "The file is empty."
function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?…]$/.test(trimmed) ? "" : ".");
}

// .72 as people write a cosine or a share; 8.2 for larger values.
function short(value) {
  const size = Math.abs(value);
  const digits = size < 1 ? size.toFixed(2).replace("0.", ".") : size.toFixed(size < 10 ? 1 : 0);
  return (value < 0 && Number(digits) !== 0 ? "−" : "") + digits;
}

// Unix time -> November 3, 2026, as the reader writes it.
function dayOf(time) {
  return new Date(1000 * time).toLocaleDateString(undefined, { dateStyle: "long" });
}

// .123 -> 12 %
function percent(share) {
  return `${Math.round(100 * share)} %`;
}
