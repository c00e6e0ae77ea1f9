/* What each chart shows: its lines, as numbers of a setting. A point is {x, y}, and {low, high} where it has a band.
   A quiet line is left out of the key. */

/** How a line looks. `dots` are measured values. */
const LOOKS = {
  dots: { line: 0, dot: 46 },
  line: { line: 2, dot: 0 },
  thin: { line: 1.2, dot: 0 },
  both: { line: 1.4, dot: 30 },
  dashed: { line: 1.6, dot: 0, dash: [5, 3] },
};

/** Return a line over the layers, from 1. The output is the last one; it has no activation. */
function overLayers(name, look, field, data, setting, ...rest) {
  const layers = range(setting.depth + (OF_ACTIVATIONS.has(field) ? 0 : 1));
  return { name, look, points: layers.map((at) => ({ x: at + 1, y: data.read(field, setting, at, ...rest) })) };
}

/** The fields about activation functions, which only hidden layers have. */
const OF_ACTIVATIONS = new Set(["flat_before", "flat_after", "saturated"]);

/** Return a line of means with the band of the smallest and largest seed. */
function overSteps(name, field, data, setting, steps) {
  const [mean, low, high] = range(3).map((column) => steps.map((_, at) => data.read(field, setting, at, column)));
  return { name, look: "both", points: steps.map((x, at) => ({ x, y: mean[at], low: low[at], high: high[at] })) };
}

/** Return the steps in the middle of each mean of losses, or those after which the accuracy was measured. */
function stepsOf(data, field) {
  const count = field === "loss" ? data.losses : data.tests;
  const size = data.payload.steps / count;
  return range(count).map((at) => size * (field === "loss" ? at + 0.5 : at + 1));
}

/** Return the lines of the coordinate check: for each number of steps, the size of a layer at every width. */
function overWidths(data, setting, layer) {
  const widths = data.axes.width;
  const at = FOLLOWED.indexOf(layer);
  return range(data.sizes).map((step) => ({
    name: "after",
    values: { n: step },
    look: "both",
    quiet: step > 0 && step < data.sizes - 1,
    opacity: 0.3 + (0.7 * step) / (data.sizes - 1),
    points: widths.map((width) => ({ x: Math.log2(width), y: data.read("sizes", { ...setting, width }, at, step) })),
  }));
}

/** Return the loss before the first step as a point of its own, and the mean losses after it. */
function lossLines(data, setting) {
  const start = [{ x: 0, y: data.read("loss_before", setting) }];
  const course = overSteps("training", "loss", data, setting, stepsOf(data, "loss"));
  return [{ name: "start", look: "dots", points: start }, course];
}

/** Return the lines of the singular values: the mean, between the smallest and the largest one. */
function singularLines(data, setting) {
  const [least, mean, most] = range(3).map((column) => overLayers("mean", "both", "singular", data, setting, column));
  const points = mean.points.map((point, at) => ({ ...point, low: least.points[at].y, high: most.points[at].y }));
  return [{ ...mean, points }];
}

/** The charts over layers, steps and widths. `kind` is the vertical axis's. */
const CHARTS = [
  { id: "variance", part: "before", x: "layer", kind: "log", field: "variance", lines: withTheory("variance") },
  { id: "gradient", part: "before", x: "layer", kind: "log", field: "gradient", lines: withTheory("gradient") },
  { id: "loss", part: "training", x: "step", kind: "loss", field: "loss", lines: lossLines, level: Math.LN10 },
  {
    id: "accuracy",
    part: "training",
    x: "step",
    kind: "share",
    field: "accuracy",
    lines: (data, setting) => [overSteps("tested", "accuracy", data, setting, stepsOf(data, "accuracy"))],
  },
  {
    id: "flat",
    part: "before",
    x: "layer",
    kind: "share",
    field: "flat_before",
    lines: (data, setting) => [
      overLayers("before", "both", "flat_before", data, setting),
      overLayers("after", "dashed", "flat_after", data, setting),
    ],
  },
  {
    id: "saturated",
    part: "before",
    x: "layer",
    kind: "share",
    field: "saturated",
    lines: (data, setting) => [overLayers("before", "both", "saturated", data, setting)],
  },
  { id: "singular", part: "before", x: "layer", kind: "log", field: "singular", lines: singularLines },
  {
    id: "rank",
    part: "before",
    x: "layer",
    kind: "log",
    field: "rank",
    lines: (data, setting) => [overLayers("before", "both", "rank", data, setting)],
  },
  {
    id: "update",
    part: "training",
    x: "layer",
    kind: "log",
    field: "update",
    lines: (data, setting) => [overLayers("first", "both", "update", data, setting)],
  },
  { id: "coordinates", part: "training", x: "log2", kind: "log", field: "sizes", lines: overWidths },
];

/** Return the function that gives a field's dots and the line of its theory. */
function withTheory(field) {
  return (data, setting) => [
    overLayers("measured", "dots", field, data, setting),
    overLayers("theory", "thin", `${field}_theory`, data, setting),
  ];
}

/** The histograms. Each has a field of shares and one of the largest absolute value. */
const HISTOGRAMS = ["pre", "weights", "gradients"];

/** Return the layers of a histogram: their number, the largest absolute value, and the share of each bin. */
function histogram(data, setting, field) {
  return data.payload.shown_layers[setting.depth].map((layer, at) => ({
    layer,
    reach: data.read(`${field}_reach`, setting, at),
    shares: range(data.bins).map((bin) => data.read(field, setting, at, bin)),
  }));
}
