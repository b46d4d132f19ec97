// The matrix on a canvas: what part of it is seen, how much of each square is true, and its colours.
// A square is one element where elements are wide enough, and else a power of two of them.
"use strict";

const MARGIN = { left: 52, top: 30, right: 10, bottom: 10 };
const NEAREST = 64; // pixels of the widest element
const SQUARE_UP_TO = 4; // the ratio of the sides up to which an element is drawn as a square
const SCALE = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779",
  "#6ece58", "#b5de2b", "#fde725"].map(toRgb); // viridis

// Views

/** Return the view of a whole matrix in a space of so many pixels. */
function fitted(width, height, rows, columns) {
  const space = {
    x: Math.max(1, width - MARGIN.left - MARGIN.right),
    y: Math.max(1, height - MARGIN.top - MARGIN.bottom),
  };
  let x = space.x / columns;
  let y = space.y / rows;
  const ratio = rows / columns;
  if (ratio <= SQUARE_UP_TO && 1 / ratio <= SQUARE_UP_TO) x = y = Math.min(x, y);
  return { left: 0, top: 0, x: Math.min(x, NEAREST), y: Math.min(y, NEAREST), space };
}

/** Return the view with another zoom that keeps the element under a pixel of the canvas. */
function zoomed(view, factor, at, whole) {
  const limited = Math.max(Math.min(factor, NEAREST / Math.max(view.x, view.y)), whole.x / view.x);
  const point = elementAt(view, at);
  const x = view.x * limited;
  const y = view.y * limited;
  const left = point.x - (at.x - MARGIN.left) / x;
  const top = point.y - (at.y - MARGIN.top) / y;
  return { ...view, x, y, left, top };
}

/** Return the view moved so that it shows no more than a little beyond the matrix. */
function kept(view, rows, columns) {
  const keep = (first, shown, count) =>
    shown >= count ? 0 : Math.max(0, Math.min(first, count - shown));
  return {
    ...view,
    left: keep(view.left, view.space.x / view.x, columns),
    top: keep(view.top, view.space.y / view.y, rows),
  };
}

/** Return where in the matrix a pixel lies; fractions are within an element. */
function elementAt(view, { x, y }) {
  return { x: view.left + (x - MARGIN.left) / view.x, y: view.top + (y - MARGIN.top) / view.y };
}

/** Return the pixel of the upper left corner of an element. */
function pixelOf(view, i, j) {
  return { x: MARGIN.left + (j - view.left) * view.x, y: MARGIN.top + (i - view.top) * view.y };
}

/** Return the squares in sight: their first rows and columns, and how many elements each has. */
function squaresIn(view, rows, columns) {
  const along = (first, scale, space, count) => {
    const step = 2 ** Math.max(0, Math.ceil(Math.log2(1 / scale)));
    const begin = Math.floor(first / step) * step;
    const end = Math.min(count, Math.ceil(first + space / scale));
    return { step, begin, count: Math.max(0, Math.ceil((end - begin) / step)), end: count };
  };
  return {
    rows: along(view.top, view.y, view.space.y, rows),
    columns: along(view.left, view.x, view.space.x, columns),
  };
}

// Colours

