// Looks at pairs: how much of each square is true, and what kinds of tiles there are.
"use strict";

const ALL_UP_TO = 2 ** 21; // pairs in sight of which every one is looked at
const SAMPLES = 16; // of a square where there are more

// How much of each square is true

/** Make what is found of each square: how many pairs were looked at, how many attend, scores. */
function emptyFindings(squares) {
  const count = squares.rows.count * squares.columns.count;
  return {
    squares,
    seen: new Uint32Array(count),
    true: new Uint32Array(count),
    score: new Float64Array(count),
    isExact: false,
  };
}

/** Look at the squares, one pair of each first; yields between rows, so that work can pause. */
function* look(findings, attends, scoreAt) {
  const { rows, columns } = findings.squares;
  const area = rows.step * columns.step;
  if (area > 1) yield* lookOnce(findings, attends, scoreAt, () => 0.5);
  findings.seen.fill(0);
  findings.true.fill(0);
  findings.score.fill(0);
  if (area * rows.count * columns.count <= ALL_UP_TO) {
    yield* lookAtAll(findings, attends, scoreAt);
    findings.isExact = true;
  } else {
    const random = randoms(1);
    for (let n = 0; n < SAMPLES; n++) yield* lookOnce(findings, attends, scoreAt, random);
  }
}

function* lookOnce(findings, attends, scoreAt, within) {
  const { rows, columns } = findings.squares;
  for (let r = 0; r < rows.count; r++) {
    for (let s = 0; s < columns.count; s++) {
      const i = chosen(rows, r, within);
      const j = chosen(columns, s, within);
      record(findings, r * columns.count + s, i, j, attends, scoreAt);
    }
    yield;
  }
}

/** Return an element of a square, within the matrix. */
function chosen({ begin, step, end }, place, within) {
  const first = begin + place * step;
  return first + Math.floor(within() * Math.min(step, end - first));
}

function* lookAtAll(findings, attends, scoreAt) {
  const { rows, columns } = findings.squares;
  const lastRow = Math.min(rows.end, rows.begin + rows.count * rows.step);
  const lastColumn = Math.min(columns.end, columns.begin + columns.count * columns.step);
  for (let i = rows.begin; i < lastRow; i++) {
    const place = Math.floor((i - rows.begin) / rows.step) * columns.count;
    for (let j = columns.begin; j < lastColumn; j++) {
      const square = place + Math.floor((j - columns.begin) / columns.step);
      record(findings, square, i, j, attends, scoreAt);
    }
    yield;
  }
}

function record(findings, square, i, j, attends, scoreAt) {
  findings.seen[square]++;
  if (!attends(i, j)) return;
  findings.true[square]++;
  if (scoreAt !== null) findings.score[square] += scoreAt(i, j);
}

/** Make numbers from 0 to 1 that look random and are the same each time (mulberry32). */
function randoms(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Tiles

const EMPTY = 0;
const PARTIAL = 1;
const FULL = 2;
const EXACT_UP_TO = 2 ** 24; // pairs of a matrix whose tiles are known exactly
const MOST_TILES = 2 ** 18; // tiles of a matrix that are all looked at
const PAIRS_A_TILE = 24;

/** Make what is found of the tiles: the kind of each, and what they amount to. */
function emptyTiles(rows, columns, side) {
  const high = Math.ceil(rows / side);
  const wide = Math.ceil(columns / side);
  const isEvery = high * wide <= MOST_TILES;
  return {
    side, high, wide, isEvery,
    isExact: rows * columns <= EXACT_UP_TO,
    kinds: isEvery ? new Uint8Array(high * wide) : null,
    inSight: null,
    counts: [0, 0, 0],
    seen: 0,
    true: 0,
  };
}

/** Look at some pairs of each tile in sight, where the tiles are too many to know them all. */
function* lookAtTilesInSight(tiles, squares, rows, columns, attends) {
  const random = randoms(3);
  const side = tiles.side;
  const along = ({ begin, count, step, end }) => [
    Math.floor(begin / side), Math.ceil(Math.min(end, begin + count * step) / side)];
  const [top, bottom] = along(squares.rows);
  const [left, right] = along(squares.columns);
  const wide = right - left;
  const kinds = new Uint8Array((bottom - top) * wide);
  for (let n = 0; n < kinds.length; n++) {
    const [r, s] = [top + Math.floor(n / wide), left + n % wide];
    kinds[n] = kindOf(lookAtTile(tiles, r, s, rows, columns, attends, random));
    if (n % 64 === 63) yield;
  }
  tiles.inSight = { top, left, wide, kinds };
}

function kindOf(found) {
  return found.true === 0 ? EMPTY : found.true === found.seen ? FULL : PARTIAL;
}

/** Look at the tiles: at every pair, or at some of each tile, or at some of some tiles. */
function* lookAtTiles(tiles, rows, columns, attends) {
  const random = randoms(2);
  const total = tiles.isEvery ? tiles.high * tiles.wide : MOST_TILES;
  for (let n = 0; n < total; n++) {
    const r = tiles.isEvery ? Math.floor(n / tiles.wide) : Math.floor(random() * tiles.high);
    const s = tiles.isEvery ? n % tiles.wide : Math.floor(random() * tiles.wide);
    const found = lookAtTile(tiles, r, s, rows, columns, attends, random);
    const kind = kindOf(found);
    tiles.counts[kind]++;
    tiles.seen += found.seen;
    tiles.true += found.true;
    if (tiles.kinds !== null) tiles.kinds[n] = kind;
    if (n % 64 === 63 || tiles.isExact) yield;
  }
}

function lookAtTile(tiles, r, s, rows, columns, attends, random) {
  const high = Math.min(tiles.side, rows - r * tiles.side);
  const wide = Math.min(tiles.side, columns - s * tiles.side);
  let found = 0;
  if (tiles.isExact) {
    for (let i = 0; i < high; i++) {
      for (let j = 0; j < wide; j++) found += attends(r * tiles.side + i, s * tiles.side + j);
    }
    return { seen: high * wide, true: found };
  }
  for (let n = 0; n < PAIRS_A_TILE; n++) {
    const isCorner = n < 4;
    const i = isCorner ? (n & 1) * (high - 1) : Math.floor(random() * high);
    const j = isCorner ? (n >> 1) * (wide - 1) : Math.floor(random() * wide);
    found += attends(r * tiles.side + i, s * tiles.side + j);
  }
  return { seen: PAIRS_A_TILE, true: found };
}
