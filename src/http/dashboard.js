// The dashboard: polls this node's pages, and shows when its data is stale.
"use strict";

import { Charts } from "./charts.js";
import { Members, leaderOf } from "./members.js";
import { Workers } from "./workers.js";
import { setState, write } from "./table.js";
import { duration, visible } from "./words.js";

const PERIOD_MS = 1000;
const CHARTS_PERIOD_MS = 4000;
const TIMEOUT_MS = 4000; // longer than a node waits for another one
const STALE_MS = 3500;
const SHARE = 5; // reading a long list takes at most one in so many parts of the time

const byId = (id) => document.getElementById(id);

// The last answer, its time (performance.now()), and how long its body took to arrive and be read. `body` is retained when a
// later answer is an error.
const answer = () => ({ body: null, at: -Infinity, error: null, cost: 0 });
const nodes = answer();
const workers = answer(); // the leader's
const own = answer(); // this node's: asked for only while there are no others
const timelines = answer();

const members = new Members(byId("nodes"));
const table = new Workers(byId("workers"));
const charts = new Charts(byId("charts"));

async function ask(path, into) {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    const begun = performance.now();
    const body = await response.json();
    into.cost = performance.now() - begun;
    if (response.ok) {
      into.body = body;
      into.at = performance.now();
      into.error = null;
    } else {
      into.error = body.message || `HTTP ${response.status}`;
    }
  } catch (error) {
    into.error = error.name === "TimeoutError" ? "this node does not answer" : "this node cannot be reached";
  }
}

const isStale = (what, now) => now - what.at > STALE_MS + SHARE * what.cost;

// --- what is shown ---

function summaryOf(now) {
  if (nodes.body === null) return nodes.error ? ["No answer", "bad"] : ["Asking this node …", "busy"];
  if (isStale(nodes, now)) return ["Out of date", "bad"];
  const leader = leaderOf(nodes.body);
  if (!leader) return ["No leader", "bad"];
  const missing = nodes.body.filter((node) => !members.isUp(node)).length;
  const troubled = missing > 0 || nodes.body.some((node) => members.role(node)[1] === "bad");
  return [`${visible(leader.node)} leads, term ${leader.term}${missing === 0 ? "" : `; ${missing} unreachable`}`, troubled ? "busy" : "good"];
}

function showSummary(now) {
  const [text, state] = summaryOf(now);
  write(byId("summary"), text);
  setState(byId("summary"), state);
  if (nodes.body === null) return;
  const self = nodes.body.find((node) => node.self);
  const level = self && self.cluster_level ? `, level ${self.cluster_level}` : "";
  write(byId("cluster"), self && self.cluster ? visible(self.cluster) : "");
  write(byId("nodes-count"), `${nodes.body.filter((node) => members.isUp(node)).length} of ${nodes.body.length} reachable${level}`);
  write(byId("served"), self ? `as ${visible(self.node)} saw it ${duration(now - nodes.at)} ago` : location.host);
}

function bannersOf(now) {
  const banners = [];
  if (isStale(nodes, now) && nodes.error) {
    const age = nodes.body === null ? "" : ` The data shown is ${duration(now - nodes.at)} old.`;
    banners.push(`No update from this node: ${nodes.error}.${age}`);
  } else if (workers.error && isStale(workers, now) && isStale(own, now)) {
    banners.push(`The leader's list of workers is unavailable: ${visible(workers.error)}.`);
  }
  for (const node of nodes.body || []) {
    if (node.reachable && node.quarantine) banners.push(`${visible(node.node)} is out of service: ${visible(node.quarantine)}.`);
    if (members.isFull(node)) {
      banners.push(`${visible(node.node)} has no space for its log. It goes on by itself once there is some; see docs/operations.md.`);
    }
  }
  return banners;
}

function showBanners(now) {
  const banners = bannersOf(now);
  const holder = byId("banners");
  while (holder.children.length > banners.length) holder.lastChild.remove();
  banners.forEach((text, i) => {
    if (!holder.children[i]) {
      const banner = Object.assign(document.createElement("p"), { className: "banner" });
      setState(banner, "bad");
      holder.append(banner);
    }
    write(holder.children[i], text);
  });
}

// What has changed in the state of a node, for a screen reader; the summary says who leads.
const roles = new Map();

function tellNews() {
  const news = [];
  for (const node of nodes.body || []) {
    const role = members.role(node)[0];
    if (roles.has(node.node) && roles.get(node.node) !== role) news.push(`${visible(node.node)}: ${role}`);
    roles.set(node.node, role);
  }
  if (news.length > 0) byId("news").textContent = news.join(", ");
}

// The leader's list, also one that is a little old; else this node's own, if it has told that since.
function takeWorkers(now) {
  if (workers.body !== null && (!isStale(workers, now) || own.at < workers.at)) {
    if (table.list !== workers.body) table.take(workers.body, workers.at, null);
  } else if (own.body !== null && table.list !== own.body.workers) {
    table.take(own.body.workers, own.at, own.body);
  }
}

function show() {
  const now = performance.now();
  members.show(nodes.body || []);
  showSummary(now);
  showBanners(now);
  tellNews();
  takeWorkers(now);
  table.show();
  byId("nodes").closest("section").classList.toggle("stale", isStale(nodes, now));
  byId("workers").closest("section").classList.toggle("stale", isStale(workers, now) && isStale(own, now));
}

function showCharts() {
  if (timelines.body !== null) charts.show(timelines.body, (performance.now() - timelines.at) / 1000);
}

// --- asking ---

// Again and again, but not while nobody sees the page, and the less often the more it costs.
function repeat(period_ms, into, what) {
  const next = async () => {
    const begun = performance.now();
    if (!document.hidden) await what();
    setTimeout(next, Math.max(period_ms - (performance.now() - begun), (SHARE - 1) * into.cost));
  };
  next();
}

// Separate requests: a leader that hangs must not delay what this node knows itself.
repeat(PERIOD_MS, nodes, async () => {
  await ask("nodes", nodes);
  show();
});
repeat(PERIOD_MS, workers, async () => {
  await ask("cluster-state", workers);
  if (workers.error && isStale(workers, performance.now())) await ask("workers", own);
  show();
});
repeat(CHARTS_PERIOD_MS, timelines, async () => {
  await ask("timelines", timelines);
  showCharts();
});
setInterval(show, PERIOD_MS);
new ResizeObserver(showCharts).observe(byId("charts"));
