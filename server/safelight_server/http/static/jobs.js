// The jobs of this store as the page knows them: the list is asked for again and again, the newest first.
import * as api from "./api.js";
import { byId, tell } from "./dom.js";
import { isActive } from "./words.js";

const BUSY = 1500; // milliseconds between two looks while something is drawn
const IDLE = 5000;
const HIDDEN = 15000;

const known = new Map();
let next = "";
let state = "";
let paged = false; // whether older pages were asked for
let timer;
const listeners = [];
const toldAt = new Map(); // when an answer told of a job: a list that was asked for before that may not have it

export const onChange = (listener) => listeners.push(listener);
const changed = () => listeners.forEach((listener) => listener());

/** The newest first. */
export const all = () => [...known.values()].sort((a, b) => (a.createTime < b.createTime ? 1 : -1));
export const find = (id) => known.get(id);
export const hasMore = () => Boolean(next);

/** A list tells no checkpoints and no time to wait; what was told before is kept. */
function set(job) {
  const { checkpoints, eta } = known.get(job.id) || {};
  known.set(job.id, { ...(checkpoints && { checkpoints }), ...(eta && isActive(job) && { eta }), ...job });
}

/** Takes a job as an answer told it. */
export function update(job) {
  toldAt.set(job.id, performance.now());
  set(job);
  changed();
}

export function forget(id) {
  known.delete(id);
  changed();
}

/** The newest page. What is not on it any more, though it should be, was removed by somebody else. */
export async function refresh() {
  const asked = state;
  const began = performance.now();
  const page = await api.list({ state });
  if (asked !== state) return;
  const ids = new Set(page.jobs.map((job) => job.id));
  const oldest = page.next ? page.jobs.at(-1)?.createTime : "";
  for (const job of all()) if (!ids.has(job.id) && job.createTime > oldest && !(toldAt.get(job.id) > began)) known.delete(job.id);
  page.jobs.forEach(set);
  if (!paged) next = page.next;
  changed();
}

export async function more() {
  if (!next) return;
  const page = await api.list({ state, token: next });
  paged = true;
  next = page.next;
  page.jobs.forEach(set);
  changed();
}

/** Only jobs in this state from now on; "" is all. */
export async function only(wanted) {
  state = wanted;
  paged = false;
  known.clear();
  await refresh();
}

/** Looks again and again, and at once when the page is seen again. */
export function poll() {
  const look = async () => {
    clearTimeout(timer);
    try {
      await refresh();
      tell(byId("lost"), "");
    } catch (error) {
      if (error.reason !== "LOADING") tell(byId("lost"), `${error.message} It is tried again.`);
    }
    const pause = document.hidden ? HIDDEN : all().some(isActive) ? BUSY : IDLE;
    clearTimeout(timer);
    timer = setTimeout(look, pause);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  return look();
}
