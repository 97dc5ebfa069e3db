"""A browser's navigator.serial, on top of pyserial: a page's port is any URL that pyserial opens."""

from __future__ import annotations

import base64
from typing import Any

import serial
from playwright.sync_api import BrowserContext

# Web Serial (W3C) as a page sees it; bytes go through functions that Python gives the page.
SCRIPT = """
(() => {
  // The way to a simulated board is longer than a wire, most of all on a busy machine: waits of up to half a
  // second, which are those for a chip's answer, are as much longer.
  const wait = window.setTimeout;
  window.setTimeout = (what, ms, ...more) => wait(what, ms >= 20 && ms <= 500 ? ms * 8 : ms, ...more);
  const text = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  class Port extends EventTarget {
    readable = null;
    writable = null;
    getInfo() { return { usbVendorId: 0x10c4, usbProductId: 0xea60 }; }
    async open({ baudRate }) {
      if (this.readable) throw new DOMException("The port is already open.", "InvalidStateError");
      await serialOpen(baudRate);
      this.opened = true;
      this.listen();
      this.writable = new WritableStream({ write: (chunk) => serialWrite(text(chunk)) });
    }
    listen() {
      let live = true;
      this.readable = new ReadableStream({
        pull: async (stream) => {
          while (live) {
            const data = await serialRead();
            if (data) return stream.enqueue(bytes(data));
            await new Promise((done) => setTimeout(done, 3));
          }
        },
        cancel: () => { live = false; if (this.opened) this.listen(); },
      });
    }
    async close() {
      if (this.readable.locked || this.writable.locked) throw new TypeError("Cannot close a locked port");
      this.opened = false;
      await this.readable.cancel();
      this.readable = this.writable = null;
      await serialClose();
    }
    async setSignals(signals) { await serialSignals(signals); }
    async getSignals() { return {}; }
    async forget() {}
  }
  const port = new Port();
  Object.defineProperty(navigator, "serial", { value: Object.assign(new EventTarget(), {
    requestPort: async () => port,
    getPorts: async () => [port],
  }) });
})();
"""


class WebSerial:
    """Gives the pages of a context one port; close() lets go of it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._url = url
        self._port: serial.SerialBase | None = None
        self.opened = 0
        for name in ("open", "read", "write", "signals", "close"):
            context.expose_function(f"serial{name.capitalize()}", getattr(self, name))
        context.add_init_script(SCRIPT)

    def open(self, baud: int) -> None:
        """A page opens the port; its lines stay at rest."""
        self.opened += 1
        self._port = serial.serial_for_url(self._url, do_not_open=True)
        self._port.baudrate, self._port.timeout = baud, 1
        self._port.dtr = self._port.rts = False
        self._port.open()

    def read(self) -> str:
        """What came, in base64; empty for nothing."""
        waiting = self._port.in_waiting if self._port else 0
        return base64.b64encode(self._port.read(waiting)).decode() if self._port and waiting else ""

    def write(self, data: str) -> None:
        """Base64, out."""
        assert self._port is not None
        self._port.write(base64.b64decode(data))

    def signals(self, wanted: dict[str, Any]) -> None:
        """DTR and RTS."""
        assert self._port is not None
        if "dataTerminalReady" in wanted:
            self._port.dtr = wanted["dataTerminalReady"]
        if "requestToSend" in wanted:
            self._port.rts = wanted["requestToSend"]

    def close(self) -> None:
        """The page, or the test, lets go."""
        if self._port:
            self._port.close()
            self._port = None
