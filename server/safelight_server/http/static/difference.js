// How far two pictures are apart, of 255, and where.
const LOUDER = 4; // times, in the picture of the differences

function pixelsOf(bitmap) {
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  return pen.getImageData(0, 0, bitmap.width, bitmap.height);
}

/**
 * @param {ImageBitmap} a
 * @param {ImageBitmap} b
 * @param {HTMLCanvasElement} place is drawn the difference on
 * @returns {{mean: number, max: number} | null} over all pixels and colours; null if the sizes differ
 */
export function difference(a, b, place) {
  if (a.width !== b.width || a.height !== b.height) return null;
  const [one, two] = [pixelsOf(a).data, pixelsOf(b).data];
  const shown = new ImageData(a.width, a.height);
  let sum = 0;
  let max = 0;
  for (let at = 0; at < one.length; at += 4) {
    for (let colour = at; colour < at + 3; colour += 1) {
      const apart = Math.abs(one[colour] - two[colour]);
      sum += apart;
      if (apart > max) max = apart;
      shown.data[colour] = Math.min(255, apart * LOUDER);
    }
    shown.data[at + 3] = 255;
  }
  place.width = a.width;
  place.height = a.height;
  place.getContext("2d").putImageData(shown, 0, 0);
  return { mean: sum / (a.width * a.height * 3), max };
}
