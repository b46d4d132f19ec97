// What the text of a program's functions calls: the meanings that JavaScript lacks, as Python and
// the evaluator have them. An int is a number without a fraction of at most 53 bits; one that would
// be larger is refused, as is a read outside of an input. Nothing here knows of the page.
"use strict";

class Unanswerable extends Error {}

const LARGEST_ROUNDED = 2 ** 31 - 128;

// Ints

/** Return an int, which is never -0; refuse one that a number does not hold exactly. */
function exact(x) {
  if (!Number.isSafeInteger(x)) throw new Unanswerable("an int of more than 53 bits");
  return x + 0;
}

function int32(x) {
  if (x !== (x | 0)) throw new Unanswerable("the bits of an int of more than 32 bits");
  return x;
}

function floorDividedInts(a, b) {
  if (b === 0) throw new Unanswerable("a division by zero");
  return (a - remainderOfInts(a, b)) / b;
}

function remainderOfInts(a, b) {
  if (b === 0) throw new Unanswerable("a division by zero");
  const left = a % b;
  return left !== 0 && left < 0 !== b < 0 ? left + b : left;
}

function powerOfInts(base, exponent) {
  if (exponent < 0) throw new Unanswerable("an int to a negative power");
  let result = 1;
  let square = base;
  for (let n = exponent; n > 0; n = Math.floor(n / 2)) {
    if (n % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** Return a rounded float as an int that saturates; NaN is 0. */
function saturated(x) {
  if (Number.isNaN(x)) return 0;
  return Math.max(-LARGEST_ROUNDED, Math.min(LARGEST_ROUNDED, x)) + 0;
}

function roundedToEven(x) {
  const below = Math.floor(x);
  const fraction = x - below;
  if (fraction !== 0.5) return fraction < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

// Floats

function floorDivided(a, b) {
  return Math.floor(a / b) + 0;
}

/** Return what the floored quotient leaves, with the sign of the divisor. */
function remainder(a, b) {
  const left = a % b;
  if (left === 0) return b < 0 || Object.is(b, -0) ? -0 : 0;
  return left < 0 !== b < 0 ? left + b : left;
}

/** Return a power as IEEE 754 has it; JavaScript's own of 1 and -1 differs. */
function power(base, exponent) {
  if (base === 1 || exponent === 0) return 1;
  if (base === -1 && Math.abs(exponent) === Infinity) return 1;
  return base ** exponent;
}

function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** The error function, by its series of positive terms (Abramowitz and Stegun 7.1.6). */
function erf(x) {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

// Choices; each is NaN where an argument is

function least(first, ...others) {
  let result = first;
  for (const x of others) {
    if (x < result || Number.isNaN(x)) result = x;
  }
  return result;
}

function greatest(first, ...others) {
  let result = first;
  for (const x of others) {
    if (x > result || Number.isNaN(x)) result = x;
  }
  return result;
}

function clamped(x, low, high) {
  return least(greatest(x, low), high);
}

function relu(x) {
  return x > 0 || Number.isNaN(x) ? x : 0;
}

function sign(x) {
  return Number(x > 0) - Number(x < 0);
}

// Grids and inputs

/** Return where a token lies along an axis, -1 outside of the grid. */
function coordinate(position, start, count, stride, size) {
  const token = position - start;
  if (token < 0 || token >= count) return -1;
  return Math.floor(token / stride) % size;
}

/**
 * Make an input that is read with so many subscripts.
 *
 * A dimension of size 1 serves every subscript; a shape of one dimension more has the batch first.
 */
function table(name, shape, data, subscripts) {
  let stride = 1;
  const strides = shape.map(() => 0);
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    strides[dim] = shape[dim] === 1 ? 0 : stride;
    stride *= shape[dim];
  }
  return { name, shape, strides, data, isBatched: shape.length > subscripts };
}

const KINDS = { Uint8Array, Int16Array, Int32Array, Float32Array, Float64Array };

/** Return an input as Python packed it: its elements in base64, little-endian. */
function unpacked({ name, shape, kind, data }, subscripts) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return table(name, shape, new KINDS[kind](bytes.buffer), subscripts);
}

/** Return an element; refuse a subscript that leaves the input. */
function element(from, batch, ...subscripts) {
  let place = 0;
  let dim = 0;
  if (from.isBatched) place += inside(from, dim++, batch);
  for (const subscript of subscripts) place += inside(from, dim++, subscript);
  return from.data[place];
}

function inside(from, dim, subscript) {
  if (from.strides[dim] === 0) return 0;
  if (subscript < 0 || subscript >= from.shape[dim]) {
    throw new Unanswerable(`${from.name} has ${from.shape[dim]} entries, none at ${subscript}`);
  }
  return subscript * from.strides[dim];
}

// Selections

const MOST_ROWS = 4096; // rows whose selection is kept

/** Tell whether a key is among the `count` of its row with the largest values; ties: the lower. */
function isSelected(call, number, count, value, where, b, h, i, j) {
  const name = `${number} ${b} ${h} ${i}`;
  let chosen = call.rows.get(name);
  if (chosen === undefined) {
    chosen = selected(call, count, value, where, b, h, i);
    if (call.rows.size >= MOST_ROWS) call.rows.clear();
    call.rows.set(name, chosen);
  }
  return chosen[j] === 1;
}

function selected(call, count, value, where, b, h, i) {
  const q = call.q(b, i);
  const values = new Float64Array(call.kv_len);
  const allowed = [];
  for (let j = 0; j < call.kv_len; j++) {
    const k = call.k(b, j);
    if (!where(call, b, h, i, j, q, k)) continue;
    values[j] = value(call, b, h, i, j, q, k);
    allowed.push(j);
  }
  allowed.sort((x, y) => values[y] - values[x] || x - y);
  const chosen = new Uint8Array(call.kv_len);
  for (const j of allowed.slice(0, count)) chosen[j] = 1;
  return chosen;
}

/**
 * Make the call that a program's functions take.
 *
 * `sizes` are those of the language by name; `knobs` the values of params and numbers, in order;
 * `inputs` pairs of tables, for queries and for keys; `q` and `k` give the logical position of a
 * row of a batch.
 */
function makeCall(sizes, knobs, inputs, q, k) {
  return { ...sizes, knobs, inputs, q, k, rows: new Map() };
}
