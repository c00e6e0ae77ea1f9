/* Small helpers that make elements, and texts of settings. */

/** Return a new element with attributes, listeners (onclick, …) and children. Attributes that are null are left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Return the element with this id. */
function byId(id) {
  return document.getElementById(id);
}

/** Return what the map keeps of a setting, in words: gain 2, width 128, ReLU, SGD 0.1. */
function othersInWords({ gain, width, activation, optimizer, rate }, t) {
  const first = gain === 1 ? [] : [t("words.gain", { gain: plain(gain) })];
  const rule = `${t(`optimizers.${optimizer}`)} ${plain(rate)}`;
  return [...first, t("words.width", { width }), t(`activations.${activation}`), rule].join(", ");
}

/** Return the sentence on how a setting ended: what, how accurate, and why. */
function verdictInWords(verdict, data, t) {
  const { seeds } = data.payload;
  const reason = t(`reasons.${verdict.reason}`, {
    layer: verdict.layer,
    signal: number(verdict.signal),
    gradient: number(verdict.gradient),
    before: percent(verdict.before),
    rank: number(verdict.rank),
    after: percent(verdict.after),
  });
  const accuracy = t("verdict.accuracy", { accuracy: percent(verdict.accuracy), steps: data.payload.steps });
  const diverged = t("verdict.diverged", { diverged: verdict.diverged, seeds: seeds.length });
  const reached = [...(Number.isNaN(verdict.accuracy) ? [] : [accuracy]), ...(verdict.diverged ? [diverged] : [])];
  const loss = t("verdict.loss", {
    loss: lossText(verdict.loss, data.high("loss_before")),
    chance: Math.LN10.toFixed(3),
  });
  return { kind: t(`kinds.${verdict.kind}`), reason, rest: [...reached, loss].join(" ") };
}

/** Return the class that colours a verdict. */
function classOf(kind) {
  return kind.replaceAll(" ", "-");
}
