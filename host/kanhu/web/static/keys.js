// Everything by keyboard. Single letters can be switched off, for who speaks to the machine (WCAG 2.1.4).

import { dialogOpen, showKeys } from "./dialogs.js";

const STORED = "kanhu.letters";
const LIST = [
  ["↓ ↑", "key_move"], ["Enter / a", "key_accept"], ["o", "key_open"], ["p", "key_person"], ["d", "key_dispatch"],
  ["s", "key_on_scene"], ["h", "key_hand_over"], ["c", "key_close"], ["e", "key_mode"], ["n", "key_note"], ["m", "key_mute"], ["Esc", "key_escape"], ["?", "key_help"],
];
const letters = {
  get on() {
    return localStorage.getItem(STORED) !== "off";
  },
  set(on) {
    localStorage.setItem(STORED, on ? "on" : "off");
  },
};

export const help = () => showKeys(LIST, letters);

// does: {accept, open, person, dispatch, on_scene, hand_over, close, mode, note, correct, mute, shut, move(step)}.
export function listen(does) {
  const byLetter = {
    a: does.accept, o: does.open, p: does.person, d: does.dispatch, s: does.on_scene, h: does.hand_over, c: does.close,
    e: does.mode, n: does.note, r: does.correct, m: does.mute, "?": help,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || dialogOpen()) return;
    const typing = event.target.matches("input, textarea, select");
    if (typing) return;
    const pressable = event.target.closest("button, a, summary");
    if (event.key.startsWith("Arrow") && event.target.matches(".scrolls")) return; // these move what is in it
    let action = null;
    if (event.key === "Enter" && !pressable) action = does.accept;
    else if (event.key === "Escape") action = does.shut;
    else if (event.key === "ArrowDown") action = () => does.move(1);
    else if (event.key === "ArrowUp") action = () => does.move(-1);
    else if (letters.on) action = byLetter[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
