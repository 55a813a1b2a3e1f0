// The page "Draw your own teddies": its controls, and the pictures that the worker sends.

import { CaptionError, labels, parse, write } from "./captions.js";

const root = document.querySelector("#course-live"), mapRoot = document.querySelector("#course-live-map");
const MEGABYTE = 1e6, SIZE = 64, GRID = 13, PAUSE = 300; // PAUSE: milliseconds after a key, before a caption is read
const GROUPS = { count: "Number", fur: "Fur", scarf: "Scarf", activity: "Doing", background: "Where" };

const status = add("p", { className: "live-status", role: "status", textContent: "Loading the networks …" });
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
let loaded = 0, receive = null;
root.append(status); // below the still, which stays until all is loaded
worker.onerror = (event) => giveUp(event.message ?? "its program did not load");
worker.onmessage = ({ data }) => {
  if (data.type === "loaded") status.textContent = `Loading the networks: ${((loaded += data.bytes) / MEGABYTE).toFixed(1)} MB …`;
  else if (data.type === "failed") giveUp(data.message);
  else if (data.type === "ready") receive = build(data.facts);
  else receive(data);
};

function giveUp(message) {
  if (!receive) worker.terminate(); // what is still being loaded would write over the reason
  status.textContent = `The networks cannot draw here: ${message}. Load the page again, or try another browser.`;
}

