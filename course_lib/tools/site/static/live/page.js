// The page "Draw your own teddies": its controls, and the pictures that the worker sends.

import { CaptionError, labels, parse, write } from "./captions.js";

const root = document.querySelector("#course-live"), MEGABYTE = 1e6, SIZE = 64, GRID = 13;
const GROUPS = { count: "Number", fur: "Fur", scarf: "Scarf", activity: "Doing", background: "Where" };
const stopped = location.protocol === "file:" && "This page needs a web server: run python3 -m http.server -b 127.0.0.1 -d build/site, and open what it names.";

if (stopped) root.prepend(add("p", { className: "course-note", role: "alert", textContent: stopped }));
else start();

function start() {
  const status = add("p", { className: "live-status", role: "status", textContent: "Loading the networks …" });
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  let loaded = 0, receive = null;
  root.replaceChildren(status);
  worker.onerror = () => (status.textContent = "The networks could not be started: this browser may be too old.");
  worker.onmessage = ({ data }) => {
    if (data.type === "loaded") status.textContent = `Loading the networks: ${((loaded += data.bytes) / MEGABYTE).toFixed(1)} MB …`;
    else if (data.type === "failed") status.textContent = `Something went wrong: ${data.message}.`;
    else if (data.type === "ready") receive = build(worker, data.facts, status);
    else receive(data);
  };
}

function build(worker, facts, status) {
  const lexicon = facts.captions;
  const above = add("div", { className: "live-form" }), form = add("div", { className: "live-form" });
  const view = add("div", { className: "live-view" });
  const prompt = text(above, "Caption", "two pink teddy bears with a green scarf reading on a meadow");
  const chips = Object.entries(GROUPS).map(([factor, name]) => group(form, factor, name));
  const negative = text(form, "Negative caption", "");
  const scale = slider(form, "Guidance scale", { min: 1, max: 8, step: 0.5, value: 3 }, (value) => (value === 1 ? "1, no guidance" : `${value}`));
  const steps = slider(form, "Steps", { min: 1, max: Object.keys(facts.levels).length, step: 1, value: 8 }, String);
  const seed = number(form, "Noise number", 1);
  const again = add("button", { type: "button", className: "live-button", textContent: "New noise" });
  seed.after(again);

  const guided = picture(view, "With guidance"), unguided = picture(view, "Without, from the same noise");
  const strip = add("div", { className: "live-strip", tabIndex: 0, role: "img" });
  const explained = add("p", { className: "live-small", textContent: "Each step: above the noisy latent, below the estimate of the clean image, both decoded." });
  const map = pad(worker, facts.extent);
  root.replaceChildren(above, view, strip, explained, status, form, map.section);

  let id = 0, thumbs = [];
  function draw() {
    let named, unwanted;
    try {
      [named, unwanted] = [parse(prompt.value, lexicon), parse(negative.value, lexicon)];
    } catch (error) {
      if (!(error instanceof CaptionError)) throw error;
      status.textContent = error.message;
      status.classList.add("live-wrong");
      return;
    }
    status.classList.remove("live-wrong");
    for (const { factor, buttons } of chips) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(named[factor] === button.dataset.value));
    }
    const settings = { scale: Number(scale.value), steps: Number(steps.value), seed: Math.abs(Math.trunc(Number(seed.value))) || 0 };
    const row = (some) => labels(some, lexicon, facts.null);
    worker.postMessage({ type: "draw", id: ++id, labels: row(named), negative: row(unwanted), ...settings });
    root.dataset.drawing = id;
  }

  for (const input of [prompt, negative, scale, steps, seed]) input.addEventListener("input", draw);
  again.addEventListener("click", () => {
    seed.value = (Number(seed.value) || 0) + 1;
    draw();
  });
  draw();

  return (message) => {
    if (message.type === "point") return map.show(message.x);
    if (message.type === "grid") return map.fill(message.images);
    if (message.id !== id) return;
    if (message.type === "unguided") {
      paint(unguided, message.x);
      root.dataset.drawn = id;
      return;
    }
    if (message.step === 0) strip.replaceChildren(...(thumbs = Array.from({ length: message.steps }, thumb)).flatMap((one) => one.box));
    const last = message.step === message.steps;
    paint(guided, last ? message.x : message.x0);
    if (!last) {
      paint(thumbs[message.step].above, message.x);
      paint(thumbs[message.step].below, message.x0);
      return;
    }
    const wanted = prompt.value.trim() || "teddies";
    guided.setAttribute("aria-label", `${wanted}, drawn with guidance scale ${scale.value}`);
    unguided.setAttribute("aria-label", `${wanted}, drawn from the same noise without guidance`);
    strip.setAttribute("aria-label", `${message.steps} steps from noise to ${wanted}`);
    root.dataset.milliseconds = message.milliseconds;
    status.textContent = `${message.steps} steps in ${Math.round(message.milliseconds)} ms, in this page: no server computes.`;
  };

  function group(parent, factor, name) {
    const box = add("div", { className: "live-chips", role: "group" });
    box.setAttribute("aria-label", name);
    const buttons = lexicon.values[factor].map((value) => {
      const button = add("button", { type: "button", textContent: value });
      button.dataset.value = value;
      button.addEventListener("click", () => toggle(factor, value));
      return button;
    });
    box.append(...buttons);
    const field = add("div", { className: "live-field" });
    field.append(add("span", { className: "live-label", textContent: name }), box);
    parent.append(field);
    return { factor, buttons };
  }

  // A chip puts its word into the caption, or takes it out.
  function toggle(factor, value) {
    let named = {};
    try {
      named = parse(prompt.value, lexicon);
    } catch (error) {
      if (!(error instanceof CaptionError)) throw error; // a caption that cannot be read is begun anew
    }
    if (named[factor] === value) delete named[factor];
    else named[factor] = value;
    prompt.value = write(named, lexicon);
    draw();
  }
}

