// How a picture was drawn, as a line of short facts.
import { make } from "./dom.js";
import * as models from "./models.js";
import { clock, howLong, isActive, requestOf, seconds, seedOf, stateName } from "./words.js";

/**
 * @param {object} job
 * @param {import("./live.js").Live} [live] its events, if they were heard
 * @returns {[string, string][]} name and text
 */
export function of(job, live, index) {
  const asked = requestOf(job);
  const image = live?.images.get(index);
  const precision = image?.receipt?.models?.[0]?.precision || models.named(asked.model)?.precision;
  const list = [
    ["model", precision ? `${asked.model}, ${precision}` : asked.model],
    ["size", `${asked.width} × ${asked.height}`],
    ["steps", asked.steps],
    ["guidance", asked.guidanceScale ?? 0],
    ["seed", image?.seed ?? seedOf(job, index)],
    ["scheduler", asked.scheduler],
  ];
  if (asked.refiner) list.push(["refiner", `${asked.refiner.model} after ${Math.round(100 * (asked.refiner.handoff ?? 0.8))} %`]);
  if (asked.strength !== undefined) list.push(["strength", `${Math.round(asked.strength * 100)} %`]);
  const fast = asked.acceleration;
  if (fast?.deepCacheInterval > 1) list.push(["DeepCache", `every ${fast.deepCacheInterval}`]);
  if (fast?.guidanceUntil !== undefined) list.push(["guided", `${Math.round(100 * fast.guidanceUntil)} %`]);
  if (fast?.tinyDecoder) list.push(["decoder", "tiny"]);
  const early = image?.finishedEarlyAtStep;
  if (early !== undefined) list.push(["finished early", `at step ${early}`]);
  if (job.forkedFrom) list.push(["forked from", image?.receipt?.forkedFrom || job.forkedFrom]);
  const rest = live?.rested.get(index);
  if (rest) list.push(["rests", `after step ${rest.step}: a fork goes on`]);
  const time = timeOf(job, live);
  if (time !== null) list.push(["time", howLong(time) + (job.numImages > 1 ? ` for ${job.numImages} pictures` : "")]);
  list.push([isActive(job) ? "asked" : stateName(job.state), clock(job.endTime || job.createTime)]);
  return list.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => [name, String(value)]);
}

/** Seconds of a job that has ended, without the queue; null for others. */
export function timeOf(job, live) {
  if (live?.timings?.total) return Math.max(0, seconds(live.timings.total) - seconds(live.timings.queued));
  if (isActive(job) || !job.endTime || job.state !== "JOB_STATE_SUCCEEDED") return null;
  return (Date.parse(job.endTime) - Date.parse(job.createTime)) / 1000;
}

/** Fills the list, and leaves it alone if nothing changed. */
export function show(place, job, live, index) {
  const list = of(job, live, index);
  const text = JSON.stringify(list);
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.replaceChildren(...list.map(([name, value]) => make("li", {}, make("span", {}, name), ` ${value}`)));
}
