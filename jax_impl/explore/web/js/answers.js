/* The ready-made questions: each sets the settings, and has an answer with numbers from the measurements. */

/** Return the deep networks of the questions, with what is not said taken from here. */
function deep(changes) {
  return {
    init: "kaiming_normal",
    gain: 1,
    depth: 30,
    width: 128,
    activation: "relu",
    optimizer: "sgd",
    rate: 0.1,
    ...changes,
  };
}

const QUESTIONS = [
  { id: "zeros", charts: ["gradient", "update", "loss"], settings: zerosSettings, values: zerosValues },
  { id: "which", charts: ["map", "variance", "accuracy"], settings: whichSettings, values: whichValues },
  { id: "xavier", charts: ["variance", "update", "loss"], settings: xavierSettings, values: xavierValues },
  {
    id: "pretraining",
    charts: ["pretraining-labels", "pretraining-deep"],
    settings: deepSigmoid,
    values: pretrainingValues,
    published: "pretraining",
  },
  { id: "torch", charts: ["gradient", "rank", "accuracy"], settings: torchSettings, values: torchValues },
];

/** Return the sentence-ready numbers of one setting, with a prefix of their names. */
function facts(data, setting, prefix, t) {
  const verdict = verdictOf(data, setting);
  return {
    [`${prefix}_kind`]: t(`kinds.${verdict.kind}`),
    [`${prefix}_accuracy`]: percent(verdict.accuracy),
    [`${prefix}_rate`]: plain(setting.rate),
  };
}

/** Return the setting of a list of learning rates with the highest accuracy. */
function best(data, setting) {
  const of = (one) => finalAccuracy(data, one);
  const rates = choices(data.axes, setting.optimizer).rate;
  return rates
    .map((rate) => nearest(data.axes, { ...setting, rate }))
    .reduce((first, other) => (of(other) > of(first) || Number.isNaN(of(first)) ? other : first));
}

/** Return the factor per layer that takes the first of some layers' values to the last one. */
function factorPerLayer(data, field, setting) {
  const at = (place) => data.read(field, setting, place);
  return (at(setting.depth - 1) / at(0)) ** (1 / (setting.depth - 1));
}

function zerosSettings({ axes }) {
  return { a: nearest(axes, deep({ init: "zeros", depth: 2 })), b: nearest(axes, deep({ depth: 2 })) };
}

function zerosValues(data, { a, b }, t) {
  return {
    ...facts(data, a, "zeros", t),
    ...facts(data, b, "he", t),
    gradient: number(data.read("gradient", a, 0)),
    he_gradient: number(data.read("gradient", b, 0)),
    loss: lossText(data.read("loss_before", a), data.high("loss_before")),
  };
}

/** Return every initialiser of 30 ReLU layers with its best rate of SGD, the most accurate first. */
function ranking(data) {
  const found = data.axes.init.map((init) => best(data, nearest(data.axes, deep({ init }))));
  const rank = (setting) => finalAccuracy(data, setting) || 0;
  return found.sort((one, other) => rank(other) - rank(one));
}

function whichSettings(data) {
  return { a: ranking(data)[0], b: null };
}

function whichValues(data, { a }, t) {
  const learns = (setting) => ["trains", "learns slowly"].includes(verdictOf(data, setting).kind);
  const inWords = (setting) => {
    const { kind, accuracy } = verdictOf(data, setting);
    return `${t(`inits.${setting.init}`)} (${percent(accuracy)}, ${t(`kinds.${kind}`)})`;
  };
  const list = (settings) => settings.map(inWords).join(", ") || t("words.none");
  const every = ranking(data);
  return {
    depth: a.depth,
    width: a.width,
    rates: choices(data.axes, "sgd").rate.map(plain).join(", "),
    steps: data.payload.steps,
    learn: list(every.filter(learns)),
    others: list(every.filter((setting) => !learns(setting))),
  };
}

function xavierSettings(data) {
  const b = best(data, nearest(data.axes, deep({})));
  return { a: nearest(data.axes, { ...b, init: "xavier_normal" }), b };
}

function xavierValues(data, { a, b }, t) {
  const last = a.depth - 1;
  const ratio = (setting) => data.read("variance", setting, last) / data.read("variance", setting, 0);
  const step = (setting) => number(data.read("update", setting, Math.floor(last / 2)));
  return {
    ...facts(data, a, "xavier", t),
    ...facts(data, b, "he", t),
    depth: a.depth,
    xavier_factor: number(factorPerLayer(data, "variance", a)),
    he_factor: number(factorPerLayer(data, "variance", b)),
    xavier_ratio: number(ratio(a)),
    he_ratio: number(ratio(b)),
    xavier_step: step(a),
    he_step: step(b),
  };
}

function torchSettings(data) {
  const a = best(data, nearest(data.axes, deep({ init: "torch_default", depth: 10 })));
  return { a, b: nearest(data.axes, { ...a, init: "flax_default" }) };
}

function torchValues(data, { a, b }, t) {
  const adam = best(data, nearest(data.axes, { ...a, optimizer: "adam", rate: 0.001 }));
  const kept = (setting) => number(1 / factorPerLayer(data, "gradient", setting));
  return {
    ...facts(data, a, "torch", t),
    ...facts(data, b, "flax", t),
    ...facts(data, adam, "adam", t),
    depth: a.depth,
    torch_factor: kept(a),
    flax_factor: kept(b),
    rank: number(data.read("rank", a, a.depth - 1)),
    first_rank: number(data.read("rank", a, 0)),
  };
}

function deepSigmoid({ axes }) {
  return { a: nearest(axes, deep({ init: "xavier_normal", depth: 5, activation: "sigmoid" })), b: null };
}

/** Return the numbers of the published result: gains over Xavier, and the last accuracies of the deep networks. */
function pretrainingValues(data) {
  const { charts } = data.payload.published.find(({ id }) => id === "pretraining");
  const series = (chart, name) => charts.find(({ id }) => id === chart).series.find((one) => one.name === name).points;
  const [dbn, xavier] = [series("labels", "dbn"), series("labels", "xavier_uniform")];
  const gain = (at) => (100 * (dbn.at(at).y - xavier.at(at).y)).toFixed(1);
  const labels = (at) => number(Math.round(10 ** dbn.at(at).x));
  const last = (name) => percent(series("deep", name).at(-1).y);
  return {
    few: labels(0),
    few_gain: gain(0),
    few_dbn: percent(dbn[0].y),
    few_xavier: percent(xavier[0].y),
    many: labels(-1),
    many_gain: gain(-1),
    deep_dbn: last("dbn"),
    deep_xavier: last("xavier_uniform"),
    deep_small: last("small_normal"),
  };
}

/** Return the questions that the page can answer. */
function answerable(data) {
  const names = (data.payload.published ?? []).map(({ id }) => id);
  return QUESTIONS.filter(({ published }) => !published || names.includes(published));
}
