/* Vega's views: created once each, when they come into sight. Later only their data change. */

/** Return the rows of the chart's marks, and its axes, from lines with their colour. */
function drawn(lines, { x, kind, high, level }, titles) {
  const numbers = lines.flatMap(({ points }) => points.flatMap(({ y, low = y, high: top = y }) => [y, low, top]));
  const up = verticalAxis(kind, level ? [...numbers, level] : numbers, high, titles.y);
  const across = horizontalAxis(
    x,
    lines.flatMap(({ points }) => points.map((point) => point.x)),
    titles.x,
  );
  const rows = { zones: up.zones, levels: [], bands: [], lines: [], dots: [], cursor: [] };
  if (level) rows.levels.push({ y: up.place(level), text: titles.level });
  lines.forEach((line, key) => addLine(rows, line, key, up.place));
  return { rows, x: across, y: { domain: up.domain, ticks: up.ticks, texts: up.texts, title: up.title } };
}

/** Add the rows of one line to those of a chart. */
function addLine(rows, { look, points, color, second, opacity = 1 }, key, place) {
  const { line, dot, dash = second ? [6, 4] : [] } = LOOKS[look];
  let piece = 0; // a gap starts another piece
  for (const { x, y, low, high } of points) {
    const at = place(y);
    if (at === null) piece += 1;
    else {
      if (line) rows.lines.push({ key: `${key}-${piece}`, x, y: at, color, thick: line, dash, opacity });
      const shape = second ? "diamond" : "circle";
      if (dot)
        rows.dots.push({
          x,
          y: at,
          color,
          shape,
          size: dot * (second ? 1.5 : 1),
          fill: second ? "var(--card)" : color,
          opacity,
        });
      if (low !== undefined && !Number.isNaN(low)) {
        rows.bands.push({ key: `${key}-${piece}`, x, low: place(low), high: place(high), color });
      }
    }
  }
}

/** Return the rows of a picture of histograms: one column per setting, one row per layer. */
function barRows(settings, t) {
  const rows = { bars: [], names: [], cursor: [] };
  const most = Math.max(...settings.map(({ layers }) => layers.length));
  settings.forEach(({ layers, color }, column) => {
    const { from, to } = columnSpan(settings.length, column);
    layers.forEach(({ layer, reach, shares }, row) => {
      const base = row + 0.97;
      const text = Number.isNaN(reach) ? t("histogram.infinite") : `±${number(reach)}`;
      rows.names.push({ from, to, base, over: row + 0.04, name: t("histogram.layer", { layer }), reach: text });
      const peak = Math.max(...shares.filter((share) => share > 0), 1e-9);
      shares.forEach((share, bin) => {
        if (!(share > 0)) return;
        const top = base - 0.64 * (share / peak);
        rows.bars.push({ ...binSpan(settings.length, column, shares.length, bin), base, top, color });
      });
    });
  });
  return { rows, count: most };
}

/** Return where a column of histograms begins and ends, from 0 to 1. */
function columnSpan(count, column) {
  const gap = count > 1 ? 0.03 : 0;
  return { from: column / count + (column ? gap : 0), to: (column + 1) / count - (column ? 0 : gap) };
}

/** Return where a bin of a column begins and ends. */
function binSpan(count, column, bins, bin) {
  const { from, to } = columnSpan(count, column);
  const step = (to - from) / bins;
  return { from: from + bin * step, to: from + (bin + 1) * step };
}

/** Create a chart's view in a place of the page. */
function createView(specification, place, label) {
  const view = new vega.View(vega.parse(specification), { renderer: "svg", container: place, logLevel: vega.ERRORS });
  view.tooltip(() => {}); // cursor.js has the values
  view.description(label);
  return view;
}

/** Put rows and signals into a view and draw it, in the width of its place. */
function redraw(view, place, rows, signals) {
  for (const [name, values] of Object.entries(rows)) view.data(name, values);
  for (const [name, value] of Object.entries(signals)) view.signal(name, value);
  const width = Math.floor(place.clientWidth);
  if (width > 0) view.width(width);
  view.run();
}
