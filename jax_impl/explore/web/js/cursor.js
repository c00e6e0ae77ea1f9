/* Values on hover and by keyboard: a line at the nearest x, and a box that names every value there. */

/** Connect a plot to the pointer and the arrow keys. `card` gives `ready`, `stops`, `find`, `mark` and `say`. */
function connectCursor(plot, tip, card) {
  let at = null;
  const show = (stop) => {
    at = stop;
    const { title, entries, left } = card.say(stop);
    tip.replaceChildren(make("strong", {}, title), ...entries.map((entry) => make("span", {}, ...entry)));
    tip.hidden = false;
    card.mark(stop);
    const room = plot.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, left > room / 2 ? left - tip.offsetWidth - 12 : left + 12))}px`;
  };
  const hide = () => {
    if (at === null) return;
    at = null;
    tip.hidden = true;
    card.mark(null);
  };
  plot.addEventListener("pointermove", (event) => {
    if (!card.ready()) return;
    const box = plot.getBoundingClientRect();
    const stop = card.find(event.clientX - box.left, event.clientY - box.top);
    if (stop === null) hide();
    else if (stop !== at) show(stop);
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const moved = card.ready() ? moveTo(event.key, at, card.stops()) : undefined;
    if (moved === undefined) return;
    event.preventDefault();
    if (moved === null) hide();
    else show(moved);
  });
  return hide;
}

/** Return the stop that a key leads to, null for none, undefined if the key has no meaning here. */
function moveTo(key, at, stops) {
  const place = stops.indexOf(at);
  if (key === "Escape") return null;
  if (key === "Home") return stops[0];
  if (key === "End") return stops.at(-1);
  if (key === "ArrowRight") return stops[Math.min(place + 1, stops.length - 1)];
  if (key === "ArrowLeft") return stops[place < 0 ? stops.length - 1 : Math.max(place - 1, 0)];
  return undefined;
}

/** Return the value of a list that is nearest to a number. */
function nearestTo(values, wanted) {
  return values.reduce((best, value) => (Math.abs(value - wanted) < Math.abs(best - wanted) ? value : best));
}

/** Return a swatch of a line: its dash and its dot. */
function swatch({ look, color, second, opacity = 1 }) {
  const { line, dot, dash = second ? [6, 4] : [] } = LOOKS[look];
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 26 12");
  picture.setAttribute("class", "swatch");
  picture.setAttribute("aria-hidden", "true");
  const part = (tag, attributes) => {
    const element = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries({ stroke: color, opacity, ...attributes }))
      element.setAttribute(name, value);
    picture.append(element);
  };
  if (line) part("path", { d: "M0 6H26", "stroke-width": line, "stroke-dasharray": dash.join(" ") || "none" });
  if (dot && second) part("path", { d: "M13 1.5L17.5 6L13 10.5L8.500 6Z", "stroke-width": 1.5, fill: "var(--card)" });
  if (dot && !second) part("circle", { cx: 13, cy: 6, r: 3.6, fill: color });
  return picture;
}
