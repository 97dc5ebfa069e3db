// The call desk: wires the live state to list, panel, sound, keyboard and title.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { connect } from "./connection.js";
import { askMode, askNote, askOperator, askReason, dialogOpen } from "./dialogs.js";
import { byId, make, put } from "./dom.js";
import { lookAgain, showIncidents } from "./incidents.js";
import { help, listen } from "./keys.js";
import { ageMs, isWaiting, showAlarms, tickAges } from "./list.js";
import { Panel } from "./panel.js";
import { showSide } from "./side.js";
import { Sound } from "./sound.js";
import { clockTime, serverNow, span } from "./time.js";
import { named, place, reasonWords, say, whyNot } from "./words.js";

const NOTICE_MS = 10_000;
const URGENT_MS = 60_000; // the field's limit for answering
const LOST_SOUND_MS = 10_000; // a short break of the network is shown, not sounded
const SETTLE_MS = 400; // a list that has just moved under the operator's finger does not take a key

let current = null; // the last state the server said
let lostSince = 0; // performance.now(), 0: connected
let known = null; // names that have been said aloud; null before the first state
let oldestName = null;
let oldestMovedAt = -Infinity;
let noticeTimer = 0;
const panel = new Panel(act);
const sound = new Sound(showSound);

const waiting = () => (current?.alarms ?? []).filter(isWaiting); // the server's order: most urgent first
const oldestMs = () => waiting().reduce((most, alarm) => Math.max(most, ageMs(alarm)), 0);
// Beyond what the server sends in one state, alarms are counted in the districts.
const unseen = () => (current?.alarms_more
  ? Math.max(0, current.districts.reduce((sum, one) => sum + one.unanswered, 0) - waiting().length) : 0);
const find = (name) => current?.alarms.find((alarm) => alarm.name === name);

function notice(text) {
  const line = byId("notice");
  line.hidden = false;
  line.textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { line.hidden = true; }, NOTICE_MS);
}

// State

function take(fresh) {
  current = fresh;
  const unanswered = waiting();
  const news = known && unanswered.filter((alarm) => !known.has(alarm.name));
  known = new Set(unanswered.map((alarm) => alarm.name));
  if (news?.length) {
    sound.mute(false);
    byId("announce").replaceChildren(...news.slice(0, 5).map((alarm) =>
      make("p", {}, say("said_new", { kind: named("kinds", alarm.kind), region: place(alarm) }))));
  }
  const oldest = unanswered[0]?.name ?? null;
  if (oldestName && oldest !== oldestName) oldestMovedAt = performance.now();
  oldestName = oldest;
  refreshPanel();
  show();
}

function refreshPanel() {
  if (!panel.name) return;
  const alarm = find(panel.name);
  if (alarm && alarm.state !== panel.alarm.state && alarm.state === "closed" && panel.alarm.state !== "closed") {
    notice(say("said_closed_elsewhere", { reason: reasonWords(alarm.reason) }));
  }
  if (alarm) panel.show(alarm, current.me);
  else panel.shut();
}

function show() {
  if (!current) return;
  showAlarms(current.alarms, unseen(), act, panel.name);
  showIncidents(current.incidents);
  showSide(current, !lostSince);
  put(byId("link-state"), say(lostSince ? "connecting" : "connected"));
  tick();
}

function lost(sinceMs) {
  lostSince = performance.now();
  document.body.classList.add("lost");
  const line = byId("loss");
  line.hidden = false;
  line.textContent = `${say("not_connected", { time: clockTime(sinceMs) })} ${say("trying_again")}`;
  put(byId("link-state"), say("connecting"));
  show();
}

function back() {
  lostSince = 0;
  document.body.classList.remove("lost");
  byId("loss").hidden = true;
  notice(say("back_again"));
  lookAgain();
}

// Every second, without news

function tick() {
  const count = waiting().length + unseen();
  const oldest = oldestMs();
  tickAges();
  panel.tick();
  put(byId("clock"), clockTime(serverNow()));
  byId("need").hidden = count === 0;
  put(byId("need"), say("need", { n: count, time: span(oldest) }));
  badge(count, count ? span(oldest) : "", Boolean(lostSince));
  if (count) sound.want(oldest >= URGENT_MS ? "urgent" : "waiting");
  else sound.want(lostSince && performance.now() - lostSince > LOST_SOUND_MS ? "lost" : "");
  showSound();
}

function showSound() {
  const button = byId("sound");
  const words = { on: "sound_on", none: "sound_none", blocked: "sound_blocked", muted: "sound_muted" };
  put(button, say(words[sound.state], { time: span(sound.mutedMs) }));
  button.classList.toggle("warn", sound.state !== "on");
  button.dataset.state = sound.state;
  button.dataset.playing = sound.playing;
  byId("mute").hidden = !sound.playing;
}

// What the operator does

async function act(what, name) {
  if (what === "open") return open(name);
  if (what === "shut") return shut();
  if (what === "mode") return mode(name);
  if (what === "note") return note(name);
  const body = await details(what);
  if (!body) return;
  const answer = await api.act(name, what, body);
  if (answer.ok) done(what, name, answer.body, body);
  else refused(what, name, answer);
}

