// Reads how a PNG was drawn: the request that Safelight wrote into its text `safelight`.
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const KEY = "safelight";
const LONGEST = 2 ** 20; // bytes of one text, unpacked

/**
 * The recipe in a file, or null: no PNG, or none of Safelight's.
 * @param {Blob} file
 * @returns {Promise<object | null>}
 */
export async function recipeIn(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!SIGNATURE.every((value, at) => bytes[at] === value)) return null;
  for (const { kind, data } of chunks(bytes)) {
    const text = kind === "iTXt" ? await international(data) : kind === "tEXt" ? latin(data) : null;
    if (!text) continue;
    try {
      const recipe = JSON.parse(text);
      if (recipe && typeof recipe === "object") return recipe;
    } catch { /* a text of that name that is not ours */ }
  }
  return null;
}

function* chunks(bytes) {
  const view = new DataView(bytes.buffer);
  let at = SIGNATURE.length;
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IEND" || at + 12 + length > bytes.length) return;
    yield { kind, data: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

const utf8 = (data) => new TextDecoder().decode(data);
const isOurs = (data, end) => end === KEY.length && utf8(data.subarray(0, end)) === KEY;

/** tEXt: the key, a zero, Latin-1. */
function latin(data) {
  const end = data.indexOf(0);
  return isOurs(data, end) ? new TextDecoder("latin1").decode(data.subarray(end + 1)) : null;
}

/** iTXt: the key, a zero, packed or not, the way, a language, a zero, the key again, a zero, UTF-8. */
async function international(data) {
  const end = data.indexOf(0);
  if (!isOurs(data, end)) return null;
  const packed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const translated = data.indexOf(0, language + 1);
  if (language < 0 || translated < 0) return null;
  const rest = data.subarray(translated + 1);
  return packed ? unpack(rest) : utf8(rest);
}

async function unpack(data) {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  for (let total = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return utf8(new Uint8Array(await new Blob(parts).arrayBuffer()));
    total += value.length;
    if (total > LONGEST) return null;
    parts.push(value);
  }
}
