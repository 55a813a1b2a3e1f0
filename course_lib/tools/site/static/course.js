// Predictions on a page without a kernel: what the reader enters is shown next to the measurement, as `guess.compare` prints it.

for (const line of document.querySelectorAll(".course-measured")) {
  const field = document.querySelector(`.course-guess[data-guess="${line.dataset.of}"] :is(input, select)`);
  const show = () => (line.lastElementChild.textContent = sentence(field.value.trim(), field, line.dataset.value));
  if (field) field.addEventListener("input", show);
}

function sentence(guessed, field, measured) {
  if (!guessed) return `measured: ${measured}`;
  if (field.tagName === "SELECT") return `you guessed: ${guessed}; measured: ${measured}${guessed === measured ? " ✓" : ""}`;
  const number = Number(guessed.replaceAll(",", ""));
  if (guessed.toLowerCase() === measured.toLowerCase()) return `you guessed: ${guessed}; measured: ${measured} ✓`;
  if (Number.isNaN(number)) return `you guessed: ${guessed}; measured: ${measured}`;
  return `you guessed: ${`${number.toLocaleString("en", { maximumSignificantDigits: 4 })} ${field.dataset.unit}`.trim()}; measured: ${measured}`;
}

// On the start page the slider moves once by itself, in less than five seconds, unless the reader moves it or wants no motion.

const slider = document.querySelector(".course-hero input[type=range]");
if (slider && matchMedia("(prefers-reduced-motion: no-preference)").matches) {
  const caption = document.querySelector(".course-hero .course-caption");
  caption.setAttribute("aria-live", "off"); // what moves by itself is not read aloud
  const stop = () => (clearInterval(timer), caption.setAttribute("aria-live", "polite"));
  const timer = setInterval(() => {
    if (slider.value === slider.max) return stop();
    slider.value = Number(slider.value) + 1;
    slider.dispatchEvent(new Event("input"));
  }, 190);
  for (const event of ["pointerdown", "keydown"]) slider.addEventListener(event, stop, { once: true });
}
