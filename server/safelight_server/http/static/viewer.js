// The tray: one job's picture as it comes up, what can be done with it, and how it was drawn.
import * as api from "./api.js";
import { byId, make, tell } from "./dom.js";
import { watch } from "./events.js";
import * as facts from "./facts.js";
import * as jobs from "./jobs.js";
import { Live } from "./live.js";
import * as progress from "./progress.js";
import { hasEnded, isActive, methodOf, requestOf } from "./words.js";

let job = null;
let live = null;
let index = 0;
let follows = true; // the picture that is being drawn, rather than one that was chosen
let stop = () => {};
let onEnd = () => {};
let onShow = () => {};

export const current = () => ({ job, index, live });

/** `ended` is told of each job that comes to its end while it is watched, `shown` which picture is in the tray. */
export function start(ended, shown) {
  onEnd = ended;
  onShow = shown;
  byId("cancel").addEventListener("click", cancel);
  byId("finish").addEventListener("click", finish);
  setInterval(() => { // before its first step, no event tells how long it waits
    if (isRunning() && !live.progress && !document.hidden) lookUp(live.id);
  }, 2500);
  jobs.onChange(() => {
    const newer = job && jobs.find(job.id);
    if (newer && newer !== job) { job = newer; show(); }
  });
  document.addEventListener("visibilitychange", () => {
    if (!live || live.over) return show();
    stop(); // a browser gives six connections to all tabs together
    if (!document.hidden) attach();
    return show();
  });
}

/** Shows a job's picture, and watches the job if it is not over. */
export function open(id, wanted = null) {
  const same = live?.id === id;
  follows = wanted === null;
  index = wanted ?? (same ? index : 0);
  history.replaceState(null, "", `#${id}${wanted === null ? "" : `/${wanted}`}`);
  if (!same) {
    stop();
    job = jobs.find(id) || null;
    live = new Live(id);
    live.preview = keptPreview(id);
    attach();
    lookUp(id);
  }
  show();
}

/** A reload shows at once what this tab saw last: the next step may take long. */
addEventListener("pagehide", () => {
  try {
    if (isRunning() && live.preview) sessionStorage.setItem("safelight.preview", JSON.stringify({ id: live.id, preview: live.preview }));
  } catch { /* it may be too large: the next step brings another */ }
});

function keptPreview(id) {
  try {
    const kept = JSON.parse(sessionStorage.getItem("safelight.preview"));
    return kept?.id === id ? kept.preview : null;
  } catch {
    return null;
  }
}

/** The empty tray. */
export function close() {
  stop();
  job = null;
  live = null;
  history.replaceState(null, "", location.pathname);
  show();
}

async function lookUp(id) {
  try {
    const found = await api.getJob(id);
    jobs.update(found);
    if (live?.id === id) { job = found; show(); }
  } catch (error) {
    if (error.status === 404 && live?.id === id) { jobs.forget(id); close(); }
  }
}

function attach() {
  const mine = live;
  stop = watch(live.id, (name, event) => {
    if (live !== mine) return;
    live.hear(name, event);
    if (name === "started") lookUp(live.id);
    if (live.over) {
      lookUp(live.id).then(() => { if (live === mine) onEnd(job, live); });
    }
    show();
  }, (connected) => {
    if (live !== mine) return;
    if (!connected && !hasEnded(job)) lookUp(live.id);
    if (!connected && hasEnded(job)) { stop(); live.over = true; }
    show(connected ? "" : "The line to the server broke; it is tried again.");
  });
}

async function act(doing) {
  try {
    jobs.update(await doing(job.id));
  } catch (error) {
    tell(byId("trouble"), error.message);
  }
}

export const isRunning = () =>
  Boolean(live) && !live.over && (job ? isActive(job) : Boolean(live.progress || live.preview || live.position !== null));
export function cancel() { if (job && isRunning()) act(api.cancel); }
export function finish() { if (job && isRunning()) act(api.finish); }