function build(facts) {
  const lexicon = facts.captions, nothing = facts.null;
  const prompt = text("Caption", facts.prompt), negative = text("Negative caption", "");
  const scale = slider("Guidance scale", { min: 1, max: 8, step: 0.5, value: 3 });
  const steps = slider("Steps", { min: 1, max: Object.keys(facts.levels).length, step: 1, value: 10 });
  // the noise of seed 9: the caption alone leaves the scarf out
  const seed = field("Noise (seed)", add("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, value: 9 }));
  const count = field("Pictures", add("select"));
  count.input.append(...[1, 4].map((n) => add("option", { value: n, textContent: n })));
  const again = add("button", { type: "button", className: "live-button", textContent: "New noise" });
  seed.box.append(again);
  const unguided = picture(), guided = picture();
  const strip = add("div", { className: "live-strip", tabIndex: 0, role: "img" });
  const chips = Object.entries(GROUPS).map(([factor, name]) => group(factor, name));

  root.replaceChildren(
    prompt.box, status,
    boxOf("live-view", unguided.figure, guided.figure),
    boxOf("live-form", scale.box, steps.box, seed.box, count.box),
    add("p", { className: "live-small", textContent: "From noise to picture, step by step. Above: the noisy latent, decoded. Below: the network's estimate of the clean image." }),
    strip,
    add("p", { className: "live-words", textContent: "It reads five things in a caption, and knows these words:" }),
    boxOf("live-form", ...chips.map((one) => one.box), negative.box),
  );
  const map = pad(facts.extent);

  let request = { id: 0 }, thumbs = [], waiting;

  function draw() {
    clearTimeout(waiting);
    forget();
    negative.input.disabled = Number(scale.input.value) === 1;
    scale.say(scale.input.value === "1" ? "1: no guidance" : scale.input.value);
    steps.say(steps.input.value);
    const [wanted, unwanted] = read([prompt, negative]);
    if (!wanted || !unwanted) return;
    for (const { factor, buttons } of chips) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(wanted[factor] === button.dataset.value));
    }
    request = { ...request, caption: prompt.input.value.trim() || "teddies", scale: Number(scale.input.value) };
    const numbers = { count: Number(count.input.value), scale: request.scale, steps: Number(steps.input.value), seed: integer(seed.input) };
    const row = (named) => labels(named, lexicon, nothing);
    worker.postMessage({ type: "draw", id: request.id, labels: row(wanted), negative: row(unwanted), ...numbers });
  }

  // What is being drawn now is shown no more.
  function forget() {
    request = { id: request.id + 1 };
    root.dataset.drawing = request.id;
  }

  // What each caption names; null, and a sentence about it, where it cannot be read.
  function read(captions) {
    const wrong = [];
    const found = captions.map(({ name, input }) => {
      let named = null;
      try {
        named = parse(input.value, lexicon);
      } catch (error) {
        if (!(error instanceof CaptionError)) throw error;
        wrong.push(`${name}: ${error.message}`);
      }
      input.setAttribute("aria-invalid", String(!named));
      return named;
    });
    if (wrong.length) status.textContent = wrong.join(" ");
    return found;
  }

  for (const { input } of [scale, steps, seed, count]) input.addEventListener("input", draw);
  for (const { input } of [prompt, negative]) {
    input.addEventListener("keydown", (event) => event.key === "Enter" && draw());
    input.addEventListener("input", () => {
      forget();
      clearTimeout(waiting);
      waiting = setTimeout(draw, PAUSE);
    });
  }
  again.addEventListener("click", () => {
    seed.input.value = integer(seed.input) + 1;
    draw();
  });
  draw();

  return (message) => {
    if (message.type === "point") return map.show(message.image);
    if (message.type === "grid") return map.fill(message.images);
    if (message.id !== request.id) return;
    const { caption, scale } = request;
    if (message.type === "unguided") {
      unguided.show(message.images, "Caption only (scale 1)", `${caption}, drawn without guidance`);
      root.dataset.drawn = request.id;
      return;
    }
    if (message.step === 0) {
      thumbs = Array.from({ length: message.steps }, (_, i) => thumb(i + 1));
      strip.replaceChildren(...thumbs.map((one) => one.box));
      strip.setAttribute("aria-label", `${plural(message.steps, "step")} from noise to ${caption}`);
    }
    guided.show(message.images, `Guided (scale ${scale})`, `${caption}, drawn with guidance scale ${scale}`);
    if (message.step < message.steps) {
      paint(thumbs[message.step].above, message.noisy);
      paint(thumbs[message.step].below, message.images[0]);
      return;
    }
    root.dataset.milliseconds = message.milliseconds;
    const calls = plural(message.steps * (scale === 1 ? 1 : 2), "evaluation"), time = Math.round(message.milliseconds);
    status.textContent = `${plural(message.steps, "step")}, ${calls} of the network and all images of the row: ${time} ms, in this page.`;
  };

  function group(factor, name) {
    const box = add("div", { className: "live-field" }), row = add("div", { className: "live-chips", role: "group" });
    row.setAttribute("aria-label", name);
    const buttons = lexicon.values[factor].map((value) => {
      const button = add("button", { type: "button", textContent: value });
      button.dataset.value = value;
      button.addEventListener("click", () => toggle(factor, value));
      return button;
    });
    row.append(...buttons);
    box.append(add("span", { className: "live-label", textContent: name }), row);
    return { factor, buttons, box };
  }

  // A chip puts its word into the caption, or takes it out; a caption that cannot be read is begun anew.
  function toggle(factor, value) {
    const named = read([prompt])[0] ?? {};
    if (named[factor] === value) delete named[factor];
    else named[factor] = value;
    prompt.input.value = write(named, lexicon);
    draw();
  }
}

