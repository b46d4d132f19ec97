// The page: its state, its controls, and when what is worked out and drawn again.
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const canvas = byId("matrix");

const state = {
  sizes: { ...page.sizes },
  isSquare: page.sizes.q_len === page.sizes.kv_len,
  offset: page.offset,
  knobs: page.knobs.map((knob) => knob.value),
  batch: page.batch,
  head: page.head,
  score: 1,
  mode: "mask",
  tile: page.tile,
  view: null,
  cursor: null,
  isPinned: false,
};

const inputs = page.inputs.map(({ sides, subscripts }) =>
  sides.map((side) => unpacked(side, subscripts)));

let call;
let findings = null;
let tiles = null;
let lookWork = null;
let tileWork = null;
let isWorking = false;

// What is asked of the program

/** Return the logical position of a query row, and of a key row. */
const queryAt = page.positions.q === null ? (i) => i + state.offset : (i) => page.positions.q[i];
const keyAt = page.positions.k === null ? (j) => j : (j) => page.positions.k[j];

function renewCall() {
  const [q, k] = [(b, i) => queryAt(i), (b, j) => keyAt(j)];
  call = makeCall(state.sizes, state.knobs, inputs, q, k);
}

function ask(number, i, j, score) {
  return FUNCTIONS[number](call, state.batch, state.head, i, j, queryAt(i), keyAt(j), score);
}

const attends = (i, j) => ask(page.functions.mask, i, j);
const scoreAt = (i, j) => ask(page.functions.score, i, j, state.score);

// Work in slices, so that the page never waits

function restart() {
  const { q_len, kv_len } = state.sizes;
  renewCall();
  setTrouble("");
  tiles = emptyTiles(q_len, kv_len, state.tile);
  tileWork = lookAtTiles(tiles, q_len, kv_len, attends);
  lookAgain();
  showAnswer();
  showSeen();
}

/** Look at what is in sight now. */
function lookAgain() {
  findings = emptyFindings(squaresIn(state.view, state.sizes.q_len, state.sizes.kv_len));
  lookWork = lookAtSight();
  document.body.dataset.state = "working";
  if (!isWorking) requestAnimationFrame(proceed);
  isWorking = true;
}

function* lookAtSight() {
  const { q_len, kv_len } = state.sizes;
  yield* look(findings, attends, state.mode === "score" ? scoreAt : null);
  if (tiles.kinds === null && areWide(state.tile, state.view)) {
    yield* lookAtTilesInSight(tiles, findings.squares, q_len, kv_len, attends);
  }
}

/** Work for one slice: first what is in sight, then the tiles. */
function proceed() {
  try {
    runUntil(performance.now() + SLICE);
  } catch (error) {
    if (!(error instanceof Unanswerable)) throw error;
    lookWork = tileWork = null;
    setTrouble(error.message);
  }
  isWorking = lookWork !== null || tileWork !== null;
  paint();
  showCost();
  if (isWorking) requestAnimationFrame(proceed);
  else document.body.dataset.state = "done";
}

function runUntil(end) {
  while (performance.now() < end && (lookWork !== null || tileWork !== null)) {
    if (lookWork !== null) {
      if (lookWork.next().done) lookWork = null;
    } else if (tileWork.next().done) {
      tileWork = null;
    }
  }
}

function setTrouble(message) {
  byId("trouble").hidden = message === "";
  byId("trouble").textContent = message === "" ? "" : `This cannot be evaluated: ${message}.`;
}

// Drawing

function colours() {
  const style = getComputedStyle(document.documentElement);
  const text = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: toRgb(text("paper")),
    empty: toRgb(text("empty")),
    partialEmpty: toRgb(text("partial-empty")),
    full: toRgb(text("full")),
    wrong: toRgb(text("wrong")),
    paperText: text("paper"),
    ink: text("ink"),
    dim: text("dim"),
    line: text("line"),
    hair: text("hair"),
    cursor: text("cursor"),
    cursorRow: text("cursor-row"),
  };
}

