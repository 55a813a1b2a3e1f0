// The networks in the page: onnxruntime-web on the files of `course export`. Images and latents are Float32Arrays, row by row.

const here = new URL(".", import.meta.url);
// What runs on a GPU runs on the processor, too, but is twice as large.
const RUNTIMES = {
  wasm: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz"],
  webgpu: ["ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm.gz"],
};

// device: "wasm" or "webgpu"; by default, where there is a GPU, the faster of both, and else "wasm".
export async function load(onProgress = () => {}, device = null) {
  const choices = device ? [device] : (await hasGpu()) ? ["webgpu", "wasm"] : ["wasm"];
  const [script, runtime] = RUNTIMES[choices[0]];
  const [ort, facts, wasm, ...files] = await Promise.all([
    import(new URL(script, here)),
    fetched("models.json").then((answer) => answer.json()),
    ...[runtime, "denoiser.onnx", "decoder.onnx", "map.onnx"].map((name) => bytes(name, onProgress)),
  ]);
  Object.assign(ort.env.wasm, { wasmBinary: wasm, numThreads: 1 });
  const made = (choice) => Models.on(choice, ort, facts, files);
  return choices.length > 1 ? better(() => made("webgpu"), () => made("wasm")) : made(choices[0]);
}

// The GPU's models where they work, are faster, and draw what the processor's draw; else the processor's.
export async function better(makeGpu, makeProcessor) {
  const processor = await makeProcessor(), known = await processor.trial();
  try {
    const gpu = await makeGpu(), { milliseconds, image } = await gpu.trial();
    if (milliseconds < known.milliseconds && image.every((value, i) => Math.abs(value - known.image[i]) < 0.05)) return gpu;
  } catch (error) {
    console.info(`The GPU is not used: ${error?.message ?? error}`);
  }
  return processor;
}

async function hasGpu() {
  const adapter = await globalThis.navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.info?.isFallbackAdapter;
}

async function fetched(name) {
  const answer = await fetch(new URL(name, here));
  if (!answer.ok) throw new Error(`${name} is missing (${answer.status} ${answer.statusText})`);
  return answer;
}

// A file of the site, unpacked where it is packed: a server may have unpacked it already.
async function bytes(name, onProgress) {
  const parts = [], reader = (await fetched(name)).body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    onProgress(part.value.length);
  }
  const blob = new Blob(parts), [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const packed = first === 0x1f && second === 0x8b;
  return new Response(packed ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob).arrayBuffer();
}

class Models {
  static async on(device, ort, facts, files) {
    const sessions = [];
    for (const file of files) sessions.push(await ort.InferenceSession.create(file, { executionProviders: [device] }));
    return new Models(ort, facts, device, ...sessions);
  }

  constructor(ort, facts, device, denoiser, decoder, map) {
    Object.assign(this, { ort, facts, device, denoiser, decoder, map });
    this.size = facts.shape.reduce((a, b) => a * b);
  }

  // The image of a guided walk of two steps, and how long it takes the second time, when all is compiled.
  async trial() {
    const { null: negative } = this.facts, labels = [negative.map(() => 0)];
    const asked = { noise: gaussian(0, this.size), labels, negative, scale: 2, steps: 2 };
    let began, last, image;
    for (let time = 0; time < 2; time++) {
      began = performance.now();
      for await (const { x } of this.walk(asked)) last = x;
      image = (await this.decode(last)).data;
    }
    return { milliseconds: performance.now() - began, image };
  }

  // Walk from noise to latents in `steps` steps of DPM-Solver++(2M), guided by `scale` away from the labels `negative`.
  // noise: of unit variance, [n, ...shape]; labels: n rows. Yields { step, x, x0 } before each step, and { step, x } at the end.
  async *walk({ noise, labels, negative, scale, steps }) {
    const estimates = [], levels = this.facts.levels[steps], coefficients = this.facts.coefficients[steps];
    let x = noise.map((value) => value * levels[0][2]);
    for (let step = 0; step < steps; step++) {
      const x0 = await this.guided(x, levels[step], labels, negative, scale);
      yield { step, x, x0 };
      estimates.push(x0);
      x = sum(coefficients[step], [noise, ...estimates]);
    }
    yield { step: steps, x };
  }

  // x0_hat under classifier-free guidance: both branches in one batch; one branch alone where the scale is 1.
  async guided(x, level, labels, negative, scale) {
    if (scale === 1) return this.estimate(x, level, labels);
    const both = new Float32Array(2 * x.length);
    both.set(x);
    both.set(x, x.length);
    const out = await this.estimate(both, level, [...labels, ...labels.map(() => negative)]);
    const towards = out.subarray(0, x.length), away = out.subarray(x.length);
    return towards.map((value, i) => away[i] + scale * (value - away[i]));
  }

  async estimate(x, [t, alpha, sigma], labels) {
    const { Tensor } = this.ort;
    const { out } = await this.denoiser.run({
      x_t: new Tensor("float32", x, [labels.length, ...this.facts.shape]),
      labels: new Tensor("int64", BigInt64Array.from(labels.flat(), BigInt), [labels.length, labels[0].length]),
      t: new Tensor("int64", BigInt64Array.of(BigInt(t)), []),
      alpha: new Tensor("float32", [alpha], []),
      sigma: new Tensor("float32", [sigma], []),
    });
    return out.data;
  }

  // Latents, one after another, to { data, dims }: images [n, 3, H, W] in [-1, 1].
  async decode(latents) {
    const input = new this.ort.Tensor("float32", latents, [latents.length / this.size, ...this.facts.shape]);
    return (await this.decoder.run({ latents: input })).out;
  }

  // Points [x, y] of chapter 3's map to { data, dims }: images [n, 1, H, W].
  async decodePoints(points) {
    return (await this.map.run({ latents: new this.ort.Tensor("float32", points.flat(), [points.length, 2, 1, 1]) })).out;
  }
}

function sum(factors, arrays) {
  const total = new Float32Array(arrays[0].length);
  arrays.forEach((array, k) => array.forEach((value, i) => (total[i] += factors[k] * value)));
  return total;
}

// Noise of unit variance from a seed: mulberry32, and pairs of Gaussians after Box and Muller.
export function gaussian(seed, n) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const noise = new Float32Array(n);
  for (let i = 0; i < n; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    noise[i] = radius * Math.cos(angle);
    if (i + 1 < n) noise[i + 1] = radius * Math.sin(angle);
  }
  return noise;
}

// An image of an answer { data, dims } as RGBA pixels.
export function pixels({ data, dims: [, channels, height, width] }, index = 0) {
  const area = height * width, image = new ImageData(width, height), start = index * channels * area;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 127.5 * (data[start + (channels === 3 ? c : 0) * area + i] + 1);
    image.data[4 * i + 3] = 255;
  }
  return image;
}