// The map of chapter 3's VAE: what its decoder draws at each point of its two dimensions.
function pad(worker, extent) {
  const section = add("div", { className: "live-map" }), row = add("div", { className: "live-row" });
  const field = add("div", { className: "live-pad", tabIndex: 0, role: "application" }), dot = add("div", { className: "live-dot" });
  const background = add("canvas", { width: GRID * 32, height: GRID * 32 }), where = add("p", { className: "live-small" });
  const canvas = add("canvas", { width: 32, height: 32, className: "live-picture", role: "img" });
  const at = [0, 0];
  field.setAttribute("aria-label", "A point of the latent space of two dimensions. Move with the arrow keys, or drag.");
  background.setAttribute("aria-hidden", "true");
  where.setAttribute("aria-live", "polite");
  const shares = "Drag the point: the decoder of chapter 3's VAE draws what lies there. The circles hold 39 % and 86 % of the prior.";
  field.append(background, dot);
  row.append(field, canvas);
  section.append(add("h2", { textContent: "A latent space of two dimensions" }), add("p", { textContent: shares }), row, where);
  for (const radius of [1, 2]) {
    const circle = add("div", { className: "live-circle" }), share = (100 * radius) / extent;
    circle.style.cssText = `width:${share}%;height:${share}%;left:${50 - share / 2}%;top:${50 - share / 2}%`;
    field.append(circle);
  }
  const move = (x, y) => {
    at[0] = Math.max(-extent, Math.min(extent, x));
    at[1] = Math.max(-extent, Math.min(extent, y));
    dot.style.left = `${50 + (50 * at[0]) / extent}%`;
    dot.style.top = `${50 - (50 * at[1]) / extent}%`;
    where.textContent = `z = (${at[0].toFixed(1)}, ${at[1].toFixed(1)})`;
    worker.postMessage({ type: "point", x: at[0], y: at[1] });
  };
  const follow = (event) => {
    const box = field.getBoundingClientRect();
    move(extent * ((2 * (event.clientX - box.left)) / box.width - 1), extent * (1 - (2 * (event.clientY - box.top)) / box.height));
  };
  field.addEventListener("pointerdown", (event) => {
    field.setPointerCapture(event.pointerId);
    follow(event);
  });
  field.addEventListener("pointermove", (event) => event.buttons && follow(event));
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  field.addEventListener("keydown", (event) => {
    if (!(event.key in arrows)) return;
    event.preventDefault();
    move(at[0] + 0.2 * arrows[event.key][0], at[1] + 0.2 * arrows[event.key][1]);
  });
  worker.postMessage({ type: "grid", points: cells(extent) });
  move(0, 0);
  return {
    section,
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

function labelled(parent, name, input) {
  const label = add("label", { className: "live-field" });
  label.append(add("span", { className: "live-label", textContent: name }), input);
  parent.append(label);
  return input;
}

function text(parent, name, value) {
  return labelled(parent, name, add("input", { type: "text", value, autocomplete: "off", spellcheck: false }));
}

function number(parent, name, value) {
  return labelled(parent, name, add("input", { type: "number", min: 0, max: 2 ** 31, step: 1, value }));
}

function slider(parent, name, limits, say) {
  const input = labelled(parent, name, add("input", { type: "range", ...limits })), readout = add("output");
  const update = () => {
    readout.textContent = say(Number(input.value));
    input.setAttribute("aria-valuetext", readout.textContent);
  };
  input.after(readout);
  input.addEventListener("input", update);
  update();
  return input;
}

function picture(parent, name) {
  const figure = add("figure"), canvas = add("canvas", { width: SIZE, height: SIZE, className: "live-picture", role: "img" });
  canvas.setAttribute("aria-label", name);
  figure.append(canvas, add("figcaption", { textContent: name }));
  parent.append(figure);
  return canvas;
}

function thumb() {
  const [above, below] = [0, 1].map(() => add("canvas", { width: SIZE, height: SIZE })), box = add("div");
  box.append(above, below);
  return { box, above, below };
}

function paint(canvas, image) {
  canvas.getContext("2d").putImageData(image, 0, 0);
}