function paint() {
  const context = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const { q_len, kv_len } = state.sizes;
  const found = colours();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = found.paperText;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.save();
  context.beginPath();
  context.rect(MARGIN.left, MARGIN.top, state.view.space.x, state.view.space.y);
  context.clip();
  const range = state.mode === "score" ? scoreRange(findings) : undefined;
  const hasTiles = byId("show-tiles").checked;
  const tinting = hasTiles && state.mode === "mask" ? tiles : null;
  paintSquares(context, state.view, findings, range, tinting, found);
  paintElements(context, state.view, q_len, kv_len, found);
  if (hasTiles) paintTiles(context, state.view, state.tile, q_len, kv_len, found);
  if (state.cursor !== null) {
    paintCursor(context, state.view, state.cursor, q_len, kv_len, found);
  }
  context.restore();
  paintAxes(context, state.view, q_len, kv_len, found);
  showLegend(range);
}

function fit() {
  const { width, height } = byId("plot").getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  state.view = fitted(width, height, state.sizes.q_len, state.sizes.kv_len);
}

function whole() {
  const { width, height } = byId("plot").getBoundingClientRect();
  return fitted(width, height, state.sizes.q_len, state.sizes.kv_len);
}

function zoomBy(factor, at) {
  const { q_len, kv_len } = state.sizes;
  const middle = {
    x: MARGIN.left + state.view.space.x / 2,
    y: MARGIN.top + state.view.space.y / 2,
  };
  state.view = kept(zoomed(state.view, factor, at ?? middle, whole()), q_len, kv_len);
  lookAgain();
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

// Controls

function made(tag, kind = "", text = "") {
  const node = document.createElement(tag);
  node.className = kind;
  node.textContent = text;
  return node;
}

function count(number) {
  return number.toLocaleString("en");
}

/** Return a slider with a number beside it; `turn` is told each new value. */
function slider({ name, doc = "", value, least, most, isInt = true, isLog = false, turn }) {
  const row = made("div", "row");
  const label = made("label", "mono", name);
  label.title = name;
  const box = made("input");
  const range = made("input");
  box.type = "number";
  range.type = "range";
  box.id = range.id = "";
  label.htmlFor = box.id = `turn-${document.querySelectorAll(".row").length}-${name}`;
  range.setAttribute("aria-label", name);
  const steps = 1000;
  const toSlider = (x) => (isLog ? steps * Math.log(x / least) / Math.log(most / least) : x);
  const fromSlider = (x) => (isLog ? least * (most / least) ** (x / steps) : x);
  [range.min, range.max] = isLog ? [0, steps] : [least, most];
  range.step = isLog ? 1 : isInt ? 1 : (most - least) / 400;
  [box.min, box.max, box.step] = [least, most, isInt ? 1 : "any"];
  const show = (x) => {
    box.value = shown(x);
    range.value = toSlider(x);
  };
  const take = (x, from) => {
    if (!Number.isFinite(x)) return;
    const inRange = Math.max(least, Math.min(most, isInt ? Math.round(x) : x));
    if (from !== box) box.value = shown(inRange);
    if (from !== range) range.value = toSlider(inRange);
    turn(inRange);
  };
  range.addEventListener("input", () => take(fromSlider(Number(range.value)), range));
  box.addEventListener("change", () => take(Number(box.value), null));
  show(value);
  row.append(label, box, range);
  if (doc !== "") row.append(made("span", "doc", doc));
  return { row, show, box };
}

const sliders = { knobs: [], q_len: null, kv_len: null };

function makeKnobs() {
  const place = byId("knobs");
  page.knobs.forEach((knob, n) => {
    const turn = (value) => {
      state.knobs[n] = value;
      showProgram();
      restart();
    };
    if (knob.kind === "bool") {
      place.append(checkbox(knob.name, knob.value, turn));
      return;
    }
    const made = slider({ ...knob, isInt: knob.kind === "int", turn });
    sliders.knobs[n] = made;
    place.append(made.row);
  });
  if (page.knobs.length > 0) place.append(made("div", "separate"));
  place.append(...sizeControls());
  byId("fixed").textContent = page.fixed;
}

function checkbox(name, value, turn) {
  const label = made("label", "check mono");
  const box = made("input");
  box.type = "checkbox";
  box.checked = value;
  box.addEventListener("change", () => turn(box.checked));
  label.append(box, document.createTextNode(name));
  const row = made("div", "row");
  row.append(label);
  return row;
}

/** Return the controls of sizes, the offset, the batch, the head and the score. */
function sizeControls() {
  const { limits } = page;
  const size = (name, title) => {
    const [least, most] = limits[name];
    const turn = (value) => resize(name, value);
    const value = state.sizes[name];
    sliders[name] = slider({ name: title, value, least, most, isLog: most > 512, turn });
    return sliders[name].row;
  };
  const rows = [size("q_len", "queries"), size("kv_len", "keys")];
  if (limits.q_len[1] === limits.kv_len[1]) {
    rows.push(checkbox("as many keys as queries", state.isSquare, (isSquare) => {
      state.isSquare = isSquare;
      if (isSquare) resize("q_len", state.sizes.q_len);
    }));
  }
  const simple = (name, title, least, most) => slider({
    name: title, value: state[name], least, most,
    turn: (value) => { state[name] = value; restart(); },
  }).row;
  const beyond = Math.max(state.offset, limits.kv_len[1] - 1, 1);
  if (page.reads.q) rows.push(simple("offset", "position of query 0", 0, beyond));
  if (page.reads.batch) rows.push(simple("batch", "batch", 0, page.sizes.batch_size - 1));
  if (page.reads.head) rows.push(simple("head", "head", 0, page.sizes.num_heads - 1));
  if (page.reads.score) {
    rows.push(slider({
      name: "score before", value: state.score, least: -10, most: 10, isInt: false,
      turn: (value) => { state.score = value; restart(); },
    }).row);
  }
  return rows;
}

function resize(name, value) {
  state.sizes[name] = value;
  if (state.isSquare) {
    state.sizes.q_len = state.sizes.kv_len = value;
    sliders[name === "q_len" ? "kv_len" : "q_len"].show(value);
  }
  fit();
  restart();
}

/** Show the program, its numbers with the values that they have now. */
function showProgram() {
  byId("program").replaceChildren(...page.program.map((part) => {
    if (typeof part === "string") return document.createTextNode(part);
    if (part.comment !== undefined) return made("span", "comment", part.comment);
    const isChanged = state.knobs[part.knob] !== page.knobs[part.knob].value;
    const text = part.text === null ? shown(state.knobs[part.knob]) : part.text;
    const node = made("span", isChanged ? "knob changed" : "knob", text);
    node.title = `${page.knobs[part.knob].name}: ${shown(state.knobs[part.knob])}`;
    node.addEventListener("click", () => sliders.knobs[part.knob]?.box.focus());
    return node;
  }));
}

function makeTools() {
  const hasScore = page.functions.score !== null;
  byId("show-score").disabled = !hasScore;
  const choose = (mode) => () => {
    state.mode = mode;
    byId("show-mask").setAttribute("aria-pressed", String(mode === "mask"));
    byId("show-score").setAttribute("aria-pressed", String(mode === "score"));
    lookAgain();
  };
  byId("show-mask").addEventListener("click", choose("mask"));
  byId("show-score").addEventListener("click", choose("score"));
  byId("show-tiles").addEventListener("change", paint);
  byId("zoom-in").addEventListener("click", () => zoomBy(2));
  byId("zoom-out").addEventListener("click", () => zoomBy(0.5));
  byId("fit").addEventListener("click", () => { fit(); lookAgain(); });
  for (const side of page.sides) {
    const option = made("option", "", `of ${side}`);
    option.value = side;
    option.selected = side === state.tile;
    byId("tile").append(option);
  }
  byId("tile").addEventListener("change", () => {
    state.tile = Number(byId("tile").value);
    restart();
  });
}

// Pointers and keys

const pointers = new Map();

function pixelAt(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function pointAt(pixel) {
  const at = elementAt(state.view, pixel);
  moveCursor(Math.floor(at.y), Math.floor(at.x));
}

function makePointers() {
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(2 ** (-event.deltaY / 240), pixelAt(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { ...pixelAt(event), moved: 0 });
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = pixelAt(event);
    if (before === undefined) {
      if (!state.isPinned) pointAt(now);
      return;
    }
    const moved = before.moved + Math.hypot(now.x - before.x, now.y - before.y);
    if (pointers.size === 2) pinch(event.pointerId, before, now);
    else if (moved > 3) pan(before, now);
    pointers.set(event.pointerId, { ...now, moved });
  });
  const lift = (event) => {
    const before = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (before !== undefined && before.moved <= 3) {
      state.isPinned = event.pointerType === "mouse" ? !state.isPinned : true;
      pointAt(before);
    }
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("dblclick", (event) => zoomBy(2, pixelAt(event)));
}

function pan(before, now) {
  const { q_len, kv_len } = state.sizes;
  const left = state.view.left - (now.x - before.x) / state.view.x;
  const top = state.view.top - (now.y - before.y) / state.view.y;
  state.view = kept({ ...state.view, left, top }, q_len, kv_len);
  lookAgain();
}

function pinch(moving, before, now) {
  const [other] = [...pointers].filter(([id]) => id !== moving).map(([, at]) => at);
  const apart = (at) => Math.hypot(at.x - other.x, at.y - other.y);
  const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
  if (apart(before) > 0) zoomBy(apart(now) / apart(before), middle);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function makeKeys() {
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "+": () => zoomBy(2, cursorPixel()),
      "=": () => zoomBy(2, cursorPixel()),
      "-": () => zoomBy(0.5, cursorPixel()),
      "0": () => { fit(); lookAgain(); },
      Enter: () => { state.isPinned = !state.isPinned; },
      Escape: () => { state.isPinned = false; moveCursor(-1, -1); },
    };
    if (MOVES[event.key] !== undefined) step(MOVES[event.key], event.shiftKey ? state.tile : 1);
    else if (actions[event.key] !== undefined) actions[event.key]();
    else return;
    event.preventDefault();
  });
}

