// The networks run here, so that the page itself never waits. In: requests { type: "draw", … }, { type: "point", x, y } and
// { type: "grid", points }; of each type the newest one wins. Out: { type: "loaded", bytes }, { type: "ready", facts },
// { type: "failed", message }, and images.

import { gaussian, load, pixels } from "./models.js";

const asked = { draw: null, point: null, grid: null }, channel = new MessageChannel();
let models = null, working = false;

self.onmessage = ({ data }) => {
  asked[data.type] = data;
  work();
};

load((bytes) => postMessage({ type: "loaded", bytes })).then((loaded) => {
  models = loaded;
  postMessage({ type: "ready", facts: models.facts });
  work();
}, fail);

async function work() {
  if (working || !models) return;
  working = true;
  while (asked.draw || asked.point || asked.grid) await (asked.point ? point() : asked.draw ? draw() : grid()).catch(fail);
  working = false;
}

function fail(error) {
  postMessage({ type: "failed", message: String(error?.message ?? error) });
}

// `count` guided walks, each step of them as it goes; then the same noise without guidance.
async function draw() {
  const { id, count, labels, negative, scale, steps, seed } = taken("draw");
  const noise = gaussian(seed, count * models.size), rows = Array.from({ length: count }, () => labels), began = performance.now();
  let unguided = null;
  for await (const { step, x, x0 } of models.walk({ noise, labels: rows, negative, scale, steps })) {
    const found = await images(x0 ? Float32Array.of(...x0, ...x.subarray(0, models.size)) : x), noisy = x0 ? found.pop() : null;
    postMessage({ type: "step", id, step, steps, images: found, noisy, milliseconds: performance.now() - began });
    if (scale === 1 && !x0) unguided = found; // it was not guided
    if (await overtaken()) return;
  }
  if (!unguided) {
    let last;
    for await (const { x } of models.walk({ noise, labels: rows, scale: 1, steps })) {
      last = x;
      if (await overtaken()) return;
    }
    unguided = await images(last);
  }
  postMessage({ type: "unguided", id, images: unguided });
}

async function images(latents) {
  const found = await models.decode(latents);
  return Array.from({ length: found.dims[0] }, (_, i) => pixels(found, i));
}

async function point() {
  const { x, y } = taken("point");
  postMessage({ type: "point", image: pixels(await models.decodePoints([[x, y]])) });
}

async function grid() {
  const { points } = taken("grid"), images = await models.decodePoints(points);
  postMessage({ type: "grid", images: points.map((_, i) => pixels(images, i)) });
}

function taken(type) {
  const request = asked[type];
  asked[type] = null;
  return request;
}

// Whether a newer drawing is asked for. Messages are let in, and a point of the map need not wait for the drawing's end.
async function overtaken() {
  await new Promise((resolve) => {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });
  if (asked.point) await point();
  return asked.draw !== null;
}
