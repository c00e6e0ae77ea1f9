/* The board: all charts of the page. Each is drawn when it comes into sight, and again after a change of the state. */

/** Make the cards of all charts in their places. */
function buildCards() {
  const names = ["before", "histograms", "training", "published"];
  const places = Object.fromEntries(names.map((name) => [name, byId(`charts-${name}`)]));
  const follow = byId("follow"); // moves into the card of the coordinate check
  for (const place of Object.values(places)) place.replaceChildren();
  const made = [];
  const add = (card, part, drawOnce = false) => {
    places[part].append(card.figure);
    made.push(Object.assign(card, { drawOnce, stale: true, seen: false }));
  };
  for (const chart of CHARTS)
    add(
      lineCard(
        chart,
        () => labelled(chart),
        () => measured.high(chart.field),
        chartTexts(chart),
        t,
      ),
      chart.part,
    );
  for (const id of HISTOGRAMS)
    add(
      barCard({ id }, () => histograms(id), chartTexts({ id }), t),
      "histograms",
    );
  for (const { id, charts } of measured.payload.published ?? []) {
    for (const chart of charts) add(publishedCard(id, chart), "published", true);
  }
  made.find(({ id }) => id === "coordinates").caption.append(follow);
  return { update: () => refresh(made), stop: watch(made) };
}

/** Return the texts of a chart of the current settings. */
function chartTexts({ id, x, level }) {
  const { steps, limits } = measured.payload;
  const values = { losses: steps / measured.losses, small: number(limits.small_step) };
  const texts = { title: t(`charts.${id}.title`), how: t(`charts.${id}.how`, values) };
  return x
    ? { ...texts, x: t(`charts.x.${x}`), y: t(`charts.${id}.y`), level: level ? t(`charts.${id}.level`) : "" }
    : texts;
}

/** Return the lines of a chart for A and B, each with its name and colour. */
function labelled(chart) {
  return shown(state).flatMap(([letter, setting]) =>
    chart.lines(measured, setting, state.layer).map((line) => ({
      ...line,
      color: `var(--${letter})`,
      second: letter === "b",
      label: `${letter.toUpperCase()}, ${t(`charts.${chart.id}.lines.${line.name}`, line.values)}`,
    })),
  );
}

/** Return the histograms of A and B. */
function histograms(id) {
  return shown(state).map(([letter, setting]) => ({
    name: letter.toUpperCase(),
    color: `var(--${letter})`,
    layers: histogram(measured, setting, id),
  }));
}

/** Return the card of a published result. Its numbers do not depend on the settings. */
function publishedCard(result, chart) {
  const id = `${result}-${chart.id}`;
  const key = `published.${result}.${chart.id}`;
  const { level, high = Infinity } = chart;
  const texts = {
    title: t(`${key}.title`),
    how: t(`${key}.how`),
    x: t(`charts.x.${chart.x}`),
    y: t(`${key}.y`),
    level: level === undefined ? "" : t(`${key}.level`),
  };
  const lines = chart.series.map((one, at) => ({
    ...one,
    points: one.points.map(withInfinity),
    look: one.look ?? "both",
    second: at % 2 === 1,
    label: t(`published.names.${one.name}`),
    color: `var(--series-${one.color})`,
  }));
  return lineCard(
    { id, x: chart.x, kind: chart.kind, level },
    () => lines,
    () => high,
    texts,
    t,
  );
}

/** Return a point whose numbers above the range are infinite, and whose missing ones are NaN. */
function withInfinity(point) {
  const value = (one) => (one === "above" ? Infinity : (one ?? NaN));
  return Object.fromEntries(Object.entries(point).map(([name, one]) => [name, value(one)]));
}

/** Draw the charts in sight again. The others follow when they come into sight. */
function refresh(cards) {
  for (const card of cards) {
    if (card.drawOnce && !card.stale) continue;
    card.stale = true;
    if (card.seen) drawNow(card);
  }
}

/** Draw one chart. */
function drawNow(card) {
  card.draw();
  card.stale = false;
}

/** Draw charts when they come near the window, and when their width changes. Return a function that ends this. */
function watch(cards) {
  const of = new Map(cards.map((card) => [card.plot, card]));
  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const card = of.get(target);
        card.seen = isIntersecting;
        if (isIntersecting && card.stale) drawNow(card);
      }
    },
    { rootMargin: "150px" },
  );
  const size = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const card = of.get(target);
      const changed = card.width !== undefined && card.width !== target.clientWidth;
      card.width = target.clientWidth;
      if (changed) refreshSize(card);
    }
  });
  const all = () => cards.forEach(drawNow); // a printed page has no window to scroll
  window.addEventListener("beforeprint", all);
  for (const plot of of.keys()) {
    sight.observe(plot);
    size.observe(plot);
  }
  return () => {
    sight.disconnect();
    size.disconnect();
    window.removeEventListener("beforeprint", all);
    for (const card of cards) card.end();
  };
}

/** Draw a chart again in another width. */
function refreshSize(card) {
  if (card.seen) drawNow(card);
  else card.stale = true;
}

/** Return the facts on where the numbers come from. */
function sourceFacts({ payload }, t) {
  const { limits } = payload;
  const values = {
    made: [payload.made[0].slice(0, 10), payload.made.at(-1).slice(0, 10)]
      .filter((day, at, all) => all.indexOf(day) === at)
      .join(" – "),
    command: payload.command,
    where: payload.where.join("; "),
    seconds: number(Math.round(payload.seconds)),
    seeds: payload.seeds.join(", "),
    steps: payload.steps,
    batch: payload.batch,
    images: number(payload.images),
    tested: number(payload.tested),
    probed: number(payload.probed),
    trained: percent(limits.trained, 0),
    guessing: percent(limits.guessing, 0),
    lost: number(limits.lost),
    exploded: number(limits.exploded),
    most: percent(limits.most, 0),
    small: number(limits.small_step),
    large: number(limits.large_step),
    alike: number(limits.alike),
    rising: percent(limits.rising, 0),
  };
  return ["command", "machine", "runs", "measured", "verdicts", "limits"].map((name) =>
    make("li", {}, t(`source.${name}`, values)),
  );
}
