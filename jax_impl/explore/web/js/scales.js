/* Axes: where a number stands, and the texts beside it. 0 and numbers above the range have places of their own. */

/** Return the vertical axis for these values: {domain, ticks, texts, zones, place}. `place` is null for no value. */
function verticalAxis(kind, values, high, title) {
  const finite = values.filter((value) => Number.isFinite(value));
  const largest = Math.max(0, ...finite);
  const logarithmic = kind === "log" || (kind === "loss" && (largest > 10 || values.includes(Infinity)));
  const axis = logarithmic ? logAxis(values, high) : linearAxis(kind === "share" ? 1 : largest || 1, kind === "share");
  return { ...axis, title };
}

/** Return an axis from 0 to the largest value, or to 100 %. */
function linearAxis(largest, share) {
  const step = share ? 0.25 : niceStep(largest / 4);
  const top = share ? 1 : Math.ceil(largest / step) * step;
  const ticks = range(Math.round(top / step) + 1).map((place) => place * step);
  const text = (value) => (share ? percent(value, 0) : number(value));
  const place = (value) => (Number.isNaN(value) ? null : Math.min(value, top));
  return { domain: [-0.03 * top, 1.05 * top], ticks, texts: named(ticks, text), zones: [], place };
}

/** Return an axis of decades. A band below holds what is exactly 0, a band above what is above the range. */
function logAxis(values, high) {
  const logs = values.filter((value) => value > 0 && value < Infinity).map(Math.log10);
  let low = logs.length ? Math.floor(Math.min(...logs) + 0.02) : -1;
  let top = logs.length ? Math.ceil(Math.max(...logs) - 0.02) : 0;
  if (top - low < 2) [low, top] = [low - (top === low), low + 1 + (top > low)];
  if (values.includes(Infinity)) top = Math.floor(Math.log10(high));
  const step = niceStep((top - low) / 5, true);
  low = Math.floor(low / step) * step;
  if (!values.includes(Infinity)) top = Math.ceil(top / step) * step;
  const ticks = range(Math.floor((top - low) / step + 1e-9) + 1).map((place) => low + place * step);
  const texts = named(ticks, (exponent) => decade(exponent));
  const gap = 0.14 * (top - low);
  const axis = { domain: [low - 0.03 * (top - low), top + 0.03 * (top - low)], ticks, texts, zones: [] };
  const [zero, above] = [low - gap, top + gap];
  const band = (at, text) => {
    axis.zones.push({ from: at - 0.45 * gap, to: at + 0.45 * gap });
    axis.ticks.push(at);
    axis.texts[at] = text;
    axis.domain = [Math.min(axis.domain[0], at - 0.45 * gap), Math.max(axis.domain[1], at + 0.45 * gap)];
  };
  if (values.includes(0)) band(zero, "0");
  if (values.includes(Infinity)) band(above, `> ${number(high)}`);
  const place = (value) => {
    if (Number.isNaN(value)) return null;
    return value === 0 ? zero : value === Infinity ? above : Math.log10(value);
  };
  return { ...axis, place };
}

/** Return 1, 2 or 5 times a power of ten, not below a number; with `whole`, at least 1. */
function niceStep(least, whole = false) {
  const power = 10 ** Math.floor(Math.log10(least || 1));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least * 0.999);
  return whole ? Math.max(1, Math.round(step)) : step;
}

/** Return a power of ten as the axis shows it: 1, 10, 0.01, 1e-10. */
function decade(exponent) {
  return exponent >= -3 && exponent <= 4 ? number(10 ** exponent) : `1e${exponent}`;
}

/** Return the horizontal axis of a chart: layers, steps, widths or numbers of labels. */
function horizontalAxis(kind, values, title) {
  const [first, last] = [Math.min(...values), Math.max(...values)];
  if (kind === "layer") {
    const step = Math.max(1, niceStep(last / 12, true));
    const ticks = [...new Set([1, ...range(Math.floor(last / step) + 1).map((place) => place * step)])];
    const shown = ticks.filter((tick) => tick > 0 && (tick === 1 || tick - 1 > step / 2));
    return { domain: [0.5, last + 0.5], ticks: shown, texts: named(shown, String), title };
  }
  if (kind === "step" || kind === "epoch") {
    const step = niceStep(last / 5);
    const ticks = range(Math.floor(last / step + 1e-9) + 1).map((place) => place * step);
    return { domain: [-0.02 * last, last * 1.02], ticks, texts: named(ticks, number), title };
  }
  const places = [...new Set(values)].sort((one, other) => one - other); // logarithms of numbers, named by them
  const room = 0.06 * (last - first || 1);
  const text = (place) => number(Math.round(kind === "log10" ? 10 ** place : 2 ** place));
  return { domain: [first - room, last + room], ticks: places, texts: named(places, text), title };
}

/** Return {value: text} for the values of an axis. */
function named(values, text) {
  return Object.fromEntries(values.map((value) => [value, text(value)]));
}

/** Return 0, 1, … below a number. */
function range(length) {
  return Array.from({ length }, (_, place) => place);
}
