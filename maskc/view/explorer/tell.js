// What the page tells beside the matrix: the answer at the cursor, the cost, the legend.
"use strict";

// Nodes and numbers

function made(tag, kind = "", text = "") {
  const node = document.createElement(tag);
  node.className = kind;
  node.textContent = text;
  return node;
}

function count(number) {
  return number.toLocaleString("en");
}

// The answer at the cursor

function moveCursor(i, j) {
  const { q_len, kv_len } = state.sizes;
  const isInside = i >= 0 && j >= 0 && i < q_len && j < kv_len;
  state.cursor = isInside ? { i, j } : null;
  paint();
  showAnswer();
  showSeen();
}

function showAnswer() {
  const place = byId("why");
  const { q_len, kv_len } = state.sizes;
  if (state.cursor === null || state.cursor.i >= q_len || state.cursor.j >= kv_len) {
    state.cursor = null;
    place.replaceChildren(made("p", "", "Point at a pair to see why it attends or not."));
    return;
  }
  const { i, j } = state.cursor;
  const sees = valueOf(() => attends(i, j));
  const verb = sees === null ? "and" : sees ? "sees" : "does not see";
  const title = made("p", "title", `query ${queryAt(i)} ${verb} key ${keyAt(j)}`);
  const list = made("ul", "mono");
  const atPair = (number, score) => ask(number, i, j, score);
  if (page.tree === null) {
    list.append(made("li", "", "no mask: every query sees every key"));
  } else {
    for (const line of linesOf(answered(page.tree, atPair))) list.append(answerLine(line));
  }
  if (sees) scoreLines(list, atPair);
  place.replaceChildren(title, list);
  if (kv_len <= MOST_KEYS) place.append(made("p", "", rowText(i)));
}

const MOST_KEYS = 2 ** 15; // of a row that is counted while the pointer moves

/** Return how many keys a query sees. */
function rowText(i) {
  let seen = 0;
  const { kv_len } = state.sizes;
  const total = valueOf(() => {
    for (let j = 0; j < kv_len; j++) seen += attends(i, j);
    return seen;
  });
  if (total === null) return "";
  return `Query ${queryAt(i)} sees ${count(total)} of ${count(kv_len)} keys.`;
}

function answerLine({ depth, one, numbers }) {
  const sign = { true: "✓", false: "✗", null: "–" }[one.value];
  const kind = { true: "yes", false: "no", null: "" }[one.value];
  const item = made("li", `${kind} ${one.decides ? "decides" : ""}`);
  item.style.paddingLeft = `${depth * 14}px`;
  const text = made("span", "", labelOf(one.node.label));
  if (numbers !== "") text.append(made("span", "numbers", `: ${numbers}`));
  item.append(made("span", "sign", sign), text);
  return item;
}

/** Add what each statement makes of the score. */
function scoreLines(list, atPair) {
  let score = state.score;
  for (const step of page.steps) {
    const before = score;
    score = valueOf(() => atPair(step.fn, before));
    if (score === null) return;
    const item = made("li", "");
    const text = `score ${shown(before)} → ${labelOf(step.label)} = ${shown(score)}`;
    item.append(made("span", "sign", "→"), made("span", "", text));
    list.append(item);
  }
}

/** Return a label with the values that its numbers have now. */
function labelOf(label) {
  return label.map((part) => (typeof part === "string" ? part : shown(state.knobs[part]))).join("");
}

/** Draw what the query at the cursor sees of the token grid. */
function showSeen() {
  byId("grid").hidden = page.grid === null;
  if (page.grid === null) return;
  const { q_len, kv_len } = state.sizes;
  const i = state.cursor === null ? Math.floor(q_len / 2) : state.cursor.i;
  byId("grid-title").textContent = `What query ${queryAt(i)} sees of the grid`;
  const [frames, rows, columns] = page.grid.shape;
  const gap = 1;
  const square = Math.ceil(Math.sqrt(frames));
  const across = Math.max(1, Math.min(square, Math.floor(48 / (columns + gap))));
  const down = Math.ceil(frames / across);
  const found = colours();
  const image = new ImageData(across * (columns + gap) - gap, down * (rows + gap) - gap);
  const placed = (token, hue, alpha = 255) => {
    const frame = Math.floor(token / (rows * columns));
    const y = Math.floor(frame / across) * (rows + gap) + Math.floor(token / columns) % rows;
    const x = (frame % across) * (columns + gap) + token % columns;
    image.data.set([...hue, alpha], 4 * (y * image.width + x));
  };
  const tokens = frames * rows * columns;
  for (let token = 0; token < tokens; token++) placed(token, found.empty, 120);
  for (let j = 0; j < kv_len; j++) {
    const token = keyAt(j) - page.grid.start;
    if (token < 0 || token >= tokens) continue;
    placed(token, valueOf(() => attends(i, j)) ? found.full : found.empty);
  }
  const own = queryAt(i) - page.grid.start;
  if (own >= 0 && own < tokens) placed(own, toRgb(found.cursor));
  const seen = byId("seen");
  seen.width = image.width;
  seen.height = image.height;
  seen.getContext("2d").putImageData(image, 0, 0);
}

