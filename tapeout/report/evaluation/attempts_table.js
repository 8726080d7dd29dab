"use strict";
// Draw the table of attempts (attempts.js). Texts of models and data are only ever put into the page as text nodes.

const ROWS_AT_ONCE = 50;
const MAX_HIGHLIGHTED = 100_000; // characters of code in colours; longer code would need too many elements
const MIN_SHARED = 0.3; // share of characters in common from which a difference is easier to read than two texts
const MARKS = ["✓", "≈", "✗"];
const TONES = ["good", "part", "bad"];

/**
 * Create an element; strings become text. Children whose number depends on the data are given as a list, because a call
 * has room for a limited number of arguments.
 * @param {string} tag @param {Record<string, string>} attributes @param {(Node | string | (Node | string)[])[]} children
 */
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const child of children.flat()) node.append(child);
  return node;
}

/** Show the table of attempts in place of the few examples. @param {HTMLElement} root @param {Data} data */
function showAttempts(root, data) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
  const form = /** @type {HTMLFormElement} */ (find("form"));
  const body = /** @type {HTMLTableSectionElement} */ (find("tbody"));
  const more = find(".more");
  const headings = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("th[data-column]")]);
  const columnOf = (/** @type {HTMLElement} */ heading) => heading.dataset.column ?? "";
  const buttonIn = (/** @type {Element} */ parent) => /** @type {HTMLElement} */ (parent.querySelector("button"));
  const colours = headings.filter((one) => columnOf(one).startsWith("model:")).map((one) => one.className);
  const lowered = data.texts.map((text) => text.toLowerCase());
  let [column, descending, linked] = ["", false, -1];
  /** @type {number[]} */
  let rows = [];

  const mark = (/** @type {Answer} */ one) => {
    const words = (data.texts[one[1]] || data.kinds[one[0]]).split(/(?<=_)/); // a line may end after each of them
    const parts = words.flatMap((word) => [word, element("wbr", {})]);
    return element("span", { class: TONES[one[0]] }, `${MARKS[one[0]]}\u00a0`, parts);
  };
  const code = (/** @type {string} */ text) => {
    const runs = text.length > MAX_HIGHLIGHTED ? [["", text]] : highlighted(text);
    return element("pre", { class: "code" }, runs.map(([name, run]) => (name ? element("span", { class: name }, run) : run)));
  };
  const plain = (/** @type {string} */ text) => {
    const trimmed = text.trim();
    return trimmed ? element("pre", {}, trimmed) : element("pre", { class: "empty" }, text ? "only whitespace" : "empty");
  };
  const shown = (/** @type {string} */ text, /** @type {boolean} */ isCode) => (isCode && text.trim() ? code(text.trim()) : plain(text));

  /** Draw the first wrong output, bit by bit. @param {number[]} mismatch */
  function drawMismatch(mismatch) {
    const [signal, got, expected, time] = mismatch.map((text) => data.texts[text]);
    const bits = bitsOf(got, expected);
    const line = (/** @type {"got" | "expected"} */ side) =>
      element("code", {}, bits.map((bit) => (bit.differs ? element("mark", {}, bit[side]) : bit[side])));
    return element(
      "dl",
      { class: "mismatch" },
      element("dt", {}, "First wrong output"),
      element("dd", {}, `${signal} at time ${time}`),
      ...[["expected", expected], ["got", got]].flatMap(([side, value]) => [
        element("dt", {}, side),
        element("dd", {}, line(/** @type {"got" | "expected"} */ (side)), ` = ${value} (hex)`),
      ]),
    );
  }

  /** Draw the answer of a model beside the expected one. @param {Row} row @param {number} index */
  function drawAnswer(row, index) {
    const one = row[7][index];
    const card = element("div", { class: colours[index] }, element("h3", {}, data.models[index], one ? mark(one) : ""));
    if (one === null) {
      card.append(element("p", { class: "note" }, "Not asked: prompt and answer do not fit into its context."));
      return card;
    }
    const [, verdict, message, answer, source] = textsOfAnswer(one).map((text) => data.texts[text]);
    if (verdict) card.append(element("p", { class: "note" }, `${verdict[0].toUpperCase()}${verdict.slice(1)}.`));
    if (message) card.append(element("pre", { class: "message" }, message));
    if (one[7]) card.append(drawMismatch(one[7]));
    const expected = data.texts[row[5]].trim();
    const compared = (source || answer).trim();
    const text = shown(source || answer, source !== "");
    card.append(text);
    if (expected && compared && expected !== compared) {
      const parts = difference(expected, compared);
      const change = element(
        "pre",
        { class: "diff" },
        parts.map(([kind, run]) => (kind ? element(kind < 0 ? "del" : "ins", {}, run) : run)),
      );
      const button = element("button", { type: "button", class: "quiet" });
      const show = (/** @type {boolean} */ isDifference) => {
        [text.hidden, change.hidden] = [isDifference, !isDifference];
        button.textContent = isDifference ? "Show the answer alone" : "Show differences from the expected answer";
      };
      button.addEventListener("click", () => show(change.hidden));
      show(sharedIn(parts) >= MIN_SHARED);
      card.append(change, button);
    }
    if (source && source.trim() !== answer.trim())
      card.append(element("details", {}, element("summary", {}, "Whole answer"), plain(answer)));
    const facts = one[6].map((text) => data.texts[text]);
    const pairs = facts.flatMap((name, at) => (at % 2 ? [] : [`${name}: ${facts[at + 1]}`]));
    if (pairs.length) card.append(element("p", { class: "note" }, pairs.join("; ")));
    return card;
  }

  /** Draw everything about an attempt. @param {Row} row */
  function drawDetail(row) {
    const [source, asked, expected, note] = row.slice(3, 7).map((text) => data.texts[/** @type {number} */ (text)]);
    const right = element("div", {}, element("h3", {}, "Expected"));
    right.append(expected ? shown(expected, /\bendmodule\b/.test(expected)) : element("p", { class: "note" }, "No single answer is expected."));
    if (note) right.append(element("p", { class: "note" }, note));
    const link = element("a", { href: `#${fragmentOf(data, row)}` }, "Link to this attempt");
    return element(
      "td",
      { colspan: String(headings.length) },
      element("p", { class: "note" }, [data.tasks[row[0]].title, data.texts[row[2]], source].filter(Boolean).join(" · "), " · ", link),
      element("h3", {}, "Prompt"),
      plain(asked),
      element("div", { class: "answers" }, right, ...data.models.map((_, index) => drawAnswer(row, index))),
    );
  }

  /** Open or close an attempt in place. @param {HTMLElement} line @param {boolean} isOpen */
  function open(line, isOpen) {
    const button = buttonIn(line);
    if (isOpen === (button.getAttribute("aria-expanded") === "true")) return;
    if (isOpen) line.after(element("tr", { class: "detail" }, drawDetail(data.rows[Number(line.dataset.row)])));
    else line.nextElementSibling?.remove();
    button.setAttribute("aria-expanded", String(isOpen)); // only if it could be drawn
  }

  /** Draw a closed row. @param {number} index */
  function drawRow(index) {
    const row = data.rows[index];
    const id = fragmentOf(data, row);
    const button = element("button", { type: "button", id, "aria-expanded": "false" });
    button.append(excerpt(data.texts[row[4]] || row[1], 150));
    return element(
      "tr",
      { class: "attempt", "data-row": String(index) },
      element("th", { scope: "row" }, button),
      element("td", { class: "text" }, data.tasks[row[0]].title),
      element("td", { class: "text" }, data.texts[row[2]]),
      ...row[7].map((one, model) => element("td", { class: "text", "data-model": data.models[model] }, one ? mark(one) : "–")),
    );
  }

  /** Draw the next rows. */
  function drawMore() {
    const first = body.querySelectorAll("tr.attempt").length;
    body.append(...rows.slice(first, first + ROWS_AT_ONCE).map(drawRow));
    const left = rows.length - Math.min(rows.length, first + ROWS_AT_ONCE);
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${left}`;
    return /** @type {HTMLElement | undefined} */ (body.querySelectorAll("tr.attempt")[first]);
  }

  /** Filter, sort and draw the first rows, a linked one at the top. */
  function update() {
    const given = new FormData(form);
    const [query, task, category, model, verdict] = ["query", "task", "category", "model", "verdict"].map((name) => String(given.get(name) ?? ""));
    const found = filtered(data, lowered, { query, task, category, model, verdict, disagree: given.has("disagree") });
    rows = sorted(data, found, column, descending);
    if (linked >= 0) rows = [linked, ...rows.filter((index) => index !== linked)];
    for (const heading of headings) {
      const isSorted = columnOf(heading) === column;
      heading.setAttribute("aria-sort", isSorted ? (descending ? "descending" : "ascending") : "none");
    }
    body.replaceChildren();
    const [count, all] = [found, data.rows].map((list) => list.length.toLocaleString("en"));
    const isFurther = linked >= 0 && !found.includes(linked);
    find("[role=status]").textContent = `${count} of ${all} attempts${isFurther ? ", and the linked one" : ""}`;
    drawMore();
  }

  /** Open the attempt that the address names. */
  function follow() {
    const index = rowOf(data, location.hash.slice(1));
    if (index < 0) return;
    const id = fragmentOf(data, data.rows[index]);
    if (document.getElementById(id) === null) {
      linked = index;
      update();
    }
    const button = /** @type {HTMLElement} */ (document.getElementById(id));
    const line = /** @type {HTMLElement} */ (button.closest("tr"));
    open(line, true);
    line.scrollIntoView();
    button.focus({ preventScroll: true });
  }

  const changed = () => {
    linked = -1;
    update();
  };
  const labels = new Set(data.rows.flatMap((row) => row[7].flatMap((one) => (one && one[1] ? [one[1]] : []))));
  const names = [...labels].sort((one, other) => (data.texts[one] < data.texts[other] ? -1 : 1));
  const verdicts = find("[name=verdict]");
  data.kinds.forEach((kind, index) => verdicts.append(element("option", { value: `kind:${index}` }, kind)));
  for (const label of names) verdicts.append(element("option", { value: `label:${label}` }, data.texts[label]));
  const categories = [...new Set(data.rows.map((row) => data.texts[row[2]]))].sort();
  for (const name of categories) find("[name=category]").append(element("option", { value: name }, name));
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    column = "";
    setTimeout(changed); // after the fields are empty
  });
  more.addEventListener("click", () => {
    const first = drawMore();
    if (first !== undefined) buttonIn(first).focus();
  });
  body.addEventListener("click", (event) => {
    const line = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("tr.attempt"));
    if (line !== null) open(line, buttonIn(line).getAttribute("aria-expanded") !== "true");
  });
  for (const heading of headings)
    buttonIn(heading).addEventListener("click", () => {
      const wasSorted = columnOf(heading) === column;
      if (wasSorted && descending) column = "";
      else [column, descending] = [columnOf(heading), wasSorted];
      changed();
    });
  addEventListener("hashchange", follow);
  document.documentElement.classList.add("has-attempts");
  root.hidden = false;
  update();
  follow();
}

const root = document.getElementById("attempts-table");
const data = document.getElementById("attempts-data")?.textContent;
if (root !== null && data) showAttempts(root, JSON.parse(data));
