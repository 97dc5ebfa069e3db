// Many faults with one cause: a row each, which opens to show whom it has met. Its homes are fetched when asked for.

import * as api from "./api.js";
import { byId, make, put } from "./dom.js";
import { clockTime, serverNow, when } from "./time.js";
import { named, place, say, whyNot } from "./words.js";

const rows = new Map(); // incident's id -> Row

// Show those that are not over; a row that is open stays so.
export function showIncidents(all) {
  const open = (all ?? []).filter((one) => !one.closed_ms);
  const section = byId("incidents");
  section.hidden = open.length === 0;
  put(section.querySelector(".count"), open.length ? String(open.length) : "");
  const list = section.querySelector(".rows");
  for (const id of rows.keys()) if (!open.some((one) => one.id === id)) end(id);
  open.forEach((one, at) => {
    if (!rows.has(one.id)) rows.set(one.id, new Row(one.id));
    const row = rows.get(one.id);
    row.show(one);
    if (list.children[at] !== row.element) list.insertBefore(row.element, list.children[at] ?? null);
  });
}

// Connected again: what was fetched before may be old, or an error.
export function lookAgain() {
  for (const row of rows.values()) row.lookAgain();
}

function end(id) {
  const { element } = rows.get(id);
  const had = element.contains(document.activeElement);
  element.remove();
  rows.delete(id);
  if (had) byId("alarms").focus();
}

class Row {
  #id;
  #what = make("span", { className: "what" });
  #facts = make("div", { className: "facts" });
  #count = make("div", { className: "age" });
  #opener;
  #room;
  #scrolls;
  #problem = make("p", { className: "problem" });
  #shown = make("span", { role: "status" });
  #only = make("input", { type: "checkbox" });
  #again = make("button", { type: "button" }, say("members_again"));
  #before = make("button", { type: "button" }, say("members_before"));
  #next = make("button", { type: "button" }, say("members_next"));
  #body = make("tbody", {});
  #pages = [{ after: 0, first: 1 }]; // so far, each by `after` and the number of its first member; the last is shown
  #after = null; // of the page after it
  #asked = 0; // a late answer to an earlier question is dropped

  constructor(id) {
    this.#id = id;
    this.#opener = make("button", { type: "button", className: "open-incident", ariaExpanded: "false", "aria-controls": `members-${id}` }, say("members"), make("kbd", { ariaHidden: "true" }, "o"));
    const head = ["home", "hub", "region", "since", "came_back"].map((key) => make("th", { scope: "col" }, say(key)));
    const table = make("table", {}, make("thead", {}, make("tr", {}, head)), this.#body);
    this.#scrolls = make("div", { className: "scrolls", tabIndex: 0, role: "group", ariaLabel: say("members_of") }, table);
    this.#room = make("div", { className: "members", id: `members-${id}`, hidden: true },
      make("div", { className: "tools" }, make("label", {}, this.#only, " ", say("members_open")), this.#again, this.#before, this.#next, this.#shown),
      this.#problem,
      this.#scrolls);
    this.element = make("li", { className: "alarm incident", "data-incident": id },
      this.#count, make("div", {}, this.#what, this.#facts), make("div", { className: "does" }, this.#opener), this.#room);
    this.#opener.addEventListener("click", () => this.#toggle());
    this.#only.addEventListener("change", () => this.#restart());
    this.#again.addEventListener("click", () => this.lookAgain());
    this.#before.addEventListener("click", () => this.#turn(-1));
    this.#next.addEventListener("click", () => this.#turn(1));
  }

  show(incident) {
    put(this.#count, String(incident.members));
    put(this.#what, named("kinds", incident.kind));
    const facts = [
      say("incident_members", { n: incident.members }), say("incident_standing", { n: incident.standing }),
      place(incident, "whole_area"), say("incident_since", { time: when(incident.opened_ms) }),
    ];
    put(this.#facts, facts.join(" · "));
  }

  lookAgain() {
    if (!this.#room.hidden) this.#fetch(this.#pages);
  }

  #toggle() {
    const opens = this.#room.hidden;
    this.#room.hidden = !opens;
    this.#opener.ariaExpanded = String(opens);
    if (opens) this.#restart();
    else this.#body.replaceChildren();
  }

  #restart() {
    return this.#fetch([{ after: 0, first: 1 }]);
  }

  #turn(by) {
    if (by < 0) return this.#fetch(this.#pages.slice(0, -1));
    const first = this.#pages.at(-1).first + this.#body.children.length;
    return this.#fetch([...this.#pages, { after: this.#after, first }]);
  }

  // pages: those so far, with the wanted one at the end.
  async #fetch(pages) {
    this.#asked += 1;
    const asked = this.#asked;
    const answer = await api.members(this.#id, pages.at(-1).after, this.#only.checked);
    if (asked !== this.#asked || this.#room.hidden) return;
    put(this.#problem, answer.ok ? "" : say("members_unavailable", { why: answer.status ? whyNot(answer) : say("no_answer") }));
    if (!answer.ok) return;
    this.#pages = pages;
    this.#after = answer.body.next;
    this.#fill(answer.body.members);
  }

  #fill(members) {
    const focused = document.activeElement;
    this.#body.replaceChildren(...members.map(line));
    this.#scrolls.scrollTop = 0;
    this.#before.disabled = this.#pages.length < 2;
    this.#next.disabled = this.#after === null;
    const { first } = this.#pages.at(-1);
    const time = clockTime(serverNow());
    const words = members.length ? "members_page" : "members_none";
    put(this.#shown, say(words, { from: first, to: first + members.length - 1, time }));
    if (focused?.disabled) this.#again.focus(); // a button that was just used up
  }
}

function line(member) {
  const back = member.closed_ms ? when(member.closed_ms) : make("b", { className: "not-back" }, say("not_back"));
  const cells = [member.home, member.hub, place(member), when(member.opened_ms), back];
  return make("tr", {}, cells.map((cell) => make("td", {}, cell)));
}
