// The desk's sound, made here, not fetched: it repeats until nobody waits, and says when the browser keeps it quiet.

const MUTE_MS = 120_000;
// [pause to the next repetition in s, tones as [start s, length s, Hz]]
const PATTERNS = {
  waiting: [3.0, [[0, 0.18, 880], [0.24, 0.18, 1175]]],
  urgent: [1.2, [[0, 0.14, 1175], [0.2, 0.14, 880], [0.4, 0.14, 1175]]],
  lost: [10.0, [[0, 0.35, 330], [0.45, 0.35, 262]]],
};

export class Sound {
  #context = null;
  #source = null;
  #playing = "";
  #wanted = "";
  #mutedUntil = 0; // performance.now()
  #changed;

  // changed(): what `state` says may have changed.
  constructor(changed) {
    this.#changed = changed;
    const Context = globalThis.AudioContext;
    if (!Context) return;
    this.#context = new Context();
    this.#context.addEventListener("statechange", () => this.#settle());
    // A browser lets a page sound after the first click or key on it: any will do.
    for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => this.allow(), { passive: true });
  }

  // none, blocked, muted or on.
  get state() {
    if (!this.#context) return "none";
    if (this.#context.state !== "running") return "blocked";
    return this.mutedMs > 0 ? "muted" : "on";
  }

  get mutedMs() {
    return Math.max(0, this.#mutedUntil - performance.now());
  }

  // What sounds at this moment: waiting, urgent, lost or nothing.
  get playing() {
    return this.state === "on" ? this.#playing : "";
  }

  // waiting, urgent, lost, or "" for silence.
  want(pattern) {
    this.#wanted = pattern;
    this.#settle();
  }

  allow() {
    if (this.#context && this.#context.state !== "running") this.#context.resume().catch(() => {});
  }

  mute(on = this.mutedMs === 0) {
    this.#mutedUntil = on ? performance.now() + MUTE_MS : 0;
    this.#settle();
  }

  #settle() {
    const pattern = this.mutedMs > 0 ? "" : this.#wanted;
    if (this.#context && pattern !== this.#playing) {
      this.#source?.stop();
      this.#source = pattern ? this.#loop(pattern) : null;
      this.#playing = pattern;
    }
    this.#changed();
  }

  // One buffer with its pause in it, looped: no timer that a page in the background would lose.
  #loop(pattern) {
    const [every, tones] = PATTERNS[pattern];
    const rate = this.#context.sampleRate;
    const buffer = this.#context.createBuffer(1, Math.round(every * rate), rate);
    const samples = buffer.getChannelData(0);
    for (const [start, length, hertz] of tones) {
      const from = Math.round(start * rate);
      const count = Math.round(length * rate);
      for (let i = 0; i < count; i++) {
        const edge = Math.min(1, i / (0.01 * rate), (count - i) / (0.01 * rate)); // without clicks
        samples[from + i] = 0.4 * edge * Math.sin((2 * Math.PI * hertz * i) / rate);
      }
    }
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.loop = true;
    source.connect(this.#context.destination);
    source.start();
    return source;
  }
}
