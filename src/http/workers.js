// The table of the workers: those of a search, by pages, so that ten thousand cost the page no more than fifty.
"use strict";

import { clock, duration, number, orDash, visible } from "./words.js";
import { Table, write } from "./table.js";

const PAGE_ROWS = 50;
const FIELDS = ["query", "state", "cloud"];

const byId = (id) => document.getElementById(id);

// Where this leader has not heard the worker itself yet, who else has seen it.
const SEEN_BY_OTHERS = { predecessor: " (previous leader)", log: " (log)" };

const labelsOf = (worker) => Object.entries(worker.labels || {}).map(([key, value]) => `${key}=${value}`);

function matches(worker, words) {
  if (words.length === 0) return true;
  const text = [worker.id, worker.status, worker.reason, worker.cloud, worker.address, ...labelsOf(worker)].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

export class Workers {
  constructor(table) {
    this.list = null; // null: none is known
    this.at = 0;
    this.own = null; // what /workers says besides the list, if this is that one
    this.page = 0;
    this.table = new Table(table, this.columns(), (worker) => worker.id);
    this.fromAddress();
    for (const field of FIELDS) byId(field).addEventListener("input", () => this.search());
    window.addEventListener("hashchange", () => {
      this.fromAddress();
      this.show();
    });
    const turn = { first: () => 0, previous: () => this.page - 1, next: () => this.page + 1, last: () => Infinity };
    for (const [id, to] of Object.entries(turn)) {
      byId(id).addEventListener("click", () => {
        if (byId(id).getAttribute("aria-disabled") === "true") return;
        this.page = to();
        this.show();
        this.toAddress(true);
      });
    }
  }

  // --- the search is in the URL's fragment, so that it can be bookmarked, and the browser's Back undoes it ---

  fromAddress() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    byId("query").value = fragment.get("query") || "";
    byId("state").value = fragment.get("state") || "";
    this.wantCloud(fragment.get("cloud") || "");
    this.page = Math.max(0, Math.floor(Number(fragment.get("page")) || 1) - 1);
  }

  toAddress(isStep) {
    const fragment = new URLSearchParams();
    for (const field of FIELDS) if (byId(field).value) fragment.set(field, byId(field).value);
    if (this.page > 0) fragment.set("page", this.page + 1);
    const text = fragment.toString();
    const to = text ? `#${text}` : location.pathname;
    if (isStep) history.pushState(null, "", to);
    else history.replaceState(null, "", to);
  }

  search() {
    this.page = 0;
    this.show();
    this.toAddress(false);
  }

  // The choice of clouds is of those that there are, and the one that is asked for.
  wantCloud(cloud) {
    const select = byId("cloud");
    if (cloud && ![...select.options].some((option) => option.value === cloud)) select.add(new Option(visible(cloud), cloud));
    select.value = cloud;
  }

  offerClouds() {
    const select = byId("cloud");
    const offered = new Set([...select.options].map((option) => option.value));
    for (const cloud of new Set(this.list.map((worker) => worker.cloud))) {
      if (cloud && !offered.has(cloud)) select.add(new Option(visible(cloud), cloud));
    }
  }

  // --- rows ---

  lastSeen(worker) {
    if (worker.last_seen_ago_ms === null) return this.own ? "not known here" : "not yet by this leader";
    const ago = duration(worker.last_seen_ago_ms + performance.now() - this.at);
    return `${ago} ago${SEEN_BY_OTHERS[worker.last_seen_source] || ""}`;
  }

  columns() {
    return [
      { name: "Worker", className: "id", text: (worker) => visible(orDash(worker.id)) },
      {
        name: "State",
        className: "role",
        text: (worker) =>
          worker.status === "online" ? "● online" : `○ offline${worker.reason ? `: ${visible(worker.reason)}` : ""}`,
        state: (worker) => (this.own ? "old" : worker.status === "online" ? "good" : "bad"),
      },
      { name: "Last seen", className: "number", text: (worker) => this.lastSeen(worker) },
      { name: "Cloud", text: (worker) => visible(orDash(worker.cloud)) },
      { name: "Address", className: "addresses", folds: true, text: (worker) => visible(orDash(worker.address)) },
      { name: "Slots", className: "number", folds: true, text: (worker) => number(worker.slots) },
      { name: "Epoch", className: "number", folds: true, text: (worker) => number(worker.epoch) },
      {
        name: "Labels",
        className: "labels",
        folds: true,
        clips: true,
        text: (worker) => labelsOf(worker).map(visible).join(", ") || "–",
      },
    ];
  }

  // --- the section ---

  take(list, at, own) {
    this.list = list;
    this.at = at;
    this.own = own;
    this.offerClouds();
  }

  found() {
    const words = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [state, cloud] = [byId("state").value, byId("cloud").value];
    const isFound = (worker) => (!state || worker.status === state) && (!cloud || worker.cloud === cloud) && matches(worker, words);
    const found = (this.list || []).filter(isFound);
    // Offline workers first; among equals the order of the list, that of the ids.
    return [...found.filter((worker) => worker.status !== "online"), ...found.filter((worker) => worker.status === "online")];
  }

  showMark() {
    const mark = byId("workers-mark");
    mark.hidden = this.own === null;
    if (this.own === null) return;
    const ago = `${duration(this.own.as_of_ago_ms + performance.now() - this.at)} ago`;
    const why = this.own.leader === null ? "no leader" : `the leader ${visible(this.own.leader)} does not answer`;
    // Without the age, which a screen reader would read anew each second.
    write(mark, this.own.as_of === null
      ? `This node has applied nothing since its start, for only a leader tells what is committed; ${why}.`
      : `As of ${clock(this.own.as_of)}, this node's own last state; ${why}.`);
    mark.title = this.own.as_of === null ? "" : ago;
  }

  showPager(found) {
    const last = Math.max(0, Math.ceil(found.length / PAGE_ROWS) - 1);
    if (this.list !== null) this.page = Math.min(this.page, last);
    const from = this.page * PAGE_ROWS;
    byId("pager").hidden = last === 0;
    write(byId("page"), `Page ${number(this.page + 1)} of ${number(last + 1)}: ${number(from + 1)} to ` +
      `${number(Math.min(from + PAGE_ROWS, found.length))} of ${number(found.length)}`);
    // Not `disabled`: that would take the focus from who has just pressed the button.
    for (const id of ["first", "previous"]) byId(id).setAttribute("aria-disabled", String(this.page === 0));
    for (const id of ["next", "last"]) byId(id).setAttribute("aria-disabled", String(this.page === last));
  }

  show() {
    const list = this.list || [];
    const found = this.found();
    const online = list.filter((worker) => worker.status === "online").length;
    const matching = found.length === list.length ? "" : `; ${number(found.length)} found`;
    write(byId("workers-count"), this.list === null ? "" : `${number(online)} online, ${number(list.length - online)} offline${matching}`);
    this.showMark();
    this.showPager(found);
    this.table.fill(found.slice(this.page * PAGE_ROWS, (this.page + 1) * PAGE_ROWS));
    let note = "";
    if (this.list !== null && list.length === 0) note = this.own ? "It has no worker." : "No worker has registered yet.";
    else if (this.list !== null && found.length === 0) note = "No worker is so.";
    write(byId("workers-note"), note);
  }
}
