/* A chart with its title, its key, its values on hover and its table; the charts of lines. */

/** Return a card's elements, without its content. */
function emptyCard(id, texts, t) {
  const plot = make("div", {
    class: "plot",
    tabindex: "0",
    role: "group",
    "aria-roledescription": t("charts.role"),
    "aria-label": t("charts.label", { title: texts.title }),
  });
  const tip = make("div", { class: "bubble", "aria-live": "polite" });
  tip.hidden = true;
  const table = make("div", {
    class: "inner",
    tabindex: "0",
    role: "region",
    "aria-label": t("charts.table_of", { title: texts.title }),
  });
  const details = make("details", { class: "values" }, make("summary", {}, t("charts.table")), table);
  const key = make("p", { class: "key" });
  const caption = make("figcaption", {}, make("h3", { id: `title-${id}` }, texts.title), make("p", {}, texts.how));
  const frame = make("div", { class: "frame" }, plot, tip);
  const figure = make(
    "figure",
    { class: "chart", id: `chart-${id}`, "aria-labelledby": `title-${id}` },
    caption,
    make("div", { class: "paper" }, key, frame, details),
  );
  return { figure, plot, tip, table, details, key, caption };
}

/** Return a card that draws lines. `linesOf` returns them for the page's current state. */
function lineCard({ id, x, kind, level }, linesOf, highOf, texts, t) {
  const parts = emptyCard(id, texts, t);
  let view = null;
  let lines = [];
  const stops = () =>
    [...new Set(lines.flatMap(({ points }) => points.map((point) => point.x)))].sort((one, other) => one - other);
  const hide = connectCursor(parts.plot, parts.tip, {
    ready: () => view !== null,
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
    parts.key.replaceChildren(
      ...lines.filter(({ quiet }) => !quiet).map((line) => make("span", {}, swatch(line), line.label)),
    );
    fill();
  };
  parts.details.addEventListener("toggle", fill);
  return { ...parts, draw, id, end: () => view?.finalize() };
}
