// The answer of "why": the tree of the mask as it was written, with its values at one pair, and
// what the score becomes. A node decides if it is on the way from the root to what settles it.
"use strict";

/** Return a value, null where something that is guarded elsewhere has none. */
function valueOf(compute) {
  try {
    return compute();
  } catch (error) {
    if (error instanceof Unanswerable) return null;
    throw error;
  }
}

/** Return a node and all below it with their values: `ask(n)` gives that of a function. */
function answered(node, ask, decides = true) {
  const value = truthOf(node, ask);
  const parts = node.parts.map((part, n) =>
    answered(part, ask, decides && isMark(node, value, n, ask)));
  const numbers = node.sides === null ? "" : valueOf(() => compared(node.sides, ask)) ?? "not read here";
  return { node, value, decides, numbers, parts };
}

function truthOf(node, ask) {
  const value = valueOf(() => ask(node.fn));
  if (value !== null) return value;
  const values = node.parts.map((part) => truthOf(part, ask));
  if (node.kind === "and" && values.includes(false)) return false;
  if (node.kind === "or" && values.includes(true)) return true;
  return null;
}

/** Tell whether a part of a node settles the node's value. */
function isMark(node, value, place, ask) {
  if ((node.kind === "and" && value === false) || (node.kind === "or" && value === true)) {
    return truthOf(node.parts[place], ask) === value;
  }
  if (node.kind !== "choice" || place === 0) return true;
  return truthOf(node.parts[0], ask) !== (place === 2);
}

const MIRRORED = { "<": ">", "<=": ">=" };

/** Return a comparison with its numbers, the side that is worked out first: `45, not < 30`. */
function compared(sides, ask) {
  const { op, holds } = sides;
  const ends = [sides.left, sides.right];
  let sign = op;
  if (ends[0].work < ends[1].work) {
    ends.reverse();
    sign = MIRRORED[op] ?? op;
  }
  const [one, other] = ends.map((side) => shownSide(side, ask));
  if (ends.every((side) => side.isRead)) return `${one}, ${other}`;
  return ask(holds) ? `${one} ${sign} ${other}` : `${one}, not ${sign} ${other}`;
}

function shownSide(side, ask) {
  const value = shown(ask(side.fn));
  return side.text === null ? value : `${side.text} = ${value}`;
}

/** Return what stands under names: a name is told with the numbers of what it stands for. */
function withinNames(one) {
  let found = one;
  while (found.node.kind === "name") found = found.parts[0];
  return found;
}

/** List a tree as lines with their depths; names are not told twice, nodes without a label never. */
function* linesOf(one, depth = 0) {
  if (one.node.label === null) return;
  const inner = withinNames(one);
  yield { depth, one, numbers: inner.numbers };
  for (const part of inner.parts) yield* linesOf(part, depth + 1);
}

/** Return a number as a person reads it. */
function shown(value) {
  if (typeof value === "boolean") return String(value);
  if (value === Infinity) return "inf";
  if (value === -Infinity) return "-inf";
  if (Number.isNaN(value)) return "nan";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}
