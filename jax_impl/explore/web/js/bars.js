/* The cards of histograms. */

/** Return a card of histograms. `settingsOf` returns [{name, color, layers}] for the current state. */
function barCard({ id }, settingsOf, texts, t) {
  const parts = emptyCard(id, texts, t);
  let view = null;
  let settings = [];
  const hide = connectCursor(
    parts.plot,
    parts.tip,
    barCursor(
      () => view,
      () => settings,
      t,
    ),
  );
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
    parts.key.replaceChildren(
      ...settings.map(({ name, color }) =>
        make("span", {}, make("i", { class: "box", style: `background: ${color}` }), name),
      ),
    );
    fill();
  };
  parts.details.addEventListener("toggle", fill);
  return { ...parts, draw, id, end: () => view?.finalize() };
}

/** Return what cursor.js needs to know of a picture of histograms. A stop is "column row bin". */
function barCursor(viewOf, settingsOf, t) {
  const one = (stop) => {
    const [column, row, bin] = stop.split(" ").map(Number);
    const { layers, name } = settingsOf()[column];
    return { row, bin, name, ...layers[row], ...binSpan(settingsOf().length, column, layers[row].shares.length, bin) };
  };
  return {
    ready: () => viewOf() !== null,
    stops: () =>
      settingsOf().flatMap(({ layers }, column) =>
        layers.flatMap(({ shares }, row) => shares.map((_, bin) => `${column} ${row} ${bin}`)),
      ),
    find: (left, top) => {
      const [x, y] = viewOf().origin();
      const across = viewOf()
        .scale("across")
        .invert(left - x);
      const column = settingsOf().length > 1 && across > 0.5 ? 1 : 0;
      const row = Math.floor(
        viewOf()
          .scale("down")
          .invert(top - y),
      );
      const bins = settingsOf()[column].layers[row]?.shares.length;
      if (!bins) return null;
      const { from, to } = columnSpan(settingsOf().length, column);
      const bin = Math.max(0, Math.min(bins - 1, Math.floor(((across - from) / (to - from)) * bins)));
      return `${column} ${row} ${bin}`;
    },
    mark: (stop) => {
      const rows = [stop].filter(Boolean).map(one);
      const shown = rows.map(({ from, to, row }) => ({ from, to, top: row + 0.33, base: row + 0.97 }));
      viewOf().data("cursor", shown).run();
    },
    say: (stop) => {
      const { bin, name, layer, reach, shares, from } = one(stop);
      const edge = (place) => number(reach * ((2 * place) / shares.length - 1));
      const text = t("histogram.bin", { from: edge(bin), to: edge(bin + 1), share: percent(shares[bin]) });
      return {
        title: `${name}, ${t("histogram.layer", { layer })}`,
        entries: [[text]],
        left: viewOf().scale("across")(from),
      };
    },
  };
}
