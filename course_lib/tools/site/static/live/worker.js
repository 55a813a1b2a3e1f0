// The networks run here, so that the page itself never waits. In: requests { type: "draw", … }, { type: "point", x, y } and
// { type: "grid", points }; of each type the newest one wins. Out: { type: "loaded", bytes }, { type: "ready", facts }, { type: "failed", message }, and pictures.

import { gaussian, load, pixels } from "./models.js";

const asked = { draw: null, point: null, grid: null };
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
  try {
    while (asked.draw || asked.point || asked.grid) await (asked.point ? point() : asked.draw ? draw() : grid());
  } catch (error) {
    fail(error);
  }
  working = false;
}

function fail(error) {
  postMessage({ type: "failed", message: error.message });
}

// A guided walk, each step of it as it goes; then the same noise without guidance.
async function draw() {
  const { id, labels, negative, scale, steps, seed } = taken("draw");
  const noise = gaussian(seed, models.size), began = performance.now();
  for await (const { step, x, x0 } of models.walk({ noise, labels: [labels], negative, scale, steps })) {
    const images = await models.decode(x0 ? Float32Array.of(...x, ...x0) : x);
    const shown = { x: pixels(images), x0: x0 ? pixels(images, 1) : null };
    postMessage({ type: "step", id, step, steps, ...shown, milliseconds: performance.now() - began });
    if (await overtaken()) return;
  }
  let unguided;
  for await (const { x } of models.walk({ noise, labels: [labels], scale: 1, steps })) {
    if (await overtaken()) return;
    unguided = x;
  }
  postMessage({ type: "unguided", id, x: pixels(await models.decode(unguided)) });
}

async function point() {
  const { x, y } = taken("point");
  postMessage({ type: "point", x: pixels(await models.decodePoints([[x, y]])) });
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
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });
  if (asked.point) await point();
  return asked.draw !== null;
}
