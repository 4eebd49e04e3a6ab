// The last ten minutes as charts, drawn from /timelines: what the nodes themselves remember, so a page that opens now has it.
"use strict";

import { duration, milliseconds, number, visible } from "./words.js";
import { write } from "./table.js";
import { drawBands, drawLines } from "./plot.js";

export const SPAN_S = 600;

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);
const rate = (value) => `${value < 10 ? value.toFixed(1) : number(Math.round(value))}/s`;

// --- what the nodes remember, as points [seconds before now, negative; value] ---

// A line breaks where a sample is missing.
function lines(points, period) {
  const parts = [];
  let before = -Infinity;
  for (const point of [...points].sort((a, b) => a[0] - b[0])) {
    if (point[0] - before > 2.5 * period) parts.push([]);
    parts[parts.length - 1].push(point);
    before = point[0];
  }
  return parts;
}

// Of each sample of the nodes that fits.
function pointsOf(nodes, late, valueOf) {
  return nodes.flatMap((node) => node.ago.map((ago, i) => [-ago - late, valueOf(node, i)]).filter((point) => point[1] !== null));
}

function latency(nodes, late) {
  return [
    { name: "median", points: pointsOf(nodes, late, (node, i) => node.commit_p50_ms[i]) },
    { name: "99 % within", points: pointsOf(nodes, late, (node, i) => node.commit_p99_ms[i]) },
  ];
}

// Only of who led, or had until then: the others' are zero.
function writes(nodes, late) {
  const led = (node, i) => node.leads[i] || node.writes_per_s[i] > 0;
  return [{ name: "writes", points: pointsOf(nodes, late, (node, i) => (led(node, i) ? node.writes_per_s[i] : null)) }];
}

function roundTrips(nodes, late) {
  const own = nodes.find((node) => node.self);
  return Object.keys(own ? own.rtt_ms : {}).sort().map((peer) => ({
    name: `to ${visible(peer)}`,
    points: pointsOf([own], late, (node, i) => node.rtt_ms[peer][i]),
  }));
}

// When each node led, as all remember it, and when the term changed as this node saw it.
function leadership(nodes, places, late) {
  const leaders = [...new Set(nodes.flatMap((node) => node.leader))].filter((id) => id !== null).sort();
  const bands = leaders.map((id) => {
    const led = pointsOf(nodes, late, (node, i) => (node.leader[i] === id ? id : null));
    const spans = lines(led, nodes[0].period).map((part) => [part[0][0] - nodes[0].period, part[part.length - 1][0]]);
    const place = places.indexOf(id);
    return { name: visible(id), look: `look${(place < 0 ? 8 : place) % 9}`, spans };
  });
  const own = nodes.find((node) => node.self);
  const changes = [];
  for (let i = 1; own && i < own.ago.length; i++) {
    if (own.term[i] !== own.term[i - 1]) changes.push([-own.ago[i] - late, own.term[i]]);
  }
  const isEmpty = nodes.every((node) => node.ago.length === 0);
  return { bands: bands.filter((band) => band.spans.length > 0), changes, isEmpty, term: own && own.term[own.term.length - 1] };
}

// --- their words ---

const ago = (t) => (t > -3 ? "now" : `${duration(-t * 1000)} ago`);

function describe(series, unit) {
  const parts = series.filter((each) => each.points.length > 0).map((each) => {
    const sorted = [...each.points].sort((a, b) => a[0] - b[0]);
    const newest = sorted[sorted.length - 1];
    const highest = sorted.reduce((a, b) => (b[1] > a[1] ? b : a));
    return `${each.name}: ${unit(newest[1])} ${ago(newest[0])}, at most ${unit(highest[1])}, ${ago(highest[0])}`;
  });
  return parts.length === 0 ? "nothing was measured." : `${parts.join("; ")}.`;
}

function describeLeadership({ bands, changes, term }) {
  const led = bands.map((band) => `${band.name} led for ${duration(1000 * band.spans.reduce((sum, [a, b]) => sum + b - a, 0))}`);
  const changed = changes.length === 0 ? "no change of the term" : changes.map(([t, to]) => `term ${to} ${ago(t)}`).join(", ");
  return `${led.join(", ") || "nobody led"}; ${changed}; the term is ${term === undefined ? "unknown" : term}.`;
}

// By minutes: the mean of each series; for who cannot see the lines.
function rowsOf(series, unit) {
  const rows = [];
  for (let minute = 0; minute < SPAN_S / 60; minute++) {
    const cells = series.map((each) => {
      const values = each.points.filter(([t]) => -t >= minute * 60 && -t < (minute + 1) * 60).map((point) => point[1]);
      return values.length === 0 ? "–" : unit(values.reduce((a, b) => a + b, 0) / values.length);
    });
    rows.push([`${minute} to ${minute + 1} min ago`, ...cells]);
  }
  return [["When", ...series.map((each) => `${each.name}, mean`)], ...rows];
}

