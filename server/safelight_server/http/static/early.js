// Asks for the events of the picture in the address before any module is there, so that a reload shows it at once.
// No module, for those come later; events.js takes over what was heard.
(() => {
  const [, job] = location.hash.match(/^#([\w-]+)/) || [];
  if (!job) return;
  const stream = new EventSource(`api/jobs/${job}/events?after=0&every_steps=1&max_edge=512`);
  const early = { job, stream, heard: [], broke: false };
  const names = ["queued", "started", "progress", "preview", "image", "rested", "resumed", "done", "failed"];
  for (const name of names) stream.addEventListener(name, (message) => early.heard?.push([name, message]));
  stream.addEventListener("preview", (message) => {
    const picture = document.getElementById("picture");
    if (!early.heard || !picture) return;
    picture.src = `data:image/jpeg;base64,${JSON.parse(message.data).data}`;
    picture.hidden = false;
    document.getElementById("empty").hidden = true;
    performance.mark("first-preview");
  });
  stream.onerror = () => { early.broke = true; stream.close(); };
  globalThis.safelightEarly = early;
})();
