// One job as its events tell it: what is drawn, how far it is, how long it will take.
import { seconds } from "./words.js";

/** Collects a job's events. */
export class Live {
  constructor(id) {
    this.id = id;
    this.images = new Map(); // by index: the image events
    this.rested = new Map();
    this.started = null;
    this.position = null;
    this.progress = null;
    this.preview = null;
    this.timings = null;
    this.failure = null;
    this.warning = "";
    this.over = false;
    this.pace = null; // seconds a step, by the clock
    this.heard = null;
  }

  /** Takes an event. */
  hear(name, event) {
    switch (name) {
      case "queued": this.position = event.position ?? 0; break;
      case "started": this.started = event; this.position = null; break;
      case "resumed": this.warning = event.warning || ""; break;
      case "progress": this.#step(event); break;
      case "preview": this.preview = event; this.position = null; break;
      case "image": this.images.set(event.index ?? 0, event); break;
      case "rested": this.rested.set(event.imageIndex ?? 0, event); break;
      case "done": this.timings = event.timings || {}; this.over = true; break;
      case "failed": this.failure = event.error || event; this.over = true; break;
      default: break;
    }
  }

  #step(event) {
    const now = performance.now() / 1000;
    const own = seconds(event.stepTime);
    const took = this.heard === null ? own : Math.max(own, Math.min(now - this.heard, 20 * own));
    this.pace = this.pace === null ? took : 0.75 * this.pace + 0.25 * took;
    this.heard = now;
    this.progress = event;
    this.position = null;
  }

  /** The picture that is being drawn, from 0. */
  get index() {
    return this.progress?.imageIndex ?? this.preview?.imageIndex ?? 0;
  }

  /** 0 to 1, of all pictures of the job. */
  share(count) {
    if (!this.progress) return 0;
    const { step = 0, steps = 1 } = this.progress;
    return (this.index + step / steps) / Math.max(1, count);
  }

  /** Seconds to the end by the pace so far, or null. */
  left(count) {
    if (!this.progress || this.pace === null) return null;
    const { step = 0, steps = 0 } = this.progress;
    return this.pace * (steps - step + steps * Math.max(0, count - 1 - this.index));
  }
}