// The map of chapter 3's VAE: what its decoder draws at each point of its two dimensions.
function pad(extent) {
  const area = add("div", { className: "live-pad", tabIndex: 0, role: "application" }), dot = add("div", { className: "live-dot" });
  const background = add("canvas", { width: GRID * 32, height: GRID * 32 }), where = add("p", { className: "live-small" });
  const canvas = add("canvas", { width: 32, height: 32, className: "live-picture", role: "img" });
  const at = [0, 0];
  area.setAttribute("aria-label", "A point of the latent space of two dimensions. Move with the arrow keys, or drag.");
  background.setAttribute("aria-hidden", "true");
  where.setAttribute("aria-live", "polite");
  area.append(background, dot);
  for (const radius of [1, 2]) {
    const circle = add("div", { className: "live-circle" }), share = (100 * radius) / extent;
    circle.style.cssText = `width:${share}%;height:${share}%;left:${50 - share / 2}%;top:${50 - share / 2}%`;
    area.append(circle);
  }
  mapRoot.replaceChildren(boxOf("live-row", area, canvas), where);
  const move = (x, y) => {
    at[0] = Math.max(-extent, Math.min(extent, x));
    at[1] = Math.max(-extent, Math.min(extent, y));
    dot.style.left = `${50 + (50 * at[0]) / extent}%`;
    dot.style.top = `${50 - (50 * at[1]) / extent}%`;
    where.textContent = `z = (${at[0].toFixed(1)}, ${at[1].toFixed(1)})`;
    worker.postMessage({ type: "point", x: at[0], y: at[1] });
  };
  const follow = (event) => {
    const box = area.getBoundingClientRect();
    move(extent * ((2 * (event.clientX - box.left)) / box.width - 1), extent * (1 - (2 * (event.clientY - box.top)) / box.height));
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    follow(event);
  });
  area.addEventListener("pointermove", (event) => event.buttons && follow(event));
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  area.addEventListener("keydown", (event) => {
    if (!(event.key in arrows)) return;
    event.preventDefault();
    move(at[0] + 0.2 * arrows[event.key][0], at[1] + 0.2 * arrows[event.key][1]);
  });
  worker.postMessage({ type: "grid", points: cells(extent) });
  move(0, 0);
  return {
    show(image) {
      canvas.setAttribute("aria-label", `what the decoder draws at ${where.textContent}`);
      paint(canvas, image);
    },
    fill(images) {
      images.forEach((image, i) => background.getContext("2d").putImageData(image, 32 * (i % GRID), 32 * Math.floor(i / GRID)));
    },
  };
}

// The middles of GRID × GRID squares, row by row from the upper left.
function cells(extent) {
  const middle = (i) => extent * ((2 * i + 1) / GRID - 1);
  return Array.from({ length: GRID ** 2 }, (_, i) => [middle(i % GRID), -middle(Math.floor(i / GRID))]);
}

function add(tag, properties = {}) {
  const { role, ...others } = properties, element = Object.assign(document.createElement(tag), others);
  if (role) element.setAttribute("role", role);
  return element;
}

function boxOf(className, ...children) {
  const box = add("div", { className });
  box.append(...children);
  return box;
}

function field(name, input) {
  input.id = `live-${name.toLowerCase().replaceAll(/\W+/g, "-")}`;
  const box = add("div", { className: "live-field" });
  box.append(add("label", { className: "live-label", textContent: name, htmlFor: input.id }), input);
  return { name, box, input };
}

function text(name, value) {
  return field(name, add("input", { type: "text", value, autocomplete: "off", spellcheck: false }));
}

function slider(name, limits) {
  const found = field(name, add("input", { type: "range", ...limits })), readout = add("span", { className: "live-readout" });
  readout.setAttribute("aria-hidden", "true");
  found.box.append(readout);
  found.say = (value) => {
    readout.textContent = value;
    found.input.setAttribute("aria-valuetext", value);
  };
  return found;
}

function picture() {
  const figure = add("figure"), canvas = add("canvas", { className: "live-picture", role: "img" }), caption = add("figcaption");
  figure.append(canvas, caption);
  return {
    figure,
    // One image, or four as a square.
    show(images, title, alt) {
      const side = Math.sqrt(images.length);
      if (canvas.width !== side * SIZE) canvas.width = canvas.height = side * SIZE;
      images.forEach((image, i) => canvas.getContext("2d").putImageData(image, SIZE * (i % side), SIZE * Math.floor(i / side)));
      caption.textContent = title;
      canvas.setAttribute("aria-label", alt);
    },
  };
}

function thumb(number) {
  const [above, below] = [0, 1].map(() => add("canvas", { width: SIZE, height: SIZE }));
  return { box: boxOf("live-thumb", above, below, add("span", { textContent: number })), above, below };
}

function paint(canvas, image) {
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function integer(input) {
  return Math.min(2 ** 32 - 1, Math.max(0, Math.trunc(Number(input.value)) || 0));
}

function plural(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
