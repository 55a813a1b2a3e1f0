// Captions, read as course_lib.teddies.parse_caption reads them. lexicon: what course_lib.teddies.lexicon returns.

export class CaptionError extends Error {}

// {factor: value} of what a caption names. Throws CaptionError, with a sentence for the reader.
export function parse(caption, lexicon) {
  const found = {}, values = lexicon.values;
  const set = (name, value) => {
    if ((found[name] ??= value) !== value) {
      throw new CaptionError(`The caption gives ${name} two values, “${found[name]}” and “${value}”: name it once.`);
    }
  };
  let text = caption.toLowerCase().trim();
  const without = new RegExp(lexicon.noScarf, "g");
  if (without.test(text)) {
    found.scarf = "none";
    text = text.replace(without, " ");
  }
  const words = (text.match(/[\p{L}\p{N}_-]+(?:['’][\p{L}\p{N}_]+)*/gu) ?? []).map((word) => own(lexicon.spellings, word) ?? word);
  const isScarf = (word) => lexicon.scarf.includes(word);
  const isColour = (word) => values.fur.includes(word) || values.scarf.includes(word);
  let noun;
  words.forEach((word, i) => {
    if (lexicon.fillers.includes(word)) {
      if (isScarf(word) && ![...words.slice(Math.max(i - 1, 0), i), ...words.slice(i + 1, i + 3)].some(isColour)) {
        throw new CaptionError(`The scarf has no colour: write one of ${values.scarf.slice(1).join(", ")}, or “without a scarf”.`);
      }
      return;
    }
    const count = own(lexicon.nouns, word);
    if (count) {
      noun = word === "teddy" ? (noun ?? "one") : count;
      return;
    }
    for (const [name, known] of [["count", "numbers"], ["activity", "activities"], ["background", "backgrounds"]]) {
      const value = own(lexicon[known], word);
      if (value) return set(name, value);
    }
    if (!isColour(word) || word === "none") {
      throw new CaptionError(`“${word}” is not a word that this model knows. It knows: ${lexicon.vocabulary}.`);
    }
    const name = isNextToScarf(words, i, isScarf, isColour) ? "scarf" : "fur";
    if (!values[name].includes(word)) {
      const other = name === "scarf" ? "fur" : "scarf";
      throw new CaptionError(`“${word}” is a colour of the ${other}, not of the ${name}: the ${name} can be ${values[name].join(", ")}.`);
    }
    set(name, word);
  });
  if (noun) found.count ??= noun;
  return found;
}

function isNextToScarf(words, i, isScarf, isColour) {
  if (isScarf(words[i + 1])) return true;
  const before = words.slice(Math.max(i - 2, 0), i).filter((word) => !["is", "are", "in"].includes(word));
  if (!before.length || !isScarf(before.at(-1))) return false;
  const scarf = words.slice(0, i).findLastIndex(isScarf);
  return scarf === 0 || !isColour(words[scarf - 1]);
}

// The caption of {factor: value}, as course_lib.teddies.captions writes it.
export function write(named, lexicon) {
  const { count, fur, scarf, activity, background } = named;
  return [
    count, fur,
    count && (count === "two" ? "teddy bears" : "teddy bear"),
    scarf && (scarf === "none" ? "without a scarf" : `with a ${scarf} scarf`),
    activity,
    background && lexicon.locations[background],
  ].filter(Boolean).join(" ");
}

// The labels of a caption: one for each factor; the factor's null label where the caption leaves it out.
export function labels(named, lexicon, nullLabels) {
  return Object.entries(lexicon.values).map(([name, values], i) => (name in named ? values.indexOf(named[name]) : nullLabels[i]));
}

function own(table, word) {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}
