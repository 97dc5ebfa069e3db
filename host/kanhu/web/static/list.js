// The alarms as rows: one element for each alarm, kept while it is shown, so that focus and eye stay where they are.

import { byId, make, put } from "./dom.js";
import { serverNow, span, when } from "./time.js";
import { either, named, place, reasonWords, say } from "./words.js";

const MOST_ROWS = 100; // of one group
const LATE_S = [180, 60]; // the field's own limits for answering
export const LEVELS = ["", "community", "street", "district", "city"]; // by number, as alarms have it
const rows = new Map(); // alarm's name -> {element, parts, alarm}

export const isWaiting = (alarm) => alarm.state === "open";
const isAsked = (alarm) => alarm.state === "pre_alarm";
const isClosed = (alarm) => alarm.state === "closed";
const isHeld = (alarm) => !isWaiting(alarm) && !isAsked(alarm) && !isClosed(alarm);

export const ageMs = (alarm) => Math.max(0, serverNow() - alarm.raised_ms);

// Who has it, as people call them.
export const holder = (alarm) => alarm.accepted_by_name ?? alarm.accepted_by ?? "?";

// Show these alarms; unseen: how many more wait that the server did not send; act(what, name) is called by the rows' buttons; chosen: the one in the panel.
export function showAlarms(alarms, unseen, act, chosen) {
  const seen = new Set();
  const group = (id, wanted, sort = () => 0) => { // unsorted: the server's order, most urgent first
    const found = alarms.filter(wanted).sort(sort);
    for (const alarm of found.slice(0, MOST_ROWS)) seen.add(alarm.name);
    fill(byId(id), found, id === "waiting" ? unseen : 0, act, chosen);
    return found.length;
  };
  const waiting = group("waiting", isWaiting);
  const none = byId("waiting").querySelector(".none");
  const more = Math.max(0, waiting - MOST_ROWS) + unseen;
  none.hidden = waiting > 0 && more === 0;
  put(none, more > 0 ? say("more_waiting", { n: more }) : say("waiting_none"));
  group("asking", isAsked, (a, b) => a.ask_until_ms - b.ask_until_ms);
  group("held", isHeld, (a, b) => Number(b.mine) - Number(a.mine));
  group("closed", isClosed, (a, b) => (b.closed_ms ?? 0) - (a.closed_ms ?? 0));
  for (const name of rows.keys()) if (!seen.has(name)) rows.delete(name);
  tickAges();
}

function fill(section, alarms, unseen, act, chosen) {
  put(section.querySelector(".count"), alarms.length ? String(alarms.length + unseen) : "");
  if (section.id !== "waiting") section.hidden = alarms.length === 0;
  const list = section.querySelector(".rows");
  const shown = alarms.slice(0, MOST_ROWS).map((alarm) => row(alarm, act, chosen));
  shown.forEach((element, at) => {
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
  while (list.children.length > shown.length) list.lastElementChild.remove();
}

function row(alarm, act, chosen) {
  let one = rows.get(alarm.name);
  if (!one) {
    one = build(alarm.name, act);
    rows.set(alarm.name, one);
  }
  one.alarm = alarm;
  const { element, parts } = one;
  const state = isHeld(alarm) ? "held" : alarm.state;
  element.className = ["alarm", alarm.class, state, alarm.mine ? "mine" : "", alarm.name === chosen ? "chosen" : ""].join(" ");
  put(parts.kind, named("kinds", alarm.kind));
  put(parts.facts, facts(alarm).join(" · "));
  put(parts.why, either(alarm.explanation));
  parts.why.hidden = !parts.why.textContent;
  parts.accept.hidden = !isWaiting(alarm) || alarm.may_act === false;
  parts.open.hidden = false;
  return element;
}

function build(name, act) {
  const part = (tag, css) => make(tag, { className: css });
  const parts = {
    age: part("div", "age"), since: part("div", "since"), kind: part("span", "what"), late: part("span", "late"),
    facts: part("div", "facts"), why: part("p", "why"),
    accept: make("button", { type: "button", className: "main accept" }, say("accept"), make("kbd", { ariaHidden: "true" }, "a")),
    open: make("button", { type: "button", className: "open-alarm" }, say("open"), make("kbd", { ariaHidden: "true" }, "o")),
  };
  parts.accept.addEventListener("click", () => act("accept", name));
  parts.open.addEventListener("click", () => act("open", name));
  const element = make(
    "li",
    { "data-alarm": name },
    make("div", {}, parts.age, parts.since),
    make("div", {}, parts.kind, " ", parts.late, parts.facts, parts.why),
    make("div", { className: "does" }, parts.accept, parts.open),
  );
  return { element, parts, alarm: null };
}

function facts(alarm) {
  const found = [named("classes", alarm.class), `${say("home")} ${alarm.home ?? "?"}`, place(alarm)];
  if (isHeld(alarm)) {
    found.unshift(named("states", alarm.state), alarm.mine ? say("with_me") : say("with", { who: holder(alarm) }));
  }
  if (isClosed(alarm)) found.unshift(say("closed_by", { who: named("by", alarm.closed_by ?? "?"), reason: reasonWords(alarm.reason) }));
  if (alarm.presses > 1) found.push(say("pressed_times", { n: alarm.presses }));
  if (level(alarm) !== "community") found.push(say("asked_widely", { level: named("levels", level(alarm)) }));
  if (alarm.incident && !isClosed(alarm)) found.push(incidentWords(alarm.incident));
  return found;
}

// Of an alarm whose home has a fault that many have.
export function incidentWords(incident) {
  return say("part_of_incident", { kind: named("kinds", incident.kind), region: place(incident, "whole_area") });
}

function level(alarm) {
  return LEVELS[alarm.level] ?? "community";
}

// Once a second: the counting numbers of all rows.
export function tickAges() {
  for (const { element, parts, alarm } of rows.values()) {
    if (!alarm || !element.isConnected) continue;
    if (isAsked(alarm)) {
      const left = (alarm.ask_until_ms ?? 0) - serverNow();
      put(parts.age, left > 0 ? span(left) : "0:00");
      put(parts.since, left > 0 ? say("until_raised") : say("asking_over"));
      continue;
    }
    if (isClosed(alarm)) {
      put(parts.age, "");
      put(parts.since, when(alarm.closed_ms ?? alarm.raised_ms));
      continue;
    }
    const ms = ageMs(alarm);
    put(parts.age, span(ms));
    put(parts.since, say(alarm.kind === "call" ? "since_press" : "since_raised"));
    const late = isWaiting(alarm) ? LATE_S.find((limit) => ms >= limit * 1000) : undefined;
    put(parts.late, late ? say(`over_${late}`) : "");
    element.classList.toggle("over", Boolean(late));
  }
}
