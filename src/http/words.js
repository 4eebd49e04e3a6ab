// How the dashboard writes times, sizes and other people's text.
"use strict";

export const orDash = (value) => (value === undefined || value === null || value === "" ? "–" : String(value));

export const number = (value) => (value === undefined || value === null ? "–" : value.toLocaleString("en"));

export function duration(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function milliseconds(ms) {
  return ms < 10 ? `${ms.toFixed(ms < 1 ? 2 : 1)} ms` : `${Math.round(ms)} ms`;
}

export function bytes(count) {
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}

// A clock time on the day of the reader's, in UTC as in the nodes' logs.
export const clock = (rfc3339) => `${rfc3339.slice(0, 10)} ${rfc3339.slice(11, 19)} UTC`;

// Text that others chose, with what has no sign of its own made visible: a control character, and one that turns the
// direction of what follows, could make a name look like another one.
export function visible(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? "\u2421" : `\\u{${code.toString(16)}}`;
  });
}
