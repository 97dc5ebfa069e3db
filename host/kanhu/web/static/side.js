// Beside the alarms: homes, today's figures, faults. While not connected it claims nothing.

import { byId, make, put } from "./dom.js";
import { say } from "./words.js";

const CONDITIONS = ["well", "attention", "cannot_tell"];
const FIELD = { 60: 97.5, 180: 99 }; // % of calls answered within so many s: telecare quality standards

// fresh: whether this is the server's word of now.
export function showSide(state, fresh) {
  showHomes(state.homes, fresh);
  byId("figures").replaceChildren(...figures(state.figures ?? {}, fresh));
  const { open = 0, overdue = 0 } = state.faults ?? {};
  put(byId("faults"), `${open} ${say("faults_open")} · ${overdue} ${say("faults_overdue")}`);
}

function showHomes(homes, fresh) {
  const sum = CONDITIONS.reduce((total, one) => total + (homes?.[one] ?? 0), 0);
  const shown = fresh ? { ...homes } : { cannot_tell: sum };
  const items = CONDITIONS.filter((one) => fresh || one === "cannot_tell").map((one) =>
    make("li", { className: `condition ${one}` }, make("b", {}, String(shown[one] ?? 0)), say(one)));
  byId("conditions").replaceChildren(...items);
  byId("homes-old").hidden = fresh;
}

// "96.2 %" or a dash, and how it stands beside the field's own figure: [text, "below" | "above" | ""].
export function answered(percent, within) {
  if (percent === null || percent === undefined) return ["–", ""];
  return [`${Math.floor(percent * 10) / 10} %`, percent < FIELD[within] ? "below" : "above"];
}

export const fieldFigure = (within) => say("field", { n: FIELD[within] });

function figures(found, fresh) {
  const figure = (title, value, ...more) => make("div", {}, make("dt", {}, title), make("dd", {}, value, ...more));
  const share = (within) => {
    const [value, stands] = answered(found[`answered_${within}`], within);
    const beside = stands && fresh ? [fieldFigure(within), " · ", make("span", { className: stands }, say(`${stands}_field`))] : [fieldFigure(within)];
    return figure(say("answered_in", { n: within }), value, make("small", {}, beside));
  };
  const median = found.median_s === null || found.median_s === undefined ? "–" : say("seconds", { n: Math.round(found.median_s) });
  return [figure(say("alarms_today"), String(found.today ?? 0)), figure(say("median"), median), share(60), share(180)];
}
