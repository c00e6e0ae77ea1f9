/* The settings that the visitor has chosen, and the link that stores them. */

const PARTS = ["init", "gain", "depth", "width", "activation", "optimizer", "rate"];
const FOLLOWED = ["first", "middle", "last", "output"]; // the layers of the coordinate check

/** Return the values that each part of a setting can have. The learning rates are those of an optimizer. */
function choices(axes, optimizer) {
  const optimizers = [...new Set(axes.rule.map(([name]) => name))];
  const rate = axes.rule.filter(([name]) => name === optimizer).map(([, value]) => value);
  return { ...axes, optimizer: optimizers, rate };
}

/** Return the setting nearest to the wanted one: numbers become the nearest, unknown names the first of the page. */
function nearest(axes, wanted) {
  const setting = {};
  for (const part of PARTS) {
    const values = choices(axes, setting.optimizer)[part];
    const number = typeof values[0] === "number" ? [wanted[part], FIRST[part]].find((value) => value > 0) : null;
    if (values.includes(wanted[part])) setting[part] = wanted[part];
    else if (number) setting[part] = closest(values, number);
    else setting[part] = values.includes(FIRST[part]) ? FIRST[part] : values[0];
  }
  if (axes.without_gain.includes(setting.init)) setting.gain = 1;
  return setting;
}

/** Return the value of a list whose ratio to a number is nearest to 1. */
function closest(values, wanted) {
  const distance = (value) => Math.abs(Math.log(value / wanted));
  return values.reduce((best, value) => (distance(value) < distance(best) ? value : best));
}

/** Return a setting with another value of one part. Another optimizer keeps the place of the rate among its rates. */
function changed(axes, setting, part, value) {
  const rates = (optimizer) => choices(axes, optimizer).rate;
  const rate = part === "optimizer" ? { rate: rates(value)[rates(setting.optimizer).indexOf(setting.rate)] } : {};
  return nearest(axes, { ...setting, ...rate, [part]: value });
}

/** The settings of a page without a link. */
const FIRST = {
  init: "xavier_normal",
  gain: 1,
  depth: 30,
  width: 128,
  activation: "relu",
  optimizer: "sgd",
  rate: 0.01,
};

/** Return the state that a link describes. What it lacks, or has wrong, has its first value. */
function stateFrom(hash, axes, language) {
  const stored = new URLSearchParams(hash.replace(/^#/, ""));
  const one = (text) => nearest(axes, { ...FIRST, ...parse(text) });
  return {
    a: one(stored.get("a") ?? ""),
    b: stored.get("b") ? one(stored.get("b")) : null,
    layer: FOLLOWED.includes(stored.get("layer")) ? stored.get("layer") : "last",
    language: ["en", "ko"].includes(stored.get("lang")) ? stored.get("lang") : language,
    theme: ["light", "dark"].includes(stored.get("theme")) ? stored.get("theme") : "auto",
    question: QUESTIONS.some(({ id }) => id === stored.get("question")) ? stored.get("question") : null,
  };
}

/** Return the parts of a setting as they stand in a link: kaiming_normal,1,30,128,relu,sgd,0.1. */
function parse(text) {
  const values = text.split(",");
  const known = PARTS.flatMap((part, place) => {
    const value = values[place];
    if (!value) return [];
    return [[part, Number.isNaN(Number(value)) ? value : Number(value)]];
  });
  return Object.fromEntries(known);
}

/** Return the link's part after #, with what differs from the first values. */
function hashOf(state) {
  const text = (setting) => PARTS.map((part) => setting[part]).join(",");
  const parts = [`a=${text(state.a)}`];
  if (state.b) parts.push(`b=${text(state.b)}`);
  if (state.layer !== "last") parts.push(`layer=${state.layer}`);
  if (state.question) parts.push(`question=${state.question}`);
  if (state.theme !== "auto") parts.push(`theme=${state.theme}`);
  parts.push(`lang=${state.language}`);
  return `#${parts.join("&")}`;
}

/** Return the settings on show, each with its letter. */
function shown(state) {
  return state.b
    ? [
        ["a", state.a],
        ["b", state.b],
      ]
    : [["a", state.a]];
}
