/* The measurements: codes of one or two bytes, decoded one by one when they are needed. */

/** Return {field: function of an index per axis}, which decodes one number. NaN: no value. Infinity: above the range. */
async function readFields(payload) {
  const text = atob(payload.codes);
  const packed = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place += 1) packed[place] = text.charCodeAt(place);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  return Object.fromEntries(payload.fields.map((field) => [field.name, fieldReader(field, bytes)]));
}

/** Return the function that decodes one field's numbers: the inverse of pack.py's `encode`. */
function fieldReader({ shape, offset, bits, kind, low, high }, bytes) {
  const length = shape.reduce((product, size) => product * size, 1);
  const codes = new (bits === 8 ? Uint8Array : Uint16Array)(bytes, offset, length);
  const most = 2 ** bits - 1;
  const [from, to] = kind === "log" ? [Math.log10(low), Math.log10(high)] : [low, high];
  const read = (...index) => {
    const code = codes[index.reduce((place, at, axis) => place * shape[axis] + at, 0)];
    if (code === 0) return NaN;
    if (code === 1) return 0;
    if (code === most) return Infinity;
    const value = from + ((code - 2) / (most - 3)) * (to - from);
    return kind === "log" ? 10 ** value : value;
  };
  return Object.assign(read, { shape, high });
}

/** Return what the charts ask for: the numbers of a setting, by the field's name. */
function measurements(payload, fields) {
  const { axes } = payload;
  const trained = new Set(payload.trained); // fields with an axis of rules: an optimizer and a learning rate
  const beginning = (setting) =>
    ["init", "gain", "depth", "width", "activation"].map((name) => axes[name].indexOf(setting[name]));
  const rule = (setting) =>
    axes.rule.findIndex(([optimizer, rate]) => optimizer === setting.optimizer && rate === setting.rate);
  const index = (name, setting) => {
    const first = beginning(setting);
    return trained.has(name) ? [...first, rule(setting)] : first;
  };
  const read = (name, setting, ...rest) => fields[name](...index(name, setting), ...rest);
  const size = (name, fromEnd) => fields[name].shape.at(-fromEnd);
  return {
    read,
    axes,
    payload,
    high: (name) => fields[name].high,
    losses: size("loss", 2),
    tests: size("accuracy", 2),
    sizes: size("sizes", 1),
    bins: size("pre", 1),
  };
}

/** Return how a setting's training ended, with the numbers that its reason needs. */
function verdictOf(data, setting) {
  const kind = data.payload.kinds[data.read("kind", setting)];
  const reason = data.payload.reasons[data.read("reason", setting)];
  const layer = data.read("layer", setting);
  const last = setting.depth - 1;
  const at = Math.max(layer - 1, 0);
  const variance = (place) => data.read("variance", setting, place);
  const gradient = (place) => data.read("gradient", setting, place);
  return {
    kind,
    reason,
    layer,
    accuracy: finalAccuracy(data, setting),
    diverged: data.read("diverged", setting),
    signal: variance(at) / variance(0),
    gradient: gradient(at) / gradient(last),
    before: data.read(setting.activation === "relu" ? "flat_before" : "saturated", setting, at),
    rank: data.read("rank", setting, at),
    after: data.read("flat_after", setting, at),
    loss: data.read("loss_before", setting),
  };
}

/** Return the mean test accuracy after the last step, NaN if all seeds diverged. */
function finalAccuracy(data, setting) {
  return data.read("accuracy", setting, data.tests - 1, 0);
}