// What the server needs to know beside the name; null: put away.
async function details(what) {
  if (what === "close" || what === "correct") {
    const reason = await askReason(what === "correct");
    return reason && { reason };
  }
  if (what === "hand_over") {
    const answer = await api.operators();
    if (!answer.ok) return notice(say("said_refused", { why: whyNot(answer) }));
    const to = await askOperator(answer.body.filter((one) => one.id !== current.me.id));
    return to && { to };
  }
  return {};
}

async function mode(name) {
  const home = find(name)?.home;
  const wanted = home && await askMode();
  if (!wanted) return;
  const answer = await api.setMode(home, wanted.mode, wanted.untilMs);
  notice(answer.ok ? say("said_done", { what: say("mode") }) : say("said_refused", { why: whyNot(answer) }));
}

async function note(name) {
  const text = await askNote(panel.note);
  if (text === null) return;
  const answer = await api.setNote(name, text);
  if (!answer.ok) return refused("note", name, answer);
  if (panel.name === name) panel.showNote(answer.body.note);
  notice(say("said_done", { what: say("note") }));
}

function done(what, name, body, sent) {
  merge(body.alarm ?? body);
  const alarm = find(name);
  if (what === "accept") {
    notice(say("said_yours", { kind: named("kinds", alarm?.kind) }));
    open(name);
  } else if (what === "hand_over") {
    notice(say("said_handed", { who: sent.to }));
    shut();
  } else {
    notice(say("said_done", { what: say(what) }));
    if (what === "close") shut();
  }
}

function refused(what, name, answer) {
  const who = answer.body.accepted_by;
  if (what === "accept" && answer.status === 409 && who) {
    // The other operator's name stands there before the next state comes.
    const alarm = find(name);
    if (alarm && isWaiting(alarm)) merge({ ...alarm, state: "accepted", accepted_by: who, accepted_by_name: answer.body.accepted_by_name, mine: false });
    notice(say("said_lost_race", { who: answer.body.accepted_by_name ?? who }));
  } else {
    notice(answer.status === 0 ? say("said_unreachable") : say("said_refused", { why: whyNot(answer) }));
  }
}

// One alarm's newer state, before the stream says it too.
function merge(alarm) {
  if (!current || !alarm?.name) return;
  current = { ...current, alarms: current.alarms.map((one) => (one.name === alarm.name ? { ...one, ...alarm } : one)) };
  refreshPanel();
  show();
}

function open(name) {
  const alarm = find(name);
  if (!alarm) return;
  panel.show(alarm, current.me);
  show();
  panel.focus();
}

function shut() {
  const name = panel.name;
  panel.shut();
  show();
  if (name) (document.querySelector(`[data-alarm="${name}"] .open-alarm`) ?? byId("alarms")).focus();
}

// Keyboard

const chosenRow = () => document.activeElement?.closest?.("[data-alarm]")?.dataset.alarm ?? null;

function acceptByKey() {
  const chosen = find(chosenRow() ?? panel.name ?? "");
  if (chosen && isWaiting(chosen)) return act("accept", chosen.name);
  const [oldest] = waiting();
  if (oldest && performance.now() - oldestMovedAt > SETTLE_MS) act("accept", oldest.name);
}

function openByKey() {
  const incident = document.activeElement?.closest?.("[data-incident]");
  if (incident) incident.querySelector("button").click();
  else open(chosenRow() ?? waiting()[0]?.name);
}

function move(step) {
  const rows = [...document.querySelectorAll("[data-alarm], [data-incident]")].filter((row) => row.offsetParent);
  const buttons = rows.map((row) => row.querySelector("button:not([hidden])"));
  if (!buttons.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : buttons.length - 1) : Math.min(buttons.length - 1, Math.max(0, at + step));
  buttons[next].focus();
}

// In the panel only what its buttons offer at this moment.
const press = (what) => () => byId("panel").querySelector(`[data-do="${what}"]`)?.click();

listen({
  accept: acceptByKey,
  open: openByKey,
  person: () => panel.fetchPerson(),
  dispatch: press("dispatch"),
  on_scene: press("on_scene"),
  hand_over: press("hand_over"),
  close: press("close"),
  mode: press("mode"),
  note: press("note"),
  correct: press("correct"),
  mute: () => sound.mute(),
  shut: () => { if (!dialogOpen()) shut(); },
  move,
});

byId("help").addEventListener("click", help);
byId("mute").addEventListener("click", () => sound.mute(true));
byId("sound").addEventListener("click", () => (sound.state === "muted" ? sound.mute(false) : sound.allow()));
byId("language").addEventListener("click", async (event) => {
  const answer = await api.setLanguage(event.currentTarget.dataset.language);
  if (answer.ok) location.reload();
  else notice(say("said_refused", { why: whyNot(answer) }));
});
// A page that is left keeps nothing of a person, in the browser's memory of pages either.
addEventListener("pagehide", () => panel.shut());

showSound();
setInterval(tick, 1000);
connect({ state: take, lost, back });
