// The page's language: every text comes from the pack that the server put into the page.

const pack = JSON.parse(document.getElementById("words").textContent);

export const language = pack.language;
export const needText = new Set(pack.need_text);
export const reasons = pack.reasons; // [[code, words]], in order
export const modes = pack.modes;
export const mostNote = pack.most_note; // characters

export const COLON = language === "zh" ? "：" : ": ";
export const SEMICOLON = language === "zh" ? "；" : "; ";
const reasonOf = new Map(reasons);

// One text, its {places} filled from values.
export function say(key, values = {}) {
  const text = pack.text[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, place) => values[place] ?? whole);
}

// A word of a table (kinds, states, steps, levels, classes, roles); what it does not know stays as it is.
export function named(table, key) {
  return pack[table]?.[key] ?? String(key ?? "");
}

// {ask: [...], do: [...]} for a kind of alarm.
export function script(kind) {
  return pack.scripts[kind] ?? pack.scripts[""];
}

// A reason as events carry it ("helped" or "other: in words") for people.
export function reasonWords(reason) {
  const [code, ...rest] = String(reason ?? "").split(": ");
  return [reasonOf.get(code) ?? named("steps", code), ...rest].join(COLON);
}

// A sentence that came in both languages.
export function either(sentence) {
  if (!sentence) return "";
  return typeof sentence === "string" ? sentence : (sentence[language] ?? sentence.en ?? "");
}

// Where something is, as people call it, or by its code; key: what is said of nowhere in particular.
export function place(one, key = "no_region") {
  return either(one.region_name) || one.region || say(key);
}

// Why the server did not do it, of an answer of api.js.
export function whyNot(answer) {
  return pack.errors[answer.body.code] ?? answer.body.error ?? String(answer.status);
}
