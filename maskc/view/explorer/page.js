// The page: its state, what it asks of the program, and when that is worked out and drawn again.
"use strict";

const SLICE = 12; // milliseconds of work between two frames

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
