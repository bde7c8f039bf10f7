// Small tools for the document. Text is always set as text, never as markup: words and names come from people.

/**
 * The element with this id, which the page holds.
 *
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {{ new (): T }} kind what it is; another kind, or none, is a fault of the page
 * @returns {T}
 */
export function byId(id, kind = /** @type {any} */ (HTMLElement)) {
  return sure(document.getElementById(id), kind, `#${id}`);
}

/**
 * The first element below `node` that fits.
 *
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} node
 * @param {string} selector
 * @param {{ new (): T }} kind as for `byId`
 * @returns {T}
 */
export function first(node, selector, kind = /** @type {any} */ (HTMLElement)) {
  return sure(node.querySelector(selector), kind, selector);
}

function sure(node, kind, name) {
  if (!(node instanceof kind)) throw new Error(`the page has no ${kind.name} ${name}`);
  return node;
}

/**
 * make("button", { class: "x", "aria-label": "y", onclick: f }, "text", child, ...)
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} attributes true is an attribute without a value; false, null and undefined are none
 * @param {(Node | string | null | undefined)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...there(children));
  return node;
}

/**
 * Buttons that are off while there is nothing to do, and each while what it began is under way.
 *
 * @param {HTMLButtonElement[]} buttons
 */
export function guarded(buttons) {
  const busy = new Set();
  let there = false;
  function show() {
    for (const button of buttons) button.disabled = !there || busy.has(button);
  }
  return {
    /** @param {boolean} wanted whether there is something to do */
    enable(wanted) {
      there = wanted;
      show();
    },
    /** @param {HTMLButtonElement} button @param {() => Promise<unknown>} step */
    async during(button, step) {
      busy.add(button);
      show();
      try {
        await step();
      } finally {
        busy.delete(button);
        show();
      }
    },
  };
}

/**
 * @param {Element} node
 * @param {(Node | string | null | undefined)[]} children
 */
export function fill(node, ...children) {
  node.replaceChildren(...there(children));
}

/** @param {(Node | string | null | undefined)[]} children */
function there(children) {
  return children.filter((child) => child != null);
}

/** "the file is empty" -> "The file is empty." @param {string} text */
export function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?…]$/.test(trimmed) ? "" : ".");
}

/** .72 as people write a cosine or a share; 8.2 for larger values. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  const digits = size < 1 ? size.toFixed(2).replace("0.", ".") : size.toFixed(size < 10 ? 1 : 0);
  return (value < 0 && Number(digits) !== 0 ? "−" : "") + digits;
}

/** Unix time -> November 3, 2026, as the reader writes it. @param {number} time */
export function dayOf(time) {
  return new Date(1000 * time).toLocaleDateString(undefined, { dateStyle: "long" });
}

/** .123 -> 12 % @param {number} share */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
