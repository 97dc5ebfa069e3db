// The wall: whole numbers for a room. It shows no home and no person, and says when it does not know.

import { badge } from "./badge.js";
import { connect } from "./connection.js";
import { byId, make, put } from "./dom.js";
import { answered, fieldFigure } from "./side.js";
import { clockTime, serverNow, span } from "./time.js";
import { place, say } from "./words.js";

const MOST_DISTRICTS = 12; // as many as are readable from afar; those in need first
let current = null;
let isLost = false;

const waiting = () => (current?.alarms ?? []).filter((alarm) => alarm.state === "open");
const oldestMs = () => waiting().reduce((most, alarm) => Math.max(most, serverNow() - alarm.raised_ms), 0);

function tile(id, value, name, ...beside) {
  byId(id).replaceChildren(
    make("div", { className: "name" }, name), make("div", { className: "big" }, value),
    ...beside.filter(Boolean).map((line) => make("div", { className: "beside" }, line)),
  );
}

function show() {
  if (!current) return;
  const { figures = {}, homes = {} } = current;
  for (const within of [60, 180]) {
    const [value, stands] = answered(figures[`answered_${within}`], within);
    const verdict = isLost ? "" : stands ? make("span", { className: stands }, say(`${stands}_field`)) : say("no_figure");
    tile(`answered-${within}`, value, say("answered_in", { n: within }), fieldFigure(within), verdict);
  }
  const sum = ["well", "attention", "cannot_tell"].reduce((total, one) => total + (homes[one] ?? 0), 0);
  const shown = isLost ? [["cannot_tell", sum]] : Object.entries({ well: 0, attention: 0, cannot_tell: 0, ...homes });
  byId("homes").replaceChildren(
    make("div", { className: "name" }, say("homes")),
    make("ul", { className: "conditions" }, shown.filter(([key]) => ["well", "attention", "cannot_tell"].includes(key))
      .map(([key, count]) => make("li", { className: `condition ${key}` }, make("b", {}, String(count)), say(key)))),
  );
  tick();
}

function showDistricts(all) {
  const sorted = [...all].sort((a, b) => b.unanswered - a.unanswered || (b.oldest_s ?? 0) - (a.oldest_s ?? 0) || b.alarms - a.alarms || b.cannot_tell - a.cannot_tell
    || String(a.region).localeCompare(String(b.region)));
  const shown = sorted.slice(0, MOST_DISTRICTS);
  byId("districts").replaceChildren(...shown.map((one) => make("li", { className: `district ${one.unanswered ? "some" : ""}` },
    make("div", { className: "name" }, place(one)),
    make("div", { className: "facts" }, facts(one)),
    make("div", { className: "big" }, String(one.unanswered), make("small", {}, say("unanswered"))))));
  const rest = sorted.slice(MOST_DISTRICTS);
  const unanswered = rest.reduce((total, one) => total + one.unanswered, 0);
  const words = unanswered ? "others_busy" : "others_quiet";
  put(byId("others"), all.length ? (rest.length ? say(words, { n: rest.length, unanswered }) : "") : say("districts_none"));
}

// One under the other; the oldest counts on until the next state.
function facts(one) {
  const lines = [`${one.alarms - one.unanswered} ${say("alarms_held")}`, `${one.cannot_tell ?? 0} ${say("cannot_tell")}`];
  if (one.unanswered) lines.unshift(say("oldest_here", { time: span((one.oldest_s ?? 0) * 1000 + serverNow() - current.now_ms) }));
  return lines.map((text) => make("div", {}, text));
}

function tick() {
  put(byId("clock"), clockTime(serverNow()));
  if (!current) return;
  // Of what the server did not send one by one, the districts have the number.
  const count = current.alarms_more ? current.districts.reduce((sum, one) => sum + one.unanswered, 0) : waiting().length;
  const oldest = oldestMs();
  byId("unanswered").classList.toggle("some", count > 0);
  byId("oldest").classList.toggle("some", count > 0);
  showDistricts(current.districts ?? []);
  tile("unanswered", String(count), say("unanswered"));
  tile("oldest", count ? span(oldest) : "–", say("oldest_waits"), count ? "" : say("nobody_waits"));
  badge(count, count ? span(oldest) : "", isLost);
}

connect({
  state(fresh) {
    current = fresh;
    show();
  },
  lost(sinceMs) {
    isLost = true;
    document.body.classList.add("lost");
    byId("loss").hidden = false;
    byId("loss").textContent = `${say("not_connected", { time: clockTime(sinceMs) })} ${say("trying_again")}`;
    show();
  },
  back() {
    isLost = false;
    document.body.classList.remove("lost");
    byId("loss").hidden = true;
  },
});
setInterval(tick, 1000);
