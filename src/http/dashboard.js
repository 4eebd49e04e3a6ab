// The dashboard: polls /nodes and /cluster-state of this node every second, and shows when its data is stale. All text is set by
// textContent, so no name of a node or worker is ever interpreted as markup.
"use strict";

const PERIOD_MS = 1000;
const TIMEOUT_MS = 4000; // longer than a node waits for another one
const STALE_MS = 3500;
const ROWS_MAX = 1000;

const byId = (id) => document.getElementById(id);

// The last answer and its time (performance.now()). `list` is retained when a later answer is an error.
const nodes = { list: null, at: -Infinity, error: null };
const workers = { list: null, at: -Infinity, error: null };

async function ask(path, into) {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    const body = await response.json();
    if (response.ok) {
      into.list = body;
      into.at = performance.now();
      into.error = null;
    } else {
      into.error = body.message || `HTTP ${response.status}`;
    }
  } catch (error) {
    into.error = error.name === "TimeoutError" ? "this node does not answer" : "this node cannot be reached";
  }
}

// --- words ---

function duration(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function milliseconds(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

const ROLES = { leader: ["★ Leader", "lead"], follower: ["Follower", "good"], candidate: ["Candidate", "busy"] };

// The node as the leader sees it; undefined: no leader is known.
function seenByLeader(node) {
  const leader = leaderOf(nodes.list || []);
  return leader && (leader.members || []).find((member) => member.id === node.node);
}

// A new node tells where its pages are only once it has the configuration, so until then the leader alone reaches it.
function isUp(node) {
  return node.reachable || (node.voter === false && (seenByLeader(node) || {}).reachable === true);
}

function role(node) {
  if (!isUp(node)) return ["✕ Unreachable", "bad"];
  if (node.quarantine) return ["✕ Out of service", "bad"];
  if (node.voter === false) return ["Learner", "busy"];
  return ROLES[node.role] || [String(node.role), "busy"];
}

// The snapshot that the leader sends to the node; null: none.
function snapshotOf(node) {
  return (seenByLeader(node) || {}).snapshot || null;
}

function applied(node) {
  const snapshot = snapshotOf(node);
  if (!snapshot) return orDash(node.last_applied);
  return `snapshot ${Math.floor((100 * snapshot.sent) / snapshot.size)} % of ${(snapshot.size / 1e6).toFixed(1)} MB`;
}

function arrived(node) {
  const snapshot = snapshotOf(node);
  return snapshot ? snapshot.sent / snapshot.size : null;
}

function roundTrips(node) {
  const others = (node.members || []).filter((member) => member.id !== node.node);
  return others.map((member) => {
    const known = member.reachable && member.rtt_ms !== null;
    return `${member.id} ${known ? milliseconds(member.rtt_ms) : "–"}`;
  }).join(" · ");
}

// --- tables: rows are reused and only changes written, so that a selection or a screen reader's position survives ---

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setState(element, state) {
  if (element.dataset.state !== state) element.dataset.state = state;
}

function setBar(bar, fraction) {
  bar.hidden = fraction === null;
  if (fraction !== null) bar.value = fraction;
}

// Each column: [class, text of an item, state of an item (then a badge), how much of it is done (then a bar, hidden for null)].
function fill(tbody, items, columns) {
  while (tbody.rows.length > items.length) tbody.deleteRow(-1);
  while (tbody.rows.length < items.length) {
    const row = tbody.insertRow();
    columns.forEach(([className, , state, done], i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.className = className;
      if (state) cell.append(Object.assign(document.createElement("span"), { className: "badge" }));
      if (done) cell.append(document.createElement("span"), Object.assign(document.createElement("progress"), { hidden: true }));
      row.append(cell);
    });
  }
  items.forEach((item, at) => {
    columns.forEach(([, text, state, done], i) => {
      const cell = tbody.rows[at].cells[i];
      const target = state || done ? cell.firstChild : cell;
      write(target, text(item));
      if (done) setBar(cell.lastChild, done(item));
      if (state) setState(target, state(item));
    });
  });
}

const orDash = (value) => (value === undefined || value === null || value === "" ? "–" : String(value));

const NODE_COLUMNS = [
  ["", (node) => orDash(node.node)],
  ["", (node) => role(node)[0], (node) => role(node)[1]],
  ["number", (node) => orDash(node.term)],
  ["number", (node) => orDash(node.commit_index)],
  ["number", applied, null, arrived],
  ["", (node) => orDash(node.cloud)],
  ["", (node) => (node.reachable ? roundTrips(node) : isUp(node) ? "–" : orDash(node.error))],
  ["addresses", (node) => orDash(node.address)],
  ["number", (node) => (node.uptime === undefined ? "–" : duration(node.uptime * 1000))],
];

// Where this leader has not heard the worker itself yet, who else has seen it.
const SEEN_BY_OTHERS = { predecessor: " (previous leader)", log: " (log)" };

function lastSeen(worker) {
  if (worker.last_seen_ago_ms === null) return "not yet by this leader";
  const ago = duration(worker.last_seen_ago_ms + performance.now() - workers.at);
  return `${ago} ago${SEEN_BY_OTHERS[worker.last_seen_source] || ""}`;
}

const WORKER_COLUMNS = [
  ["", (worker) => orDash(worker.id)],
  ["", (worker) => (worker.status === "online" ? "● online" : `○ offline${worker.reason ? `: ${worker.reason}` : ""}`),
    (worker) => (worker.status === "online" ? "good" : "bad")],
  ["number", lastSeen],
  ["", (worker) => orDash(worker.cloud)],
  ["addresses", (worker) => orDash(worker.address)],
  ["number", (worker) => orDash(worker.slots)],
  ["number", (worker) => orDash(worker.epoch)],
  ["soft", (worker) => Object.entries(worker.labels || {}).map(([key, value]) => `${key}=${value}`).join(", ")],
];

// --- the page ---

// Of the nodes that claim to lead, the one with the highest term: the others have not learned of that term yet.
function leaderOf(list) {
  const leaders = list.filter((node) => node.reachable && node.role === "leader");
  return leaders.sort((a, b) => b.term - a.term)[0];
}

function showSummary(now) {
  const summary = byId("summary");
  if (nodes.list === null) {
    write(summary, nodes.error ? "No answer" : "Asking this node …");
    setState(summary, nodes.error ? "bad" : "busy");
    return;
  }
  const own = nodes.list.find((node) => node.self);
  const leader = leaderOf(nodes.list);
  const reachable = nodes.list.filter(isUp).length;
  write(byId("cluster"), own ? own.cluster : "");
  if (now - nodes.at > STALE_MS) {
    write(summary, "Out of date");
    setState(summary, "bad");
  } else if (!leader) {
    write(summary, "No leader");
    setState(summary, "bad");
  } else {
    const all = reachable === nodes.list.length;
    write(summary, `${leader.node} leads, term ${leader.term}${all ? "" : `; ${nodes.list.length - reachable} unreachable`}`);
    setState(summary, all ? "good" : "busy");
  }
  write(byId("nodes-count"), `${reachable} of ${nodes.list.length} reachable`);
}

function showBanners(now) {
  const banners = [];
  if (now - nodes.at > STALE_MS && nodes.error) {
    const age = nodes.list === null ? "" : ` The data shown is ${duration(now - nodes.at)} old.`;
    banners.push(`No update from this node: ${nodes.error}.${age}`);
  } else if (workers.error && now - workers.at > STALE_MS) {
    const age = workers.list === null ? "" : ` The workers are shown as of ${duration(now - workers.at)} ago.`;
    banners.push(`The list of workers is unavailable: ${workers.error}.${age}`);
  }
  for (const node of nodes.list || []) {
    if (node.reachable && node.quarantine) banners.push(`${node.node} is out of service: ${node.quarantine}.`);
  }
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

function showWorkers(now) {
  const list = workers.list || [];
  const online = list.filter((worker) => worker.status === "online").length;
  write(byId("workers-count"), workers.list === null ? "" : `${online} online, ${list.length - online} offline`);
  // Offline workers first.
  const sorted = [...list].sort((a, b) => (a.status === "online") - (b.status === "online"));
  fill(byId("workers").tBodies[0], sorted.slice(0, ROWS_MAX), WORKER_COLUMNS);
  const note = list.length > ROWS_MAX ? `${list.length - ROWS_MAX} more are in /cluster-state.`
    : workers.list !== null && list.length === 0 ? "No worker has registered yet." : "";
  write(byId("workers-note"), note);
  byId("workers").closest("section").classList.toggle("stale", now - workers.at > STALE_MS);
}

function show() {
  const now = performance.now();
  showSummary(now);
  showBanners(now);
  fill(byId("nodes").tBodies[0], nodes.list || [], NODE_COLUMNS);
  byId("nodes").closest("section").classList.toggle("stale", now - nodes.at > STALE_MS);
  showWorkers(now);
  const own = (nodes.list || []).find((node) => node.self);
  write(byId("served"), own ? `as ${own.node} saw it ${duration(now - nodes.at)} ago` : location.host);
}

// Separate requests: a leader that hangs must not delay what this node knows itself.
function repeat(path, into) {
  const next = async () => {
    const begun = performance.now();
    await ask(path, into);
    show();
    setTimeout(next, Math.max(0, PERIOD_MS - (performance.now() - begun)));
  };
  next();
}

repeat("nodes", nodes);
repeat("cluster-state", workers);
setInterval(show, PERIOD_MS);
