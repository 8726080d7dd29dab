"use strict";
// Table of attempts on the evaluation page: search, filters, order, differences and highlighting, without the page
// itself, which attempts_table.js draws. Types are JSDoc; both files pass the checks of TypeScript (tsc --checkJs --strict).

/**
 * Answer of a model: index of its kind, then numbers of texts. Facts are pairs of name and text; the mismatch is
 * signal, value, expected value and time.
 * @typedef {[kind: number, label: number, verdict: number, message: number, answer: number, code: number,
 *   facts: number[], mismatch: number[] | null]} Answer
 * @typedef {[task: number, digest: string, category: number, source: number, asked: number, expected: number,
 *   note: number, answers: (Answer | null)[]]} Row
 * @typedef {{models: string[], kinds: string[], tasks: {name: string, title: string}[],
 *   texts: string[], rows: Row[]}} Data
 * @typedef {{query: string, task: string, category: string, model: string, verdict: string, disagree: boolean}} Filter
 * @typedef {[change: -1 | 0 | 1, text: string]} Part
 */

const MAX_DIFF_CELLS = 4_000_000; // of the table of a difference; longer texts are compared by line
const KEYWORDS = new Set(
  ("always always_comb always_ff always_latch and assign automatic begin bit buf byte case casex casez const default defparam " +
    "disable do else end endcase endfunction endgenerate endinterface endmodule endpackage endtask enum event for forever fork " +
    "function generate genvar if import initial inout input int integer interface join localparam logic longint modport module " +
    "nand negedge nor not or output package packed parameter posedge real reg repeat return shortint signed string struct " +
    "supply0 supply1 task time tri typedef union unique unsigned var void wait while wire xnor xor").split(" "),
);
const VERILOG = new RegExp(
  [
    /(\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))/, // comment
    /("(?:\\[\s\S]|[^"\\\n])*"?)/, // string
    /(\d*\s*'[sS]?[bodhBODH]\s*[\da-fA-FxXzZ?_]+|\d[\d_]*(?:\.\d+)?)/, // number
    /([`$]?[A-Za-z_][\w$]*)/, // word
    /[\s\S]/,
  ]
    .map((one) => one.source)
    .join("|"),
  "g",
);

/** Return the numbers of label, verdict, message, answer and code. @param {Answer} one @returns {number[]} */
function textsOfAnswer([, label, verdict, message, answer, code]) {
  return [label, verdict, message, answer, code];
}

/** Return the numbers of all texts of a row. @param {Row} row @returns {number[]} */
function textsOf(row) {
  const [, , category, source, asked, expected, note, answers] = row;
  const own = [category, source, asked, expected, note];
  return own.concat(...answers.map((one) => (one === null ? [] : [...textsOfAnswer(one), ...one[6], ...(one[7] ?? [])])));
}

/**
 * Return whether each row contains all words of a query, in any of its texts, its task or the beginning of its digest.
 * Each text is searched once. @param {Data} data @param {string[]} lowered @param {string} query @returns {boolean[]}
 */
function searched(data, lowered, query) {
  const found = data.rows.map(() => true);
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const inText = lowered.map((text) => text.includes(word));
    data.rows.forEach((row, index) => {
      const named = row[1].startsWith(word) || data.tasks[row[0]].name.includes(word);
      found[index] &&= named || textsOf(row).some((text) => inText[text]);
    });
  }
  return found;
}

/** Return whether models differ in how good their answers are. @param {Row} row */
function disagrees(row) {
  return new Set(row[7].flatMap((one) => (one === null ? [] : [one[0]]))).size > 1;
}

/** Return whether an answer has a verdict: ``kind:<index>``, ``label:<text>``, or any. @param {Answer} one @param {string} verdict */
function hasVerdict(one, verdict) {
  const [form, value] = verdict.split(":");
  return verdict === "" || one[form === "kind" ? 0 : 1] === Number(value);
}

/**
 * Return the indexes of the rows that a filter keeps, in the order of the data. Without a model, a verdict is that of
 * any model. @param {Data} data @param {string[]} lowered @param {Filter} filter @returns {number[]}
 */
function filtered(data, lowered, filter) {
  const found = searched(data, lowered, filter.query);
  return data.rows.flatMap((row, index) => {
    const models = filter.model === "" ? row[7] : [row[7][Number(filter.model)]];
    const keeps =
      found[index] &&
      (filter.task === "" || row[0] === Number(filter.task)) &&
      (filter.category === "" || data.texts[row[2]] === filter.category) &&
      (!filter.disagree || disagrees(row)) &&
      models.some((one) => one !== null && hasVerdict(one, filter.verdict));
    return keeps ? [index] : [];
  });
}

/**
 * Return rows sorted by a column: ``asked``, ``task``, ``category`` or ``model:<index>``; any other leaves the order.
 * Equal rows keep theirs, models that were not asked come last.
 * @param {Data} data @param {number[]} rows @param {string} column @param {boolean} descending @returns {number[]}
 */
function sorted(data, rows, column, descending) {
  const [name, model] = column.split(":");
  /** @type {Record<string, (row: Row) => string | number>} */
  const keys = {
    asked: (row) => data.texts[row[4]].trim().toLowerCase(),
    task: (row) => data.tasks[row[0]].title,
    category: (row) => data.texts[row[2]],
    model: (row) => row[7][Number(model)]?.[0] ?? data.kinds.length,
  };
  const key = keys[name];
  if (key === undefined) return rows;
  const sign = descending ? -1 : 1;
  return rows
    .map((index) => ({ index, value: key(data.rows[index]) }))
    .sort((one, other) => (one.value === other.value ? 0 : one.value < other.value ? -sign : sign))
    .map((one) => one.index);
}

/** Return the fragment of the permanent link to a row. @param {Data} data @param {Row} row */
function fragmentOf(data, row) {
  return `attempt-${data.tasks[row[0]].name}-${row[1]}`;
}

/**
 * Return the index of the row of a fragment, whose digest may be whole; -1 if there is none.
 * @param {Data} data @param {string} fragment
 */
function rowOf(data, fragment) {
  return data.rows.findIndex((row) => {
    const own = fragmentOf(data, row);
    return fragment.startsWith(own) && /^[\da-f]*$/.test(fragment.slice(own.length));
  });
}

/**
 * Return what must be removed (-1) and added (1) to turn one list into another; null if the lists are too long.
 * @param {string[]} before @param {string[]} after @returns {Part[] | null}
 */
function differenceOfLists(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const a = before.slice(start, before.length - end);
  const b = after.slice(start, after.length - end);
  const width = b.length + 1;
  if ((a.length + 1) * width > MAX_DIFF_CELLS) return null;
  const common = new Uint32Array((a.length + 1) * width); // length of the common subsequence of the rest of both
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] =
        a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  /** @type {Part[]} */
  const parts = before.slice(0, start).map((text) => [0, text]);
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length)
    if (i < a.length && j < b.length && a[i] === b[j]) parts.push([0, a[i++]]), j++;
    else if (j === b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) parts.push([-1, a[i++]]);
    else parts.push([1, b[j++]]);
  return parts.concat(before.slice(before.length - end).map((text) => [0, text]));
}

/**
 * Return a difference with runs joined: between two changes, what they have in common counts as changed if it is only
 * whitespace. @param {Part[]} parts @returns {Part[]}
 */
function joined(parts) {
  /** @type {Part[]} */
  const result = [];
  let [removed, added] = ["", ""];
  const flush = () => {
    if (removed) result.push([-1, removed]);
    if (added) result.push([1, added]);
    [removed, added] = ["", ""];
  };
  parts.forEach(([change, text], index) => {
    const next = parts[index + 1];
    const isBetween = (removed || added) && /^\s*$/.test(text) && next !== undefined && next[0] !== 0;
    if (change <= 0 && (change < 0 || isBetween)) removed += text;
    if (change >= 0 && (change > 0 || isBetween)) added += text;
    if (change !== 0 || isBetween) return;
    flush();
    const last = result.at(-1);
    if (last?.[0] === 0) last[1] += text;
    else result.push([0, text]);
  });
  flush();
  return result;
}

/** Return the difference of two texts by words, or by lines if they are long. @param {string} before @param {string} after @returns {Part[]} */
function difference(before, after) {
  for (const unit of [/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu, /[^\n]*\n|[^\n]+/g]) {
    const parts = differenceOfLists(before.match(unit) ?? [], after.match(unit) ?? []);
    if (parts !== null) return joined(parts);
  }
  return joined([[-1, before], [1, after]]);
}

/** Return the share of two texts that they have in common, by a difference of them. @param {Part[]} parts */
function sharedIn(parts) {
  const length = (/** @type {(change: number) => boolean} */ keeps) =>
    parts.reduce((sum, [change, text]) => sum + (keeps(change) ? text.replace(/\s/g, "").length : 0), 0);
  return length((change) => change === 0) / Math.max(1, length((change) => change <= 0), length((change) => change >= 0));
}

/** Return Verilog as runs with a class, empty for plain text. @param {string} text @returns {[name: string, text: string][]} */
function highlighted(text) {
  /** @type {[string, string][]} */
  const runs = [];
  for (const [all, comment, string, number, word] of text.matchAll(VERILOG)) {
    const isKeyword = word !== undefined && (KEYWORDS.has(word) || /^[`$]./.test(word));
    const name = comment ? "comment" : string ? "string" : number ? "number" : isKeyword ? "keyword" : "";
    const last = runs.at(-1);
    if (last?.[0] === name) last[1] += all;
    else runs.push([name, all]);
  }
  return runs;
}

/** Return the bits of two values in hexadecimal digits, each with whether it differs. @param {string} got @param {string} expected */
function bitsOf(got, expected) {
  const digits = Math.max(got.length, expected.length);
  const [a, b] = [got, expected].map((value) =>
    [...value.padStart(digits, "0")]
      .map((digit) => (/[xz]/.test(digit) ? digit.repeat(4) : parseInt(digit, 16).toString(2).padStart(4, "0")))
      .join(""),
  );
  return [...a].map((bit, index) => ({ got: bit, expected: b[index], differs: bit !== b[index] }));
}

/** Return text on one line, shortened. @param {string} text @param {number} length */
function excerpt(text, length) {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > length ? `${line.slice(0, length)}…` : line;
}