function rowsOfLeadership({ bands, changes }) {
  const spans = bands.flatMap((band) => band.spans.map(([from, to]) => [from, `${ago(Math.max(from, -SPAN_S))} to ${ago(to)}`, `${band.name} led`]));
  const terms = changes.map(([t, to]) => [t, ago(t), `term ${to}`]);
  return [["When", "What"], ...[...spans, ...terms].sort((a, b) => b[0] - a[0]).map((row) => row.slice(1))];
}

// --- the figures ---

class Figure {
  constructor(holder, id, title) {
    this.figure = make("figure", { className: "card", id });
    this.words = make("span", { id: `${id}-words`, className: "unseen" });
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("aria-labelledby", `${id}-title ${id}-words`);
    this.legend = make("ul", { className: "legend" });
    this.details = make("details");
    this.table = make("table");
    this.details.append(make("summary", { textContent: "As a table" }), this.table);
    this.details.addEventListener("toggle", () => this.showTable());
    const caption = make("figcaption");
    caption.append(make("span", { id: `${id}-title`, textContent: title }));
    this.figure.append(caption, this.legend, this.svg, this.words, this.details);
    holder.append(this.figure);
  }

  showLegend(entries) {
    while (this.legend.children.length > entries.length) this.legend.lastChild.remove();
    entries.forEach(([look, text], i) => {
      if (!this.legend.children[i]) this.legend.append(make("li"));
      this.legend.children[i].className = look;
      write(this.legend.children[i], text);
    });
  }

  showTable() {
    if (!this.details.open || !this.rows) return;
    const [head, ...body] = this.rows;
    const row = (cells, scope) => {
      const tr = make("tr");
      cells.forEach((text, i) => {
        const isHead = scope === "col" || i === 0;
        const cell = make(isHead ? "th" : "td", { textContent: text });
        if (isHead) cell.scope = scope;
        tr.append(cell);
      });
      return tr;
    };
    this.table.replaceChildren(row(head, "col"), ...body.map((cells) => row(cells, "row")));
  }

  lines(series, unit, scale, period) {
    const newest = (each) => each.points.reduce((a, b) => (b[0] > a[0] ? b : a), [-Infinity, null]);
    this.showLegend(series.map((each, i) => {
      const [t, value] = newest(each);
      return [`look${i % 9}`, `${each.name} ${t > -10 ? unit(value) : "–"}`];
    }));
    drawLines(this.svg, series.map((each) => lines(each.points, period)), unit, scale);
    write(this.words, `: ${describe(series, unit)}`);
    this.rows = rowsOf(series, unit);
    this.showTable();
  }

  bands(data) {
    this.showLegend(data.bands.map((band) => [`band ${band.look}`, band.name]));
    drawBands(this.svg, data.bands, data.changes, data.isEmpty ? "Nothing was measured." : "Nobody led, as far as is known.");
    write(this.words, `: ${describeLeadership(data)}`);
    this.rows = rowsOfLeadership(data);
    this.showTable();
  }
}

export class Charts {
  constructor(holder) {
    this.latency = new Figure(holder, "latency", "Commit latency");
    this.writes = new Figure(holder, "writes", "Writes a second");
    this.roundTrips = new Figure(holder, "round-trips", "Round trips from this node");
    this.leadership = new Figure(holder, "leadership", "Leader and term");
  }

  // `late_s`: since the timelines were answered.
  show(timelines, late_s) {
    const nodes = timelines.filter((node) => node.reachable && Array.isArray(node.ago));
    const period = nodes.length === 0 ? 2 : nodes[0].period;
    const own = nodes.find((node) => node.self);
    write(document.querySelector("#round-trips-title"), `Round trips from ${own ? visible(own.node) : "this node"}`);
    this.latency.lines(latency(nodes, late_s), milliseconds, "log", period);
    this.writes.lines(writes(nodes, late_s), rate, "linear", period);
    this.roundTrips.lines(roundTrips(nodes, late_s), milliseconds, "log", period);
    // The place of a node in the whole list gives it its look, whoever answers.
    this.leadership.bands(leadership(nodes, timelines.map((node) => node.node), late_s));
    const silent = timelines.filter((node) => !node.reachable).map((node) => visible(node.node));
    write(document.getElementById("charts-note"), silent.length === 0 ? "" : `without the memory of ${silent.join(" and ")}`);
  }
}
