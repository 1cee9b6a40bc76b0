// The contact sheet: every picture of this store by day, the newest first; arrow keys walk through it.
import { imageUrl } from "./api.js";
import { byId, calm, make } from "./dom.js";
import * as jobs from "./jobs.js";
import { clock, dayOf, isActive, requestOf, seedOf, stateName } from "./words.js";

const tiles = new Map(); // by "job/index"
let shown = ""; // the order that is on the page
let selected = "";
let choose = () => {};

/** `onChoose` gets the job's id and the picture's index. */
export function start(onChoose) {
  choose = onChoose;
  jobs.onChange(render);
  byId("more").addEventListener("click", () => jobs.more());
  byId("find").addEventListener("input", calm(150, search));
  byId("state").addEventListener("change", () => jobs.only(byId("state").value));
  byId("sheet").addEventListener("keydown", walk);
}

export function select(id, index) {
  if (selected === `${id}/${index}`) return;
  selected = `${id}/${index}`;
  for (const [key, tile] of tiles) mark(key, tile);
}

/** A search goes through older pages, too. */
async function search() {
  render();
  for (let page = 0; byId("find").value && jobs.hasMore() && page < 20; page += 1) await jobs.more();
}

function matches(job) {
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const asked = requestOf(job);
  const text = `${asked.prompt} ${asked.model} ${asked.seed} ${asked.scheduler} ${stateName(job.state)} ${job.id}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** One tile for each finished picture; one for a job that has none. */
function entries() {
  const list = [];
  for (const job of jobs.all().filter(matches)) {
    const done = job.state === "JOB_STATE_RESTING" ? job.numImages ?? 1 : job.imagesDone ?? 0;
    const count = isActive(job) ? Math.min(done + 1, job.numImages ?? 1) : Math.max(1, done);
    for (let index = 0; index < count; index += 1) list.push({ job, index, done: index < done });
  }
  return list;
}

function render() {
  const list = entries();
  const order = list.map(({ job, index }) => `${job.id}/${index}`).join();
  for (const entry of list) update(entry);
  byId("no-jobs").hidden = list.length > 0 || Boolean(byId("find").value);
  byId("more").hidden = !jobs.hasMore();
  if (order === shown) return;
  shown = order;
  const focused = document.activeElement;
  const days = new Map();
  for (const { job, index } of list) {
    const day = dayOf(job.createTime);
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(tiles.get(`${job.id}/${index}`));
  }
  byId("sheet").replaceChildren(...[...days].flatMap(([day, some]) => [make("h3", {}, day), make("div", { className: "grid" }, ...some)]));
  const present = new Set(order.split(","));
  for (const key of tiles.keys()) if (!present.has(key)) tiles.delete(key);
  if (tiles.size && ![...tiles.values()].some((tile) => tile.tabIndex === 0)) tiles.values().next().value.tabIndex = 0;
  if (focused?.classList.contains("tile") && focused.isConnected) focused.focus({ preventScroll: true });
}

function update({ job, index, done }) {
  const key = `${job.id}/${index}`;
  let tile = tiles.get(key);
  if (!tile) {
    tile = make("button", { type: "button", className: "tile", tabIndex: -1, onclick: () => choose(job.id, index) },
      make("img", { alt: "", loading: "lazy", decoding: "async" }), make("span", { className: "state" }));
    tile.onfocus = () => {
      for (const other of tiles.values()) other.tabIndex = -1;
      tile.tabIndex = 0;
    };
    tiles.set(key, tile);
    mark(key, tile);
  }
  const [image, label] = tile.children;
  if (done && !image.getAttribute("src")) image.src = imageUrl(job.id, index);
  image.hidden = !done;
  const active = !done && isActive(job);
  tile.classList.toggle("active", active);
  const text = done ? "" : active && job.state === "JOB_STATE_RUNNING" ? `${job.step ?? 0} / ${job.steps ?? "…"}` : stateName(job.state);
  if (label.textContent !== text) label.textContent = text;
  label.hidden = !text;
  const asked = requestOf(job);
  const name = `${asked.prompt || "no words"}, ${asked.model}, seed ${seedOf(job, index)}, ${text || stateName(job.state)}, ${clock(job.createTime)}`;
  if (tile.title !== name) { tile.title = name; tile.setAttribute("aria-label", name); }
}

function mark(key, tile) {
  if (key === selected) tile.setAttribute("aria-current", "true");
  else tile.removeAttribute("aria-current");
}

function walk(event) {
  const list = [...byId("sheet").querySelectorAll(".tile")];
  const at = list.indexOf(document.activeElement);
  if (at < 0) return;
  const here = list[at].getBoundingClientRect();
  const row = (below) => {
    const far = list.filter((tile) => {
      const box = tile.getBoundingClientRect();
      return (below ? box.top > here.top + 1 : box.top < here.top - 1) && Math.abs(box.left - here.left) < box.width;
    });
    return below ? far[0] : far.at(-1);
  };
  const targets = { ArrowRight: list[at + 1], ArrowLeft: list[at - 1], ArrowDown: row(true), ArrowUp: row(false), Home: list[0], End: list.at(-1) };
  if (!(event.key in targets)) return;
  event.preventDefault();
  targets[event.key]?.focus();
}
