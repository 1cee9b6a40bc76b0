// How figures and states are said.

const LONG = { JOB_STATE_QUEUED: "waits", JOB_STATE_RUNNING: "is drawn", JOB_STATE_RESTING: "rests",
  JOB_STATE_SUCCEEDED: "finished", JOB_STATE_CANCELLED: "cancelled", JOB_STATE_FAILED: "failed" };

export const stateName = (state) => LONG[state] || "unknown";
export const isActive = (job) => job.state === "JOB_STATE_QUEUED" || job.state === "JOB_STATE_RUNNING";
export const hasEnded = (job) => Boolean(job) && !isActive(job);

/** The request of a job, whichever it is. */
export const requestOf = (job) => job.generate || job.refine || {};
export const methodOf = (job) => (job.refine ? "refine" : "generate");

/** ProtoJSON's "1.5s" to 1.5. */
export const seconds = (duration) => (duration ? Number.parseFloat(duration) : 0);

/** 0.42 s, 7.3 s, 48 s, 3 min 20 s. */
export function howLong(time) {
  if (time < 1) return `${time.toFixed(2)} s`;
  if (time < 10) return `${time.toFixed(1)} s`;
  const whole = Math.round(time);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "Today", "Yesterday", "Monday, 3 March". */
export function dayOf(time, now = new Date()) {
  const date = new Date(time);
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** The seed of one of a job's pictures. */
export const seedOf = (job, index) => ((requestOf(job).seed ?? 0) + index) % 2 ** 32;

/** "3 pictures", "1 picture". */
export const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
