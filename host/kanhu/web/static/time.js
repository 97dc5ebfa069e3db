// The server's time on this page, and times as people read them. The page's own clock is never trusted.

import { language, say } from "./words.js";

const locale = language === "zh" ? "zh-CN" : "en-GB";
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayAndClock = new Intl.DateTimeFormat(locale, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

let atMs = Date.now();
let atTick = performance.now();

// The server has just said what time it is.
export function sync(nowMs) {
  if (!Number.isFinite(nowMs)) return;
  atMs = nowMs;
  atTick = performance.now();
}

// The server's UTC in ms, as well as it is known here.
export function serverNow() {
  return atMs + performance.now() - atTick;
}

// 0:42, 12:05, 1:02:03; never below nought.
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

// 12:03:10 on this day, with the date on another.
export function when(ms) {
  if (!Number.isFinite(ms)) return say("unknown");
  const sameDay = new Date(ms).toDateString() === new Date(serverNow()).toDateString();
  return (sameDay ? clock : dayAndClock).format(ms);
}

// 12:03:10.
export function clockTime(ms) {
  return clock.format(ms);
}