function cursorPixel() {
  if (state.cursor === null) return undefined;
  return pixelOf(state.view, state.cursor.i + 0.5, state.cursor.j + 0.5);
}

/** Move the cursor by so many elements, and the view with it. */
function step([down, right], by) {
  const { q_len, kv_len } = state.sizes;
  const from = state.cursor ?? { i: -down, j: -right };
  const keep = (place, length) => Math.max(0, Math.min(length - 1, place));
  const i = keep(from.i + down * by, q_len);
  const j = keep(from.j + right * by, kv_len);
  state.isPinned = true;
  const inSight = (place, first, shown) =>
    place < first || place >= first + shown - 1 ? Math.floor(place - shown / 2) : first;
  const left = inSight(j, state.view.left, state.view.space.x / state.view.x);
  const top = inSight(i, state.view.top, state.view.space.y / state.view.y);
  const isMoved = left !== state.view.left || top !== state.view.top;
  state.view = kept({ ...state.view, left, top }, q_len, kv_len);
  moveCursor(i, j);
  if (isMoved) lookAgain();
}

// Start

renewCall();
showProgram();
makeKnobs();
makeTools();
makePointers();
makeKeys();
fit();
restart();
new ResizeObserver(() => { fit(); lookAgain(); }).observe(byId("plot"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
