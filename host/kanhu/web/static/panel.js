// The alarm in hand: what to do, who it is. A person's data lives in this element only, and leaves with it.

import * as api from "./api.js";
import { byId, make, put } from "./dom.js";
import { LEVELS, ageMs, holder, incidentWords, isWaiting } from "./list.js";
import { span, when } from "./time.js";
import { COLON, SEMICOLON, either, named, reasonWords, say, script, whyNot } from "./words.js";

const STEPS = [ // action, key, states in which it can be done
  ["dispatch", "d", ["accepted"]],
  ["on_scene", "s", ["accepted", "dispatched"]],
  ["hand_over", "h", ["accepted", "dispatched", "on_scene"]],
  ["close", "c", ["accepted", "dispatched", "on_scene"]],
];

export class Panel {
  #alarm = null;
  #me = null;
  #act;
  #room = byId("panel");
  #person = null; // the elements with a person's data: who and where, and below the script the rest
  #rest = null;
  #asked = 0; // rises with each alarm shown: a late answer for another is dropped

  // act(what, name): what a button asks for.
  constructor(act) {
    this.#act = act;
  }

  get name() {
    return this.#alarm?.name ?? null;
  }

  get alarm() {
    return this.#alarm;
  }

  // Show an alarm; with its person at once when it is the operator's own.
  show(alarm, me) {
    const same = this.name === alarm.name;
    const was = this.#alarm?.state;
    this.#alarm = alarm;
    this.#me = me;
    if (!same) {
      this.#asked += 1;
      this.#person = make("div", { className: "person" });
      this.#rest = make("div", {});
      this.#offer();
    }
    if (alarm.state === "closed") this.#forget();
    if (same && was === "pre_alarm" && alarm.state === "open") this.#offer();
    if (!same || was !== alarm.state) this.#draw();
    else this.#head();
    if (alarm.mine && !this.#person.dataset.tried) this.fetchPerson(); // once: after a refusal, on demand
  }

  // Put away, with everything that was known of the person.
  shut() {
    this.#asked += 1;
    this.#alarm = null;
    this.#person = this.#rest = null;
    this.#room.replaceChildren();
    this.#room.hidden = true;
  }

  // The note on the person that is shown; "" where there is none.
  get note() {
    return this.#person?.querySelector(".note")?.textContent ?? "";
  }

  // It has been written anew; null: taken away.
  showNote(note) {
    this.#person?.querySelector(".notes")?.replaceWith(this.#note(note));
    this.#person?.querySelector(".write")?.focus();
  }

  focus() {
    this.#room.querySelector("h2")?.focus();
  }

  tick() {
    if (this.#alarm) this.#head();
  }

  // Ask the server who it is; it writes down that somebody looked.
  async fetchPerson() {
    if (!this.#alarm || !this.#mayKnow()) return;
    const asked = this.#asked;
    const room = this.#person;
    if (room.dataset.asked) return;
    room.dataset.asked = room.dataset.tried = "yes";
    room.replaceChildren(make("p", { className: "none" }, say("person_loading")));
    const answer = await api.person(this.name);
    if (asked !== this.#asked || this.#alarm?.state === "closed") return;
    if (answer.ok) {
      room.replaceChildren(this.#who(answer.body));
      this.#rest.replaceChildren(...this.#more(answer.body));
    } else {
      delete room.dataset.asked;
      const why = whyNot(answer);
      room.replaceChildren(make("p", { className: "problem" }, say("person_unavailable", { why })), this.#showButton());
    }
  }

  #forget() {
    this.#asked += 1;
    this.#person.replaceChildren();
    this.#rest.replaceChildren();
  }

  #mayKnow() {
    return !["closed", "pre_alarm"].includes(this.#alarm.state) && this.#me?.role !== "viewer";
  }

  #offer() {
    if (this.#me?.role === "viewer") return;
    if (this.#alarm.state === "pre_alarm") {
      this.#person.replaceChildren(make("p", { className: "none" }, say("person_asked")));
      return;
    }
    this.#person.replaceChildren(make("p", {}, this.#showButton(), " ", make("span", { className: "none" }, say("person_hint"))));
  }

  #showButton() {
    const button = make("button", { type: "button", id: "show-person" }, say("person_show"), make("kbd", { ariaHidden: "true" }, "p"));
    button.addEventListener("click", () => this.fetchPerson());
    return button;
  }

  #head() {
    const alarm = this.#alarm;
    const title = this.#room.querySelector("h2");
    if (!title) return;
    put(title, named("kinds", alarm.kind));
    const who = alarm.mine ? say("with_me") : alarm.accepted_by ? say("with", { who: holder(alarm) }) : "";
    const state = [named("states", alarm.state), who, alarm.state === "closed" ? reasonWords(alarm.reason) : span(ageMs(alarm))];
    put(this.#room.querySelector(".state"), state.filter(Boolean).join(" · "));
    const shared = this.#room.querySelector(".shared");
    shared.hidden = !alarm.incident || alarm.state === "closed";
    put(shared.lastElementChild, alarm.incident ? COLON + incidentWords(alarm.incident) : "");
  }

  #draw() {
    const alarm = this.#alarm;
    const closed = alarm.state === "closed";
    const shut = make("button", { type: "button" }, say("shut"), make("kbd", { ariaHidden: "true" }, "Esc"));
    shut.addEventListener("click", () => this.#act("shut", alarm.name));
    const todo = script(alarm.kind);
    const lines = (list) => list.map((line) => make("li", {}, line));
    this.#room.replaceChildren(
      make("header", {}, make("div", {}, make("h2", { tabIndex: -1 }), make("div", { className: "state" })), shut),
      ...(either(alarm.explanation) ? [make("p", { className: "why-raised" }, make("b", {}, say("why_raised")), COLON, either(alarm.explanation))] : []),
      make("p", { className: "shared" }, make("b", {}, say("not_only_here")), make("span", {})),
      this.#actions(),
      ...(closed ? [] : [
        make("h3", {}, say("person")),
        this.#person,
        make("h3", {}, say("script_ask")),
        make("ul", {}, lines(todo.ask)),
        make("h3", {}, say("script_do")),
        make("ol", {}, lines(todo.do)),
        this.#rest,
      ]),
    );
    this.#room.hidden = false;
    this.#head();
  }

  #actions() {
    const alarm = this.#alarm;
    const supervisor = this.#me?.role === "supervisor";
    const button = (what, key, main) => {
      const made = make("button", { type: "button", className: main ? "main" : "", "data-do": what }, say(what), make("kbd", { ariaHidden: "true" }, key));
      made.addEventListener("click", () => this.#act(what, alarm.name));
      return made;
    };
    const can = [];
    if (isWaiting(alarm) && alarm.may_act !== false) can.push(button("accept", "a", true));
    for (const [what, key, states] of STEPS) {
      const own = alarm.mine || (supervisor && (what === "hand_over" || what === "close"));
      if (own && states.includes(alarm.state)) can.push(button(what, key, false));
    }
    if (alarm.mine && alarm.home && alarm.state !== "closed") can.push(button("mode", "e", false));
    if (alarm.state === "closed" && supervisor) can.push(button("correct", "r", false));
    return make("div", { className: "actions", role: "group", "aria-label": say("actions") }, can);
  }

  #who(found) {
    const phones = (found.phones ?? []).map((phone) =>
      make("div", {}, make("a", { className: "tel", href: `tel:${String(phone).replace(/[^+\d*#]/g, "")}` }, phone)));
    const pressed = (found.sensors ?? []).filter((sensor) => sensor.pressed).map((sensor) => this.#sensor(sensor));
    return make("dl", {},
      line("name", found.name || say("none_given"), "big"),
      line("address", found.address || say("none_given"), "big"),
      line("phones", phones.length ? phones : say("none_given"), "big"),
      line("note", this.#note(found.note)),
      pressed.length ? line("pressed", pressed, "mark") : [],
      line("last_movement", either(found.last_movement) || say("unknown")),
      line("condition", condition(found.condition)),
    );
  }

  #more(found) {
    const sensors = (found.sensors ?? []).map((sensor) => make("div", {}, this.#sensor(sensor)));
    return [
      make("h3", {}, say("equipment")),
      make("dl", {},
        line("proof", either(found.proof) || say("no_proof")),
        line("sensors", sensors.length ? sensors : say("none_given"))),
      make("h3", {}, say("history")),
      make("ol", { className: "history" }, (found.history ?? []).map((step) => make("li", {}, ...happened(step)))),
    ];
  }

  #note(note) {
    const parts = [];
    if (note) parts.push(make("span", { className: "note" }, note.text), " ", make("small", {}, say("note_by", { who: note.by, time: when(note.at_ms) })));
    else parts.push(say("none_given"));
    const may = this.#alarm.mine || this.#me?.role === "supervisor";
    if (may) {
      const write = make("button", { type: "button", className: "write", "data-do": "note" }, say("note_write"), make("kbd", { ariaHidden: "true" }, "n"));
      write.addEventListener("click", () => this.#act("note", this.name));
      parts.push(make("div", {}, write));
    }
    return make("div", { className: "notes" }, parts);
  }

  #sensor(sensor) {
    return [sensor.room, named("roles", sensor.role), sensor.name].filter(Boolean).join(" · ");
  }
}

const line = (key, value, css = "") => [make("dt", {}, say(key)), make("dd", {}, css ? make("span", { className: css }, value) : value)];

function condition(found) {
  const reasons = (found?.reasons ?? []).map((reason) => either(reason.words)).filter(Boolean);
  const state = say(found?.state ?? "cannot_tell");
  return reasons.length ? state + COLON + reasons.join(SEMICOLON) : state;
}

function happened(step) {
  const [, level] = /^escalated to (\d)$/.exec(step.what) ?? [];
  const what = level ? "escalated" : step.what;
  const words = named("steps", what) === what ? named("states", what) : named("steps", what);
  const rest = [level ? named("levels", LEVELS[level]) : "", named("by", step.operator), step.reason ? reasonWords(step.reason) : ""].filter(Boolean).join(COLON);
  return [make("time", {}, when(step.at_ms)), words, rest ? ` · ${rest}` : ""];
}
