// How far the watched job is: the bar, its text, the title, and what is said aloud at each quarter.
import { byId, say } from "./dom.js";
import * as jobs from "./jobs.js";
import { howLong, isActive, seconds } from "./words.js";

let spoken = "";

/**
 * @param {object | null} job as far as it is known
 * @param {import("./live.js").Live} live
 */
export function show(job, live) {
  const count = job?.numImages ?? 1;
  const { step = 0, steps = job?.steps ?? 0 } = live.progress || {};
  const share = Math.round(100 * live.share(count));
  const left = live.left(count) ?? (job?.eta ? seconds(job.eta.likely) : null);
  const parts = [];
  const position = live.position ?? (job?.state === "JOB_STATE_QUEUED" ? job.position ?? 0 : null);
  if (!live.progress && position) parts.push(`${position} before it in the queue`);
  else if (!live.progress) parts.push(jobs.all().filter(isActive).length > 1 ? "It takes turns with other drawings" : "It begins");
  else parts.push(`Step ${step} of ${steps}`);
  if (count > 1 && live.progress) parts.push(`picture ${live.index + 1} of ${count}`);
  if (live.progress && step === steps && live.index === count - 1) parts.push("it is developed");
  else if (left !== null) parts.push(`about ${howLong(Math.max(left, 0.1))} left`);
  byId("progress-text").textContent = parts.join(" · ");
  byId("bar").setAttribute("aria-valuenow", String(share));
  byId("bar").setAttribute("aria-valuetext", parts.join(", "));
  byId("bar").firstElementChild.style.width = `${share}%`;
  byId("finish").disabled = !live.progress;
  document.title = live.progress ? `${share} % – Safelight` : "… – Safelight";
  const quarter = `${live.id} ${live.index}/${Math.floor((4 * step) / (steps || 1))}`;
  if (live.progress && quarter !== spoken) { spoken = quarter; say(parts.join(", ")); }
}
