// One job's events as they come: attached, taken up again after a break, and closed at the end.
import { eventsUrl } from "./api.js";

const NAMES = ["queued", "started", "progress", "preview", "image", "rested", "resumed", "done", "failed"];
const LASTING = new Set(["started", "image", "rested", "resumed", "done"]); // stored by the server under their numbers
const LONGEST_WAIT = 8000;

/**
 * Watches a job, from its first event. A page has one stream at a time: a browser gives a host six connections in all.
 * @param {string} job
 * @param {(name: string, event: object) => void} hear
 * @param {(connected: boolean) => void} link told when the line breaks, and when it is back
 * @returns {() => void} stops watching
 */
export function watch(job, hear, link = () => {}) {
  let after = 0;
  let wait = 500;
  let stream;
  let timer;
  let over = false;

  const stop = () => {
    over = true;
    clearTimeout(timer);
    stream?.close();
  };

  const take = (name, message) => {
    if (over) return;
    wait = 500;
    if (name === "preview" && !performance.getEntriesByName("first-preview").length) performance.mark("first-preview");
    const number = Number(message.lastEventId || 0);
    if (LASTING.has(name) && number > after) after = number;
    if (name === "done" || name === "failed") stop();
    hear(name, JSON.parse(message.data || "{}"));
  };

  const connect = () => {
    const early = takeEarly(job);
    stream = early ? early.stream : new EventSource(eventsUrl(job, after));
    stream.onopen = () => link(true);
    for (const name of NAMES) stream.addEventListener(name, (message) => take(name, message));
    stream.onerror = () => {
      stream.close(); // its own reconnecting would begin at the old number
      if (over) return;
      link(false);
      timer = setTimeout(connect, wait);
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
    if (early) queueMicrotask(() => { for (const [name, message] of early.heard.splice(0)) take(name, message); early.heard = null; });
  };

  connect();
  return stop;
}

/** The stream that early.js opened, for whoever asks first for the same job. */
function takeEarly(job) {
  const early = globalThis.safelightEarly;
  globalThis.safelightEarly = undefined;
  if (early && (early.job !== job || early.broke)) early.stream.close();
  return early && early.job === job && !early.broke ? early : null;
}

/**
 * All that is stored of a job that has ended, at once: [[name, event], …].
 * @param {string} job
 */
export async function story(job) {
  const answer = await fetch(eventsUrl(job, 0).replace("every_steps=1", "every_steps=0"));
  if (!answer.ok) return [];
  const told = [];
  for (const block of (await answer.text()).split("\n\n")) {
    const lines = Object.fromEntries(block.split("\n").filter((line) => line.includes(": ")).map((line) => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    }));
    if (lines.event && lines.data) told.push([lines.event, JSON.parse(lines.data)]);
  }
  return told;
}
