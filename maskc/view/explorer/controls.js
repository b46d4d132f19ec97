// The controls: sliders of the numbers and the sizes, buttons, and the text with its numbers.
"use strict";

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

