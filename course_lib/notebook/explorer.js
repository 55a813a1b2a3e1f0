// Sliders and pads over one sheet of frames: no kernel, no library. The contract is anywidget's: render({ model, el }).
// The model's values: alt; frames (a data URI: all frames in rows of `columns`, each width x height pixels, the last axis fastest),
// scale (screen pixels for a pixel), shown (a frame's width in CSS pixels), captions; axes: [{ name, values, start }];
// and for a pad: map (a data URI of its background), side (its size in CSS pixels).

function render({ model, el }) {
  const axes = model.get("axes"), captions = model.get("captions"), map = model.get("map");
  const [width, height, scale, shown] = ["width", "height", "scale", "shown"].map((key) => model.get(key));
  const at = axes.map((axis) => axis.start);
  const root = add(el, "div", { className: "course-explorer" });
  root.dataset.lmSuppressShortcuts = "true"; // in JupyterLab the arrow keys would move between cells
  root.style.cssText = "display:flex;flex-wrap:wrap;gap:4px 20px;align-items:flex-start;max-width:100%";

  const controls = add(root, "div");
  controls.style.cssText = map ? "" : "flex-basis:100%";
  const inputs = map ? [] : axes.map((axis, i) => slider(controls, axis, at[i], (value) => move(i, value)));
  const pad = map && makePad(controls);

  const view = add(root, "div");
  const picture = add(view, "canvas", { width: width * scale, height: height * scale, className: "course-frame" });
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", model.get("alt"));
  picture.style.cssText = `width:${shown}px;max-width:100%;background:#fff;display:block`;
  const caption = add(view, "div", { className: "course-caption" });
  caption.setAttribute("aria-live", "polite");
  caption.style.cssText = `max-width:${Math.max(shown, 420)}px;padding-top:4px`;

  const sheet = new Image();
  sheet.onload = show;
  sheet.src = model.get("frames");

  function move(i, value) {
    at[i] = Math.max(0, Math.min(axes[i].values.length - 1, value));
    show();
  }

  function show() {
    const frame = axes.reduce((index, axis, i) => index * axis.values.length + at[i], 0);
    const columns = model.get("columns"), brush = picture.getContext("2d");
    brush.imageSmoothingEnabled = false;
    brush.drawImage(sheet, (frame % columns) * width, Math.floor(frame / columns) * height, width, height,
                    0, 0, picture.width, picture.height);
    picture.dataset.frame = frame;
    caption.textContent = captions[frame] || axes.map((axis, i) => `${axis.name} ${axis.values[at[i]]}`).join(", ");
    inputs.forEach((input, i) => input.update(at[i]));
    if (pad) pad.update();
  }

  function slider(parent, axis, start, moved) {
    const label = add(parent, "label");
    label.style.cssText = "display:flex;gap:8px;align-items:center;padding:2px 0";
    add(label, "span", { textContent: axis.name, className: "course-label" }).style.minWidth = "7em";
    const input = add(label, "input", { type: "range", min: 0, max: axis.values.length - 1, step: 1, value: start });
    input.style.width = "min(320px, 50vw)";
    const readout = add(label, "output", { className: "course-readout" });
    input.addEventListener("input", () => moved(Number(input.value)));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity };
    input.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault(); // JupyterLab does so for the arrow keys: the input itself would not move
      moved(Number(input.value) + steps[event.key]);
    });
    return {
      update(value) {
        input.value = value;
        readout.textContent = axis.values[value];
        input.setAttribute("aria-valuetext", axis.values[value]);
      },
    };
  }

  function makePad(parent) {
    const side = model.get("side"), [x, y] = axes.map((axis) => axis.values.length - 1);
    const field = add(parent, "div", { tabIndex: 0, className: "course-pad" });
    field.style.cssText = `position:relative;width:${side}px;height:${side}px;max-width:100%;cursor:crosshair;` +
                          "touch-action:none;user-select:none";
    field.setAttribute("role", "application");
    field.setAttribute("aria-label", `${model.get("alt")} Move with the arrow keys, or drag.`);
    const background = add(field, "img", { src: map, alt: "", draggable: false });
    background.style.cssText = "width:100%;height:100%;display:block;pointer-events:none";
    const dot = add(field, "div", { className: "course-dot" });
    dot.style.cssText = "position:absolute;width:14px;height:14px;margin:-9px 0 0 -9px;border:2px solid #000;border-radius:50%;" +
                        "box-shadow:0 0 0 2px #fff;pointer-events:none";
    const follow = (event) => {
      const box = field.getBoundingClientRect();
      at[0] = clamp(Math.round(((event.clientX - box.left) / box.width) * x), x);
      at[1] = clamp(Math.round((1 - (event.clientY - box.top) / box.height) * y), y);
      show();
    };
    field.addEventListener("pointerdown", (event) => {
      field.setPointerCapture(event.pointerId);
      field.focus();
      follow(event);
    });
    field.addEventListener("pointermove", (event) => event.buttons && follow(event));
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };
    field.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      move(steps[event.key][0], at[steps[event.key][0]] + steps[event.key][1]);
    });
    return {
      update() {
        dot.style.left = `${(100 * at[0]) / x}%`;
        dot.style.top = `${100 - (100 * at[1]) / y}%`;
      },
    };
  }
}

function clamp(value, last) {
  return Math.max(0, Math.min(last, value));
}

function add(parent, tag, properties = {}) {
  const child = Object.assign(document.createElement(tag), properties);
  parent.append(child);
  return child;
}

export default { render };
