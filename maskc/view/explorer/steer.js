// Pointers and keys: what they point at, how they zoom and move.
"use strict";

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

