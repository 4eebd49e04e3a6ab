// Lines and bands over the last ten minutes, as SVG.
"use strict";

import { number } from "./words.js";

const SPAN_S = 600;
const HEIGHT = 150;
const LEFT = 58;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 22;

function add(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// An empty picture of the size of its place with the axis of time; returns x(seconds before now).
function begin(svg) {
  const width = Math.max(200, svg.parentNode.clientWidth - 24);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", HEIGHT);
  const x = (t) => LEFT + ((t + SPAN_S) / SPAN_S) * (width - LEFT - RIGHT);
  const step = width < 420 ? 5 : 2;
  for (let minute = 10; minute >= 0; minute -= step) {
    const at = x(-minute * 60);
    add(svg, "line", { class: "grid", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM });
    const anchor = minute === 0 ? "end" : minute === 10 ? "start" : "middle";
    add(svg, "text", { x: at, y: HEIGHT - 6, "text-anchor": anchor }, minute === 0 ? "now" : `−${minute} min`);
  }
  return { x, width };
}

// The numbers at the axis, from the lowest to the highest shown.
function ticksOf(scale, values) {
  if (scale === "log") {
    const low = Math.floor(Math.log10(Math.max(0.01, Math.min(...values, 1))));
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values, 1))));
    return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  }
  const most = Math.max(...values, 1);
  const unit = 10 ** Math.floor(Math.log10(most / 3));
  const step = [1, 2, 5, 10].map((times) => times * unit).find((each) => most / each <= 4);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

// `series`: of each line its unbroken parts, each a list of [seconds before now, value].
export function drawLines(svg, series, unit, scale) {
  const { x, width } = begin(svg);
  const values = series.flat(2).map((point) => point[1]);
  const ticks = ticksOf(scale, values);
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const part = scale === "log" ? (value) => Math.log10(Math.max(low, value) / low) / Math.log10(high / low) : (value) => value / high;
  const y = (value) => HEIGHT - BOTTOM - part(value) * (HEIGHT - TOP - BOTTOM);
  for (const tick of ticks) {
    add(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) });
    const text = scale === "linear" ? number(tick) : tick < 1000 ? `${tick} ms` : `${number(tick / 1000)} s`;
    add(svg, "text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, text);
  }
  series.forEach((parts, i) => {
    for (const points of parts.map((each) => each.filter(([t]) => t >= -SPAN_S)).filter((each) => each.length > 0)) {
      const text = points.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      if (points.length > 1) add(svg, "polyline", { class: `line look${i % 9}`, points: text });
      else add(svg, "circle", { class: `dot look${i % 9}`, cx: x(points[0][0]), cy: y(points[0][1]), r: 2 });
    }
  });
  if (values.length === 0) {
    add(svg, "text", { x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "Nothing was measured.");
  }
}

// A row for each node, with a bar while it led; a mark and the new term where that changed.
export function drawBands(svg, bands, changes, textIfNone) {
  const { x, width } = begin(svg);
  const room = HEIGHT - TOP - BOTTOM - 14;
  const height = Math.min(26, room / Math.max(1, bands.length));
  bands.forEach((band, i) => {
    const top = TOP + 14 + i * height;
    add(svg, "text", { x: LEFT - 6, y: top + height / 2 + 4, "text-anchor": "end" }, band.name.length > 8 ? `${band.name.slice(0, 7)}…` : band.name);
    for (const [from, to] of band.spans) {
      const left = x(Math.max(from, -SPAN_S));
      add(svg, "rect", { class: `bar ${band.look}`, x: left, width: Math.max(2, x(to) - left), y: top + 3, height: height - 6, rx: 3 });
    }
  });
  let free = -Infinity; // where the next text may begin
  for (const [t, term] of changes.filter((change) => change[0] >= -SPAN_S)) {
    const at = x(t);
    add(svg, "line", { class: "change", x1: at, x2: at, y1: TOP + 12, y2: HEIGHT - BOTTOM });
    const text = `term ${term}`;
    const begins = Math.min(Math.max(LEFT, at - 3 * text.length), width - RIGHT - 6 * text.length);
    if (begins < free) continue;
    add(svg, "text", { x: begins, y: TOP + 6 }, text);
    free = begins + 7 * text.length;
  }
  if (bands.length === 0) {
    add(svg, "text", { x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, textIfNone);
  }
}