/** The picture's file in an <img>: finished, resting, or as it is guessed to be. */
function sourceOf(at) {
  if (live.images.has(at)) return api.imageUrl(live.id, at);
  if (live.rested.has(at)) return `data:image/jpeg;base64,${live.rested.get(at).data}`;
  if (live.preview && (live.preview.imageIndex ?? 0) === at) return `data:image/jpeg;base64,${live.preview.data}`;
  return at < (job?.imagesDone ?? 0) ? api.imageUrl(live.id, at) : "";
}

function show(trouble = null) {
  const running = isRunning();
  document.body.classList.toggle("drawing", running);
  byId("running").hidden = !running;
  byId("empty").hidden = Boolean(live);
  for (const id of ["caption", "facts", "tools"]) byId(id).hidden = !live || !job;
  if (!live) {
    byId("picture").hidden = true;
    byId("strip").hidden = true;
    tell(byId("trouble"), "");
    document.title = "Safelight";
    return;
  }
  if (follows && running) index = live.index;
  onShow(live.id, index);
  showPicture(sourceOf(index));
  showStrip();
  if (running) progress.show(job, live);
  else document.title = document.hidden ? "Done – Safelight" : "Safelight";
  const failure = job?.failure || (live.failure?.code === "CANCELLED" ? { message: "Cancelled." } : live.failure);
  const warnings = [...new Set([...(job?.warnings || []), ...(live.started?.warnings || []), live.warning])].filter(Boolean);
  const cancelled = job?.state === "JOB_STATE_CANCELLED" ? "Cancelled." : "";
  tell(byId("trouble"), trouble || failure?.message || cancelled || warnings.join(" "));
  if (job) showJob(running);
}

function showPicture(source) {
  const picture = byId("picture");
  if (source && picture.getAttribute("src") !== source) {
    picture.src = source;
    if (!performance.getEntriesByName("first-picture").length) performance.mark("first-picture");
  }
  picture.hidden = !source;
  picture.alt = job ? requestOf(job).prompt || "a picture" : "";
  picture.classList.toggle("guess", !live.images.has(index) && isRunning());
}

function showStrip() {
  const over = job && !isActive(job) && job.state !== "JOB_STATE_RESTING"; // what was not begun never comes
  const count = over ? job.imagesDone ?? 0 : job?.numImages ?? 1;
  const strip = byId("strip");
  strip.hidden = count < 2;
  if (strip.hidden) return;
  while (strip.children.length > count) strip.lastChild.remove();
  for (let at = 0; at < count; at += 1) {
    const button = strip.children[at] || strip.appendChild(make("button", { type: "button" }, make("img", { alt: "" })));
    const source = sourceOf(at);
    const image = button.firstChild;
    if (source && image.getAttribute("src") !== source) image.src = source;
    image.hidden = !source;
    button.disabled = !source;
    button.onclick = () => open(live.id, at);
    button.setAttribute("aria-label", `Picture ${at + 1} of ${count}`);
    button.setAttribute("aria-pressed", String(at === index));
  }
}

function showJob(running) {
  const asked = requestOf(job);
  byId("caption").textContent = asked.prompt || "(no words)";
  facts.show(byId("facts"), job, live, index);
  const done = live.images.has(index) || index < (job.imagesDone ?? 0);
  const kept = (job.checkpoints || []).some((each) => (each.imageIndex ?? 0) === index && each.steps?.length);
  byId("again").hidden = running;
  byId("fork").hidden = !kept;
  byId("hold").hidden = !done;
  byId("redraw").hidden = !done;
  byId("save").hidden = !done;
  byId("delete").hidden = running;
  if (done) {
    byId("save").href = api.imageUrl(job.id, index);
  }
  byId("again").title = methodOf(job) === "refine"
    ? "Puts this recipe and its picture into the form, and draws it" : "Puts this recipe into the form, and draws it";
}
