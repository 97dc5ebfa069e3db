// What the page asks of the server, and what came of it. Nothing here throws: an answer has ok, status, body.

import { signInAgain } from "./connection.js";

const PATIENCE_MS = 10_000;

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch {
    return { ok: false, status: 0, body: {} };
  }
  if (answer.status === 401) signInAgain();
  const body = await answer.json().catch(() => ({}));
  return { ok: answer.ok, status: answer.status, body };
}

function send(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// accept, dispatch, on_scene, hand_over {to}, close {reason}, correct {reason}.
export function act(name, what, body = {}) {
  return send(`/desk/api/alarms/${name}/${what}`, body);
}

// Who it is; each call is written down by the server.
export function person(name) {
  return ask(`/desk/api/alarms/${name}/person`);
}

// What whoever helps has to know; "" takes it away. Of the home an alarm is about.
export function setNote(name, text) {
  return send(`/desk/api/alarms/${name}/note`, { text });
}

// A page of an incident's members, after the id of one (0: the first); standing: only those not back. Each look is written down.
export function members(id, after, standing) {
  return ask(`/desk/api/incidents/${id}?after=${after}&standing=${standing ? 1 : 0}`);
}

export function setLanguage(language) {
  return send("/desk/api/language", { language });
}

// Who else can take an alarm: [{id, name, role}].
export function operators() {
  return ask("/desk/api/operators");
}

// mode of names.MODES; untilMs null: as long as such a mode lasts.
export function setMode(home, mode, untilMs) {
  return send(`/desk/api/homes/${home}/mode`, untilMs ? { mode, until_ms: untilMs } : { mode });
}
