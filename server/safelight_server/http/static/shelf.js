// Keeps the pictures and masks that jobs started from, in this browser: the server does not give them back.
const MOST = 60; // jobs

/** @returns {Promise<IDBDatabase>} */
function database() {
  return new Promise((done, fail) => {
    const asked = indexedDB.open("safelight", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("sources", { keyPath: "job" });
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error);
  });
}

function settled(request) {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

/**
 * @param {string} job
 * @param {{image: Blob, mask?: Blob}} files
 */
export async function put(job, files) {
  try {
    const store = (await database()).transaction("sources", "readwrite").objectStore("sources");
    await settled(store.put({ job, time: Date.now(), ...files }));
    const all = await settled(store.getAll());
    all.sort((a, b) => b.time - a.time);
    for (const old of all.slice(MOST)) store.delete(old.job);
  } catch { /* private mode: the picture must be chosen again */ }
}

/** @returns {Promise<{image: Blob, mask?: Blob} | null>} */
export async function get(job) {
  try {
    const store = (await database()).transaction("sources").objectStore("sources");
    return (await settled(store.get(job))) || null;
  } catch {
    return null;
  }
}
