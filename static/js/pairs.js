// How two columns agree, as the service said it.

import { percent, short } from "./elements.js";

/**
 * What was said of two answers at one position of the slider, whichever comes first.
 *
 * @param {import("./service.js").Pair[]} pairs
 * @param {string} one
 * @param {string} two
 */
export function pairOf(pairs, one, two) {
  return pairs.find(({ first, second }) => (first === one && second === two) || (first === two && second === one));
}

/** @param {{ correlation: number | null, shared: number }} agreed */
export function agreementOf({ correlation, shared }) {
  return `r ${correlation === null ? "–" : short(correlation)}, ${percent(shared)} shared`;
}

/**
 * What the service says of a student's explanations in one picture, best first, as a sentence; and which is the best.
 *
 * @param {{ key: string, correlation: number | null, inside: number | null }[]} ranked
 * @param {import("./service.js").Answerer[]} answers
 */
export function ranking(ranked, answers) {
  const nameOf = (key) => answers.find((each) => each.key === key)?.choice.split(": ").pop();
  const meritOf = ({ correlation, inside }) => {
    if (inside !== null) return `${percent(inside)} in your region`;
    return `r ${correlation === null ? "–" : short(correlation)}`;
  };
  const [top, ...others] = ranked;
  const rest = others.map((row) => `${nameOf(row.key)} ${meritOf(row)}`).join(", ");
  return { key: top.key, said: `Best here of ${ranked.length}: ${nameOf(top.key)}, ${meritOf(top)}. The others: ${rest}.` };
}
