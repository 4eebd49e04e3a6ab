// The table of the nodes: how each is, and how far behind the leader.
"use strict";

import { bytes, duration, milliseconds, number, orDash, visible } from "./words.js";
import { Table } from "./table.js";

const ROLES = { leader: ["★ Leader", "lead"], follower: ["Follower", "good"], candidate: ["Candidate", "busy"] };

// Of the nodes that claim to lead, the one with the highest term: the others have not learned of that term yet.
export function leaderOf(list) {
  const leaders = list.filter((node) => node.reachable && node.role === "leader");
  return leaders.sort((a, b) => b.term - a.term)[0];
}

export class Members {
  constructor(table) {
    this.list = [];
    this.table = new Table(table, this.columns(), (node) => node.node);
  }

  // The node as the leader sees it; undefined: no leader is known.
  seenByLeader(node) {
    return this.leader && (this.leader.members || []).find((member) => member.id === node.node);
  }

  // A new node tells where its pages are only once it has the configuration, so until then the leader alone reaches it.
  isUp(node) {
    return node.reachable || (node.voter === false && (this.seenByLeader(node) || {}).reachable === true);
  }

  isFull(node) {
    const own = (node.members || []).find((member) => member.id === node.node);
    return node.reachable === true && own !== undefined && own.disk_full;
  }

  role(node) {
    if (!this.isUp(node)) return ["✕ Unreachable", "bad"];
    if (node.quarantine) return ["✕ Out of service", "bad"];
    const [word, state] = node.voter === false ? ["Learner", "busy"] : ROLES[node.role] || [visible(node.role), "busy"];
    return this.isFull(node) ? [`${word}, disk full`, "bad"] : [word, state];
  }

  // The snapshot that the leader sends to the node; null: none.
  snapshotTo(node) {
    return (this.seenByLeader(node) || {}).snapshot || null;
  }

  behind(node) {
    const snapshot = this.snapshotTo(node);
    if (snapshot) return `snapshot ${Math.floor((100 * snapshot.sent) / snapshot.size)} % of ${bytes(snapshot.size)}`;
    const seen = this.seenByLeader(node);
    // A leader of an earlier version does not tell where its log ends.
    if (!seen || seen.match_index === null || this.leader.last_log_index === undefined) return "–";
    // What the leader has appended since it sent the last entries is in flight.
    const missing = Math.max(0, this.leader.last_log_index - seen.match_index);
    if (missing === 0 && !this.isUp(node)) return "–";
    return missing === 0 ? "up to date" : `${number(missing)} ${missing === 1 ? "entry" : "entries"}`;
  }

  roundTrips(node) {
    if (!node.reachable) return this.isUp(node) ? "–" : visible(orDash(node.error));
    const others = (node.members || []).filter((member) => member.id !== node.node);
    const parts = others.map((member) => {
      const known = member.reachable && member.rtt_ms !== null;
      return `${visible(member.id)}\u00a0${known ? milliseconds(member.rtt_ms).replace(" ", "\u00a0") : "–"}`;
    });
    return parts.join(" · ") || "–";
  }

  image(node) {
    if (!node.snapshot_index) return node.reachable ? "none yet" : "–";
    const parts = [bytes(node.snapshot_bytes), `at ${number(node.snapshot_index)}`];
    if ((node.snapshot_age ?? null) !== null) parts.push(`${duration(node.snapshot_age * 1000).replace(/^(\S+ \S+) .*/, "$1")} old`);
    return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(", ");
  }

  columns() {
    return [
      { name: "Node", text: (node) => visible(orDash(node.node)) },
      { name: "Role", className: "role", text: (node) => this.role(node)[0], state: (node) => this.role(node)[1] },
      { name: "Cloud", text: (node) => visible(orDash(node.cloud)) },
      { name: "Term", className: "number", text: (node) => number(node.term) },
      { name: "Commit index", className: "number", folds: true, text: (node) => number(node.commit_index) },
      { name: "Applied", className: "number", folds: true, text: (node) => number(node.last_applied) },
      {
        name: "Behind the leader",
        className: "number",
        text: (node) => this.behind(node),
        done: (node) => {
          const snapshot = this.snapshotTo(node);
          return snapshot ? snapshot.sent / snapshot.size : null;
        },
      },
      { name: "Round trip to the others", className: "wraps", text: (node) => this.roundTrips(node) },
      { name: "Newest snapshot", className: "wraps", folds: true, text: (node) => this.image(node) },
      { name: "Level", className: "number", folds: true, text: (node) => number(node.level) },
      { name: "Address", className: "addresses", folds: true, text: (node) => visible(orDash(node.address)) },
      {
        name: "Up for",
        className: "number",
        folds: true,
        text: (node) => (node.uptime === undefined ? "–" : duration(node.uptime * 1000)),
      },
    ];
  }

  show(list) {
    this.list = list;
    this.leader = leaderOf(list);
    this.table.fill(list);
  }
}
