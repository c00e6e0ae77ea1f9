/* The values of a chart as a table, for those who do not see the chart, or want the numbers. */

/** Return the text of a point's value, with its band. */
function valueText({ y, low, high: top }, kind, high) {
  const text = (value) => (kind === "share" ? percent(value) : number(value, high));
  const band = low !== undefined && !Number.isNaN(low) && (low !== y || top !== y);
  return band ? `${text(y)} (${text(low)} … ${text(top)})` : text(y);
}

/** Return the text of a place on the horizontal axis. */
function xText(kind, value) {
  if (["log2", "depth", "gibbs"].includes(kind)) return number(Math.round(2 ** value));
  if (kind === "log10") return number(Math.round(10 ** value));
  return String(Number(value.toFixed(2)));
}

/** Return a table with a row for each x and a column for each line. */
function lineTable(lines, stops, x, kind, high, title, t) {
  const head = [t(`charts.head.${x}`), ...lines.map(({ label }) => label)];
  const rows = stops.map((stop) => [
    xText(x, stop),
    ...lines.map(({ points }) => {
      const point = points.find((one) => one.x === stop);
      return point ? valueText(point, kind, high) : DASH;
    }),
  ]);
  return tableOf(title, head, rows);
}

/** Return a table with a row for each setting and layer, and a column for each bin. */
function barTable(settings, title, t) {
  const bins = settings[0].layers[0].shares.length;
  const head = [
    t("histogram.head"),
    t("histogram.reach"),
    ...range(bins).map((bin) => t("histogram.share", { bin: bin + 1 })),
  ];
  const rows = settings.flatMap(({ name, layers }) =>
    layers.map(({ layer, reach, shares }) => [
      `${name}, ${t("histogram.layer", { layer })}`,
      number(reach),
      ...shares.map((share) => percent(share)),
    ]),
  );
  return tableOf(title, head, rows);
}

/** Return a table whose first column has the heads of its rows. */
function tableOf(title, head, rows) {
  const line = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", { class: "number" }, text)));
  return make(
    "table",
    {},
    make("caption", {}, title),
    make(
      "thead",
      {},
      make("tr", {}, ...head.map((text, at) => make("th", { scope: "col", class: at ? "number" : null }, text))),
    ),
    make("tbody", {}, ...rows.map(line)),
  );
}
