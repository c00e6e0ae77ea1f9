/* A chart with its title, its key, its values on hover and its table. */

/** Return a card's elements, without its content. */
function emptyCard(id, texts, t) {
  const plot = make("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": t("charts.role"), "aria-label": t("charts.label", { title: texts.title }) });
  const tip = make("div", { class: "tip", "aria-live": "polite" });
  tip.hidden = true;
  const table = make("div", { class: "inner", tabindex: "0", role: "region", "aria-label": t("charts.table_of", { title: texts.title }) });
  const details = make("details", { class: "values" }, make("summary", {}, t("charts.table")), table);
  const key = make("p", { class: "key" });
  const caption = make("figcaption", {}, make("h3", { id: `title-${id}` }, texts.title), make("p", {}, texts.how));
  const frame = make("div", { class: "frame" }, plot, tip);
  const figure = make("figure", { class: "chart", id: `chart-${id}`, "aria-labelledby": `title-${id}` }, caption, make("div", { class: "paper" }, key, frame, details));
  return { figure, plot, tip, table, details, key, caption };
}

/** Return a card that draws lines. `linesOf` returns them for the page's current state. */
function lineCard({ id, x, kind, level }, linesOf, highOf, texts, t) {
  const parts = emptyCard(id, texts, t);
  let view = null;
  let lines = [];
  const stops = () => [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].sort((one, other) => one - other);
  const hide = connectCursor(parts.plot, parts.tip, {
    stops,
    find: (left) => nearestTo(stops(), view.scale("across").invert(left - view.origin()[0])),
    mark: (stop) => view.data("cursor", stop === null ? [] : [{ x: stop }]).run(),
    say: (stop) => ({
      title: t(`charts.at.${x}`, { x: xText(x, stop) }),
      entries: lines.flatMap((line) => {
        const point = line.points.find((one) => one.x === stop);
        return point ? [[swatch(line), `${line.label}: ${valueText(point, kind, highOf())}`]] : [];
      }),
      left: view.scale("across")(stop) + view.origin()[0],
    }),
  });
  const fill = () => {
    if (!parts.details.open) return;
    lines = linesOf(); // the chart may not have been drawn yet
    parts.table.replaceChildren(lineTable(lines, stops(), x, kind, highOf(), texts.title, t));
  };
  const draw = () => {
    hide();
    lines = linesOf();
    view ??= createView(SPECIFICATIONS.lines, parts.plot, texts.title);
    const { rows, ...signals } = drawn(lines, { x, kind, high: highOf(), level }, texts);
    redraw(view, parts.plot, rows, signals);
    parts.plot.querySelector("svg").setAttribute("aria-hidden", "true");
    parts.key.replaceChildren(...lines.map((line) => make("span", {}, swatch(line), line.label)));
    fill();
  };
  parts.details.addEventListener("toggle", fill);
  return { ...parts, draw, id, end: () => view?.finalize() };
}

/** Return a card of histograms. `settingsOf` returns [{name, color, layers}] for the current state. */
function barCard({ id }, settingsOf, texts, t) {
  const parts = emptyCard(id, texts, t);
  let view = null;
  let settings = [];
  const stops = () => settings.flatMap(({ layers }, column) => layers.flatMap(({ shares }, row) => shares.map((_, bin) => `${column} ${row} ${bin}`)));
  const parse = (stop) => stop.split(" ").map(Number);
  const hide = connectCursor(parts.plot, parts.tip, {
    stops,
    find: (left, top) => {
      const [x, y] = view.origin();
      const across = view.scale("across").invert(left - x);
      const column = settings.length > 1 && across > 0.5 ? 1 : 0;
      const layer = settings[column].layers[Math.floor(view.scale("down").invert(top - y))];
      if (!layer) return null;
      const { from, to } = columnSpan(settings.length, column);
      const bins = layer.shares.length;
      const bin = Math.max(0, Math.min(bins - 1, Math.floor(((across - from) / (to - from)) * bins)));
      const row = settings[column].layers.indexOf(layer);
      return `${column} ${row} ${bin}`;
    },
    mark: (stop) => {
      if (stop === null) return void view.data("cursor", []).run();
      const [column, row, bin] = parse(stop);
      const { from, to } = binSpan(settings.length, column, settings[column].layers[row].shares.length, bin);
      view.data("cursor", [{ from, to, top: row + 0.29, base: row + 0.97 }]).run();
    },
    say: (stop) => {
      const [column, row, bin] = parse(stop);
      const { layers, name } = settings[column];
      const { layer, reach, shares } = layers[row];
      const { from } = binSpan(settings.length, column, shares.length, bin);
      const edge = (place) => number(reach * ((2 * place) / shares.length - 1));
      const text = t("histogram.bin", { from: edge(bin), to: edge(bin + 1), share: percent(shares[bin]) });
      return { title: `${name}, ${t("histogram.layer", { layer })}`, entries: [[text]], left: view.scale("across")(from) };
    },
  });
  const fill = () => {
    if (!parts.details.open) return;
    settings = settingsOf();
    parts.table.replaceChildren(barTable(settings, texts.title, t));
  };
  const draw = () => {
    hide();
    settings = settingsOf();
    view ??= createView(SPECIFICATIONS.bars, parts.plot, texts.title);
    const { rows, count } = barRows(settings, t);
    redraw(view, parts.plot, rows, { rows: count });
    parts.plot.querySelector("svg").setAttribute("aria-hidden", "true");
    parts.key.replaceChildren(...settings.map(({ name, color }) => make("span", {}, make("i", { class: "box", style: `background: ${color}` }), name)));
    fill();
  };
  parts.details.addEventListener("toggle", fill);
  return { ...parts, draw, id, end: () => view?.finalize() };
}