function toRgb(text) {
  const number = parseInt(text.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

function mixed(one, other, share) {
  return one.map((part, n) => Math.round(part + (other[n] - part) * share));
}

/** Return a colour of viridis for a share from 0 to 1. */
function onScale(share) {
  const place = Math.max(0, Math.min(1, share)) * (SCALE.length - 1);
  const below = Math.min(SCALE.length - 2, Math.floor(place));
  return mixed(SCALE[below], SCALE[below + 1], place - below);
}

/** Return the least and the largest mean score in sight, null where there is none. */
function scoreRange(findings) {
  let least = Infinity;
  let most = -Infinity;
  for (let n = 0; n < findings.seen.length; n++) {
    const mean = findings.score[n] / findings.true[n];
    if (findings.true[n] === 0 || !Number.isFinite(mean)) continue;
    if (mean < least) least = mean;
    if (mean > most) most = mean;
  }
  return least <= most ? { least, most } : null;
}

/** Return the colour of a square: how much of it is true, or its mean score. */
function colourOf(findings, square, range, isPartial, colours) {
  const seen = findings.seen[square];
  if (seen === 0) return colours.paper;
  const share = findings.true[square] / seen;
  const empty = isPartial ? colours.partialEmpty : colours.empty;
  if (share === 0) return empty;
  if (range === undefined) return mixed(empty, colours.full, 0.12 + 0.88 * share);
  const mean = findings.score[square] / findings.true[square];
  if (Number.isNaN(mean)) return colours.wrong;
  if (mean === -Infinity || range === null) return colours.empty;
  const width = range.most - range.least;
  const colour = onScale(width > 0 ? (mean - range.least) / width : 0.5);
  return mixed(colours.empty, colour, 0.25 + 0.75 * share);
}

// Painting

/**
 * Paint squares: one pixel each, stretched.
 *
 * `range` is that of scores, undefined for the mask; partial tiles are tinted, where given.
 */
function paintSquares(context, view, findings, range, tiles, colours) {
  const { rows, columns } = findings.squares;
  if (rows.count === 0 || columns.count === 0) return;
  const image = new ImageData(columns.count, rows.count);
  for (let square = 0; square < findings.seen.length; square++) {
    const isPartial = tiles !== null && isInPartial(tiles, findings.squares, square);
    const [red, green, blue] = colourOf(findings, square, range, isPartial, colours);
    image.data.set([red, green, blue, 255], 4 * square);
  }
  const from = pixelOf(view, rows.begin, columns.begin);
  const size = { x: columns.count * columns.step * view.x, y: rows.count * rows.step * view.y };
  stretch(context, image, from, size);
}

function stretch(context, image, from, size) {
  const small = document.createElement("canvas");
  small.width = image.width;
  small.height = image.height;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, from.x, from.y, size.x, size.y);
}

/** Tell whether a square lies within a partial tile; one wider than tiles lies in none. */
function isInPartial(tiles, { rows, columns }, square) {
  if (Math.max(rows.step, columns.step) > tiles.side) return false;
  const r = Math.floor((rows.begin + Math.floor(square / columns.count) * rows.step) / tiles.side);
  const s = Math.floor((columns.begin + (square % columns.count) * columns.step) / tiles.side);
  if (tiles.kinds !== null) return tiles.kinds[r * tiles.wide + s] === PARTIAL;
  if (tiles.inSight === null) return false;
  const { top, left, wide, kinds } = tiles.inSight;
  const isKnown = s >= left && s < left + wide && r >= top;
  return isKnown && kinds[(r - top) * wide + s - left] === PARTIAL;
}

/** Tell whether tiles are wide enough to tell them apart. */
function areWide(side, view) {
  return side * Math.min(view.x, view.y) >= 7;
}

/** Paint lines between tiles that are wide enough. */
function paintTiles(context, view, side, rows, columns, colours) {
  if (areWide(side, view)) {
    lines(context, view, rows, columns, side, colours.line, 1);
  }
}

function paintElements(context, view, rows, columns, colours) {
  if (Math.min(view.x, view.y) >= 9) lines(context, view, rows, columns, 1, colours.hair, 1);
}

/** Draw lines between every `step` elements in sight. */
function lines(context, view, rows, columns, step, colour, width) {
  const corner = elementAt(view, { x: MARGIN.left, y: MARGIN.top });
  const right = Math.min(columns, corner.x + view.space.x / view.x);
  const bottom = Math.min(rows, corner.y + view.space.y / view.y);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  const end = pixelOf(view, bottom, right);
  for (let j = Math.ceil(corner.x / step) * step; j <= right; j += step) {
    const x = Math.round(pixelOf(view, 0, j).x) + 0.5;
    context.moveTo(x, MARGIN.top);
    context.lineTo(x, end.y);
  }
  for (let i = Math.ceil(corner.y / step) * step; i <= bottom; i += step) {
    const y = Math.round(pixelOf(view, i, 0).y) + 0.5;
    context.moveTo(MARGIN.left, y);
    context.lineTo(end.x, y);
  }
  context.stroke();
}

/** Frame the row and the column of an element, and the element itself. */
function paintCursor(context, view, cursor, rows, columns, colours) {
  const at = pixelOf(view, cursor.i, cursor.j);
  const end = pixelOf(view, rows, columns);
  const wide = Math.max(view.x, 2);
  const high = Math.max(view.y, 2);
  context.fillStyle = colours.cursorRow;
  context.fillRect(MARGIN.left, at.y, end.x - MARGIN.left, high);
  context.fillRect(at.x, MARGIN.top, wide, end.y - MARGIN.top);
  context.strokeStyle = colours.cursor;
  context.lineWidth = 2;
  context.strokeRect(at.x - 1, at.y - 1, wide + 2, high + 2);
}

/** Write the numbers of queries and keys along the edges. */
function paintAxes(context, view, rows, columns, colours) {
  context.fillStyle = colours.paperText;
  context.fillRect(0, 0, MARGIN.left + view.space.x + MARGIN.right, MARGIN.top);
  context.fillRect(0, 0, MARGIN.left, MARGIN.top + view.space.y + MARGIN.bottom);
  context.fillStyle = colours.ink;
  context.font = "11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
  context.textBaseline = "middle";
  const centre = { x: Math.max(0, view.x / 2), y: Math.max(0, view.y / 2) };
  context.textAlign = "center";
  for (const j of ticks(view.left, view.space.x / view.x, columns, 64 / view.x)) {
    const x = pixelOf(view, 0, j).x + centre.x;
    if (x <= MARGIN.left + view.space.x - 8) context.fillText(String(j), x, MARGIN.top - 11);
  }
  context.textAlign = "right";
  for (const i of ticks(view.top, view.space.y / view.y, rows, 36 / view.y)) {
    const y = pixelOf(view, i, 0).y + centre.y;
    if (y <= MARGIN.top + view.space.y - 4) context.fillText(String(i), MARGIN.left - 8, y);
  }
  context.textAlign = "left";
  context.fillStyle = colours.dim;
  context.fillText("q \\ k", 6, MARGIN.top - 11);
}

/** Return round numbers in sight that stand at least so many elements apart. */
function ticks(first, shown, count, apart) {
  let step = 1;
  while (step < apart) step *= 2;
  const found = [];
  const end = Math.min(count, first + shown);
  for (let n = Math.ceil(first / step) * step; n < end; n += step) found.push(n);
  return found;
}
