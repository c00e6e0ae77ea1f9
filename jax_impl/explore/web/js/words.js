/* Texts in both languages, and numbers as texts. */

const DASH = "–";

/** Return the function that looks up a text by its key, as in "charts.loss.title", and fills in its {names}. */
function translator(texts) {
  return (key, values = {}) => {
    const found = key.split(".").reduce((level, name) => level?.[name], texts);
    if (typeof found !== "string") throw new Error(`no text ${key}`);
    return found.replace(/\{(\w+)\}/g, (_, name) => {
      if (!(name in values)) throw new Error(`no ${name} for the text ${key}`);
      return values[name];
    });
  };
}

/** Return a number with three digits: 0.0123, 12,345, 1.4e-10. */
function number(value, high = 1e24) {
  if (Number.isNaN(value)) return DASH;
  if (value === Infinity) return `> ${number(high)}`;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return short(value);
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 8 });
}

/** Return a number with at most two digits and an exponent: 1.4e-10, 1e24. */
function short(value) {
  return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
}

/** Return a loss with three decimals, or as any number if it is large. */
function lossText(value, high) {
  return value > 0 && value < 100 ? value.toFixed(3) : number(value, high);
}

/** Return a share as a percentage. */
function percent(value, digits = 1) {
  return Number.isNaN(value) ? DASH : `${(100 * value).toFixed(digits)} %`;
}

/** Return a learning rate or a gain as people write it. */
function plain(value) {
  return value >= 1e-3 ? String(value) : short(value);
}
