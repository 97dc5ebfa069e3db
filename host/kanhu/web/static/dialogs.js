// Questions that need an answer before something is done: why it ends, who takes it, which keys there are.

import { byId, make, put } from "./dom.js";
import { serverNow } from "./time.js";
import { modes, mostNote, needText, reasons, say } from "./words.js";

const MOST_BYTES = 800; // of a reason, as events carry it
const dialog = byId("dialog");

// What a form in the dialog brings, or null when it was put away. read(form) -> [value, problem].
function question(title, fields, read, done) {
  return new Promise((resolve) => {
    const problem = make("p", { className: "problem", role: "alert" });
    const cancel = make("button", { type: "button" }, say("cancel"), make("kbd", { ariaHidden: "true" }, "Esc"));
    const form = make("form", {}, make("h2", { id: "dialog-title" }, title), fields, problem,
      make("div", { className: "actions" }, cancel, make("button", { className: "main" }, done)));
    let value = null;
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [found, wrong] = read(form);
      put(problem, wrong ? say(wrong, { n: mostNote }) : "");
      if (wrong) return;
      value = found;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.replaceChildren();
      resolve(value);
    }, { once: true });
    dialog.replaceChildren(form);
    dialog.showModal();
    form.querySelector("input, select, textarea")?.focus();
  });
}

// A reason: a code of the list, with words where they are needed or wanted; null when put away.
export function askReason(correcting) {
  const choices = reasons.map(([code, words]) =>
    make("label", {}, make("input", { type: "radio", name: "code", value: code }), make("span", {}, words)));
  const fields = [
    make("fieldset", {}, make("legend", {}, say(correcting ? "why_corrected" : "why_closed")), make("div", { className: "choices" }, choices)),
    make("label", { className: "field", htmlFor: "reason-text" }, say("in_words")),
    make("input", { id: "reason-text", name: "text", autocomplete: "off", "aria-describedby": "reason-hint" }),
    make("p", { className: "none", id: "reason-hint" }, say("in_words_hint")),
  ];
  const read = (form) => {
    const data = new FormData(form);
    const code = data.get("code");
    const text = String(data.get("text") ?? "").trim();
    const reason = text ? `${code}: ${text}` : code;
    if (!code) return [null, "reason_needed"];
    if (!text && needText.has(code)) return [null, "text_needed"];
    if (new TextEncoder().encode(reason).length > MOST_BYTES) return [null, "text_too_long"];
    return [reason, ""];
  };
  return question(say(correcting ? "correct" : "close"), fields, read, say(correcting ? "correct" : "close"));
}

// Which of these operators takes an alarm over; null when put away.
export function askOperator(operators) {
  const options = operators.map((one) => make("option", { value: one.id }, one.name ? `${one.name} (${one.id})` : one.id));
  const fields = operators.length ? [
    make("label", { className: "field", htmlFor: "to" }, say("hand_over_to")),
    make("select", { id: "to", name: "to", "aria-describedby": "to-hint" }, make("option", { value: "" }), options),
    make("p", { className: "none", id: "to-hint" }, say("hand_over_hint")),
  ] : [make("p", {}, say("nobody_else"))];
  const read = (form) => {
    const to = new FormData(form).get("to");
    return to ? [to, ""] : [null, "to_needed"];
  };
  return question(say("hand_over"), fields, read, say("hand_over"));
}

// {mode, untilMs or null}; null when put away.
export function askMode() {
  const options = modes.map(([key, words]) => make("option", { value: key }, words));
  const fields = [
    make("label", { className: "field", htmlFor: "mode" }, say("mode_is")),
    make("select", { id: "mode", name: "mode" }, options),
    make("label", { className: "field", htmlFor: "until" }, say("mode_until")),
    make("input", { id: "until", name: "until", type: "datetime-local" }),
  ];
  const read = (form) => {
    const data = new FormData(form);
    const untilMs = data.get("until") ? new Date(data.get("until")).getTime() : null;
    if (untilMs !== null && !(untilMs > serverNow())) return [null, "mode_past"];
    return [{ mode: data.get("mode"), untilMs }, ""];
  };
  return question(say("mode"), fields, read, say("mode"));
}

// What to know of a home, "" to take it away; null when put away.
export function askNote(now) {
  const fields = [
    make("label", { className: "field", htmlFor: "note" }, say("note_text")),
    make("textarea", { id: "note", name: "note", rows: 4, value: now, autocomplete: "off", "aria-describedby": "note-hint" }),
    make("p", { className: "none", id: "note-hint" }, say("note_hint")),
  ];
  const read = (form) => {
    const text = String(new FormData(form).get("note")).trim().replace(/\s+/g, " ");
    return [...text].length > mostNote ? [null, "note_too_long"] : [text, ""];
  };
  return question(say("note"), fields, read, say("note_keep"));
}

// The keys; letters.on and letters.set(on): whether single letters are shortcuts.
export function showKeys(list, letters) {
  const row = ([key, what]) => make("tr", {}, make("td", {}, make("kbd", {}, key)), make("td", {}, say(what)));
  const check = make("input", { type: "checkbox", checked: letters.on });
  check.addEventListener("change", () => letters.set(check.checked));
  const shut = make("button", { type: "button", className: "main" }, say("done_reading"));
  shut.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    make("h2", { id: "dialog-title" }, say("keyboard")),
    make("table", { className: "keys" }, make("tbody", {}, list.map(row))),
    make("p", {}, make("label", {}, check, " ", say("key_letters"))),
    make("div", { className: "actions" }, shut),
  );
  dialog.addEventListener("close", () => dialog.replaceChildren(), { once: true });
  dialog.showModal();
  shut.focus();
}

export const dialogOpen = () => dialog.open;
