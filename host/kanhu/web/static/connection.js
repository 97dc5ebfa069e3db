// The live state: one EventSource, watched. Says at once when it is lost, and comes back by itself.

import { serverNow, sync } from "./time.js";

const SILENT_MS = 15_000; // the server pings every 10 s
const AGAIN_MS = 2_000;
const LOGIN = "/desk/login";

// Calls state(state), lost(sinceMs) once per loss, back() on the first state after one.
export function connect({ state, lost, back }) {
  let source = null;
  let heardTick = performance.now();
  let heardMs = null; // server's time of the last message
  let isLost = false;
  let again = 0;

  function heard(nowMs) {
    sync(nowMs);
    heardTick = performance.now();
    heardMs = serverNow();
  }

  function lose() {
    if (isLost) return;
    isLost = true;
    lost(heardMs ?? serverNow());
  }

  async function restart() {
    clearTimeout(again);
    source?.close();
    source = null;
    lose();
    again = setTimeout(start, AGAIN_MS);
    try {
      const answer = await fetch("/desk/api/state", { signal: AbortSignal.timeout(AGAIN_MS) });
      if (answer.status === 401) signInAgain();
    } catch {
      // Not there: that is why we are here.
    }
  }

  function start() {
    clearTimeout(again);
    source?.close();
    heardTick = performance.now();
    source = new EventSource("/desk/api/events");
    source.addEventListener("state", (message) => {
      const fresh = JSON.parse(message.data);
      heard(fresh.now_ms);
      if (isLost) {
        isLost = false;
        back();
      }
      state(fresh);
    });
    source.addEventListener("ping", (message) => heard(pinged(message.data)));
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) restart();
      else lose();
    });
  }

  setInterval(() => {
    if (source && performance.now() - heardTick > SILENT_MS) restart();
  }, 1000);
  addEventListener("online", restart);
  start();
}

function pinged(data) {
  try {
    return JSON.parse(data).now_ms;
  } catch {
    return NaN;
  }
}

// The session is over: back to the log-in, and from there to here.
export function signInAgain() {
  location.assign(`${LOGIN}?error=session_over&next=${encodeURIComponent(location.pathname)}`);
}
