// The gateway's one stream of server-sent events, read by fetch: EventSource can't send a key.

import { headers } from "./api.js";

const SILENCE_MS = 8000; // a snapshot comes every second, a comment at least every five
const WAITS_MS = [500, 1000, 2000, 5000];

/** Listens for ever. `on.hello(data)`, `on.snapshot(data)`, `on.lost(status, detail)`: 0 where nobody answers. */
export class Stream {
  constructor(on) {
    this.on = on;
    this.failures = 0;
    this.wake = () => {};
  }

  async run() {
    for (;;) {
      const status = await this.listen();
      const refused = status.code === 401 || status.code === 403;
      this.on.lost(status.code, status.detail);
      await this.pause(refused ? 30_000 : WAITS_MS[Math.min(this.failures++, WAITS_MS.length - 1)]);
    }
  }

  /** Try again at once: another key was given. */
  again() {
    this.failures = 0;
    this.abort?.abort();
    this.wake();
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  async listen() {
    const abort = this.abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const answer = await fetch("console/stream", { headers: headers(), signal: abort.signal, cache: "no-store" });
      if (!answer.ok) return { code: answer.status, detail: (await answer.json().catch(() => ({}))).detail };
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return { code: 0 };
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        rest = this.take(rest + value);
        this.failures = 0;
      }
    } catch {
      return { code: 0 };
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  /** Hands over the whole events of a text; what is left is the beginning of the next. */
  take(text) {
    const parts = text.split("\n\n");
    const rest = parts.pop();
    for (const part of parts) {
      const event = /^event: (.*)$/m.exec(part)?.[1];
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (event === "hello" || event === "snapshot") this.on[event](JSON.parse(data));
    }
    return rest;
  }
}
