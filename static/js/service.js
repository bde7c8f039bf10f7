// What the inspector asks of the service and what comes back, as types: `app/ui/handlers.py` and `app/ui/view.py` in the
// page's words.

export const GONE = "The service does not answer, or wants you to wait or to sign in again. Try again in a minute, or reload the page.";

/**
 * @typedef {{ at: number, label: string }} Tick a label at a share of the bar's width
 * @typedef {{ low: number, high: number, ticks: Tick[] }} Scale in times uniform attention; logarithmic
 * @typedef {{ limit: number, ticks: Tick[] }} DifferenceScale from -limit to limit
 *
 * @typedef {object} Maps the maps of one model, times uniform attention
 * @property {string[]} names of its queries
 * @property {string[]} layers
 * @property {[number, number]} grid rows and columns
 * @property {(layer: number, query: number) => Float32Array} at one map, row by row
 * @property {number[][]} outside by layer and query, the share of attention that is off the picture
 * @property {{ steps: number[], mean: number | null }[]} drift by query, the share of attention that moves per layer
 * @property {string} model name and fingerprint
 * @property {string} kind
 * @property {string} source what the map was read from
 * @property {string[]} [absences] by word, what is said where it is not in the picture; else empty
 *
 * @typedef {Maps & { named: [string, number][] }} Queries every query with the word nearest to its name
 * @typedef {{ correlation: number | null, shared: number, scale: DifferenceScale }} Agreed
 * @typedef {{ first: string, second: string, words: Agreed[] }} Pair
 * @typedef {{ layers: Record<string, number>, scale: Scale, word_scales: Scale[], pairs: Pair[] }} Place of the slider
 *
 * @typedef {object} View the answer to a question
 * @property {number} number of the answer, in this page
 * @property {string[]} words
 * @property {Record<string, Maps>} models by column
 * @property {Queries | null} queries
 * @property {{ word: string, query: number, nearness: number }[]} addressed
 * @property {Place[]} positions the best layers first, then every depth
 * @property {Scale[]} film_scales by word
 * @property {number} seconds
 * @property {Record<string, string>} called the name under which each word is answered
 *
 * @typedef {object} Picture
 * @property {string} name
 * @property {string} [alt]
 * @property {File} [file] where somebody chose one here
 * @property {string} [sample]
 * @property {string} [token] under which the service has it
 * @property {string} [preview] data URI
 * @property {number} [width]
 * @property {number} [height]
 * @property {string[]} [words] to begin with
 * @property {string} [trio] whose words these are
 * @property {boolean} [scene] whether it is of the kind that the models were trained on
 * @property {boolean} [kept]
 * @property {number} [until] Unix time
 * @property {boolean} [exact] whether what is kept is the picture that was chosen, pixel by pixel
 * @property {string} [note] what of the file could not be read, or is not shown
 * @property {number} [id] in this page
 *
 * @typedef {{ name: string, alt: string, words: string[], trio: string, scene: boolean, thumbnail: string }} Sample
 * @typedef {{ key: string, name: string, choice: string, role: string, layers: number, explained: boolean, hits: string, measured: string }} Answerer
 *
 * @typedef {object} Card what is said of one model
 * @property {string} role
 * @property {string} name
 * @property {string} title
 * @property {string} summary
 * @property {[string, string][]} facts
 * @property {[string, string][]} figures
 * @property {string[]} limits
 *
 * @typedef {object} Trio
 * @property {string} name
 * @property {string[]} note
 * @property {Card[]} models
 * @property {Answerer[]} answers
 * @property {string[]} columns
 * @property {number} queries
 * @property {string[]} vocabulary
 *
 * @typedef {object} About
 * @property {boolean} ready
 * @property {string | null} [problem]
 * @property {string} trio
 * @property {Trio[]} trios
 * @property {Sample[]} samples
 * @property {Record<string, string>} palettes 256 colours each, base64
 * @property {string} palette
 * @property {string} diverging
 * @property {number} opacity
 * @property {number} keeping days, 0 where nothing is kept
 * @property {boolean} studies
 * @property {{ bytes: number, words: number, phrase: number }} limits
 *
 * @typedef {object} Trouble
 * @property {"page" | "words" | "picture" | "region" | "share"} where
 * @property {string} message
 * @property {boolean} [forgotten] the picture is not held any more
 * @property {Record<string, string[]>} [unknown] words, and those near in meaning or spelled almost alike
 * @property {{ word: string, likely: string }[]} [seen] what the teacher sees in the picture, best first
 *
 * @typedef {Record<string, any> & { error?: Trouble }} Reply null where the service did not answer
 * @typedef {(question?: any) => Promise<Reply | null>} Ask
 * @typedef {"describe" | "check" | "compare" | "download" | "measure" | "rank" | "keep" | "forget"} Question
 * @typedef {Record<Question, Ask>} Server
 *
 * @typedef {{ energy: number, hit: boolean }} Inside how much of a map is in a region, and whether its peak is
 * @typedef {{ number: number, area: number, models: Record<string, Inside[][]> }} Measured by model, layer and word
 *
 * @typedef {object} Look how maps are drawn
 * @property {string} name of all of it, another one wherever something differs
 * @property {Uint8Array} palette
 * @property {boolean} smooth false shows the patches as they are
 * @property {boolean} contour whether a line runs at half of the peak
 *
 * @typedef {object} Scene all that is drawn at one time
 * @property {Picture | null} picture
 * @property {View | null} view
 * @property {number} word its number in the view, -1 where there is none
 * @property {number} position
 * @property {Scale | undefined} scale
 * @property {Look} look
 * @property {Answerer[]} answers
 * @property {Measured | null} region
 */