// Cost and legend

function showCost() {
  const counts = known() ?? ofAllTiles(tiles);
  const total = counts[0] + counts[1] + counts[2];
  if (total === 0) return;
  const share = (count) => `${(100 * count / total).toFixed(1)}%`;
  const bar = [["full", counts[FULL]], ["partial", counts[PARTIAL]]].map(([name, count]) => {
    const part = made("span", name);
    part.style.width = share(count);
    return part;
  });
  byId("bar").replaceChildren(...bar);
  const pairs = known() === null ? tiles.true / tiles.seen : page.known.share;
  const listed = [
    ["full", "full tiles", count(counts[FULL])],
    ["partial", "partial tiles", count(counts[PARTIAL])],
    ["empty", "empty tiles", count(counts[EMPTY])],
    ["", "work against dense", share(counts[FULL] + counts[PARTIAL])],
    ["", "pairs that attend", `${(100 * pairs).toFixed(pairs < 0.1 ? 2 : 1)}%`],
  ];
  byId("costs").replaceChildren(...listed.flatMap(([name, title, value]) =>
    [made("span", name === "" ? "" : `swatch ${name}`), made("dt", "", title), made("dd", "", value)]));
  for (const title of byId("costs").querySelectorAll("dt")) title.style.display = "block";
  byId("how").textContent = howKnown();
  showSummary(counts, pairs);
}

/** Return how many tiles of each kind there are; where some were looked at, as many in proportion. */
function ofAllTiles({ counts, isEvery, high, wide }) {
  const looked = counts[EMPTY] + counts[PARTIAL] + counts[FULL];
  return isEvery ? counts : counts.map((some) => Math.round(some / looked * high * wide) || 0);
}

/** Return the tiles that maskc found, while sizes and numbers are those that it found them for. */
function known() {
  const isSame = page.known !== null && state.tile === page.tile && state.offset === page.offset
    && state.batch === page.batch && state.head === page.head
    && Object.keys(page.sizes).every((name) => state.sizes[name] === page.sizes[name])
    && page.knobs.every((knob, n) => knob.value === state.knobs[n]);
  return isSame ? page.known.counts : null;
}

function howKnown() {
  const side = `Tiles of ${state.tile} × ${state.tile}`;
  if (known() !== null) return `${side}, exactly.`;
  const busy = tileWork === null ? "." : "; counting.";
  if (tiles.isExact) return `${side}, from every pair${busy}`;
  const some = tiles.isEvery ? "of each" : `of each of ${count(MOST_TILES)} taken at random`;
  return `${side}, estimated from ${PAIRS_A_TILE} pairs ${some}${busy}`;
}

function showSummary(counts, pairs) {
  const { q_len, kv_len } = state.sizes;
  byId("summary").textContent = `${count(q_len)} queries, ${count(kv_len)} keys: `
    + `${(100 * pairs).toFixed(1)}% of the pairs attend. ${count(counts[FULL])} full, `
    + `${count(counts[PARTIAL])} partial and ${count(counts[EMPTY])} empty tiles `
    + `of ${state.tile} × ${state.tile}.`;
}

function showLegend(range) {
  const entries = [];
  if (range === undefined) {
    entries.push(legendEntry("swatch full", "attends"), legendEntry("swatch empty", "does not"));
    const { rows, columns } = findings.squares;
    if (rows.step * columns.step > 1) {
      const how = findings.isExact ? "counted" : `from ${SAMPLES} pairs`;
      const text = `a square is ${rows.step} × ${columns.step} pairs, its shade ${how}`;
      entries.push(made("span", "", text));
    }
  } else if (range === null) {
    entries.push(made("span", "", "no score in sight"));
  } else {
    const scale = made("span", "scale");
    const stops = SCALE.map((colour) => `rgb(${colour.join(",")})`);
    scale.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const line = made("span", "", shown(range.least));
    line.append(scale, document.createTextNode(shown(range.most)));
    entries.push(line, made("span", "", `what a score of ${shown(state.score)} becomes`));
  }
  if (byId("show-tiles").checked && range === undefined) {
    entries.push(legendEntry("swatch tinted", "does not, in a partial tile"));
  }
  byId("legend").replaceChildren(...entries);
}

function legendEntry(kind, text) {
  const entry = made("span", "");
  entry.append(made("span", kind), document.createTextNode(text));
  return entry;
}
