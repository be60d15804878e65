"use strict";

/** Which of nine places of a photo, row by row, has most of what speaks for a class. */
function hottest(cells) {
  let [all, across, down] = [0, 0, 0];
  cells.forEach((row, y) =>
    row.forEach((cell, x) => {
      const weight = Math.max(cell, 0) ** 2;
      all += weight;
      across += (weight * (x + 0.5)) / row.length;
      down += (weight * (y + 0.5)) / cells.length;
    }),
  );
  const third = (sum) => (all ? Math.min(Math.floor((3 * sum) / all), 2) : 1);
  return 3 * third(down) + third(across);
}

/** What speaks for a class in all, in logits; below 1, the colours are paler (`web/heat.py`). */
function speaking(cells) {
  const all = cells.flat();
  return all.reduce((sum, cell) => sum + Math.max(cell, 0), 0) / all.length;
}

/**
 * Draws a heat map on `canvas`, which gets the proportions of its photo of `width` x `height`:
 * `cells` (rows of numbers) smoothly over `area` (left, top, right, bottom), in the colours of
 * `scale`, and a shadow where the network saw nothing.
 */
function drawHeat(canvas, { cells, area }, { width, height }, scale) {
  const CELL = 24; // pixels: enough for what is smooth
  const MOST = 2048; // of a panorama

  const seen = area[2] - area[0];
  const zoom = Math.min((CELL * cells.length) / seen, MOST / Math.max(width, height));
  const side = Math.max(Math.round(seen * zoom), 1);
  canvas.width = Math.max(Math.round(width * zoom), side);
  canvas.height = Math.max(Math.round(height * zoom), side);

  /** What a cubic makes of `side` pixels out of a row of numbers. */
  function enlarged(row) {
    return Array.from({ length: side }, (_, pixel) => {
      const place = ((pixel + 0.5) * row.length) / side - 0.5;
      const first = Math.floor(place) - 1;
      let [sum, weights] = [0, 0];
      for (let at = Math.max(first, 0); at < Math.min(first + 4, row.length); at += 1) {
        const far = Math.abs(place - at);
        const weight =
          far < 1 ? (1.5 * far - 2.5) * far * far + 1 : ((2.5 - 0.5 * far) * far - 4) * far + 2;
        sum += weight * row[at];
        weights += weight;
      }
      return sum / weights;
    });
  }

  const turned = (rows) => rows[0].map((_, column) => rows.map((row) => row[column]));
  const heat = turned(turned(cells.map(enlarged)).map(enlarged)).flat();
  const end = Math.max(...cells.flat()) * Math.max(1, 1 / speaking(cells));
  const image = new ImageData(side, side);
  heat.forEach((warm, pixel) => {
    const share = end > 0 ? Math.min(Math.max(warm / end, 0), 1) : 0;
    const next = Math.max(scale.findIndex(([at]) => at >= share), 1);
    const [[from, ...low], [to, ...high]] = [scale[next - 1], scale[next]];
    const part = (share - from) / (to - from);
    const [red, green, blue, opacity] = low.map((one, i) => one + (high[i] - one) * part);
    image.data.set([red, green, blue, 255 * opacity], 4 * pixel);
  });

  const paint = canvas.getContext("2d");
  paint.fillStyle = "rgb(0 0 0 / 45%)";
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.putImageData(image, Math.round(area[0] * zoom), Math.round(area[1] * zoom));
}
