// Shows the numbers of a chart at the point next to the pointer, or at one chosen with the arrow keys. They are those of
// the table below the chart: `data-at` says where the chart shows each, on a wide and on a narrow screen.
"use strict";
const narrow = matchMedia("(max-width: 620px)");
const SAME = 4; // pixels; closer points of one row are shown together

for (const figure of document.querySelectorAll("figure:has([data-at])")) {
  const paper = figure.querySelector(".paper"), image = figure.querySelector("img");
  const mark = paper.appendChild(document.createElement("i")), tip = paper.appendChild(document.createElement("div"));
  const lines = []; // the points of each line, from left to right
  for (const table of figure.querySelectorAll("table")) {
    const columns = [...table.tHead.rows[0].cells].slice(1).map(() => []);
    for (const cell of table.querySelectorAll("[data-at]")) {
      columns[cell.cellIndex - 1].push({ cell, table, places: cell.dataset.at.split(" ").map(Number) });
    }
    lines.push(...columns.filter((column) => column.length));
  }
  const points = lines.flat();
  let chosen = [0, 0]; // a line, and a point of it

  const view = () => ({
    from: narrow.matches ? 2 : 0,
    left: image.offsetLeft,
    top: image.offsetTop,
    width: image.offsetWidth / 1000,
    height: image.offsetHeight / 1000,
  });
  const place = ({ places }, { from, left, top, width, height }) =>
    [left + places[from] * width, top + places[from + 1] * height]; // pixels
  const apart = (point, x, y, seen) => Math.hypot(place(point, seen)[0] - x, place(point, seen)[1] - y);
  const show = (point, hint = "") => {
    const seen = view(), [x, y] = place(point, seen);
    const { table, cell } = point, head = table.tHead.rows[0].cells, row = cell.parentElement;
    const same = points.filter((other) => other.cell.parentElement === row && apart(other, x, y, seen) < SAME);
    const words = same.map((other) => `${head[other.cell.cellIndex].textContent}: ${other.cell.textContent}`);
    const where = [head[0].textContent, row.cells[0].textContent].filter(Boolean).join(": ");
    tip.innerText = [table.caption.textContent, where, ...words, hint].filter(Boolean).join("\n");
    mark.style.translate = `${x}px ${y}px`;
    const left = Math.min(Math.max(x - tip.offsetWidth / 2, 0), paper.clientWidth - tip.offsetWidth);
    const below = y < tip.offsetHeight + 14;
    tip.style.translate = `${left}px ${below ? y + 12 : y - tip.offsetHeight - 12}px`;
    paper.classList.add("pointed");
  };
  const hide = () => paper.classList.remove("pointed");
  const nearest = (event) => {
    const box = paper.getBoundingClientRect(), seen = view();
    const far = points.map((point) => apart(point, event.clientX - box.x, event.clientY - box.y, seen));
    show(points[far.indexOf(Math.min(...far))]);
  };
  const move = (event) => {
    let [line, point] = chosen;
    const jump = Math.ceil(lines[line].length / 10);
    const along = { ArrowLeft: -1, ArrowRight: 1, PageUp: -jump, PageDown: jump, Home: -Infinity, End: Infinity };
    const across = { ArrowUp: -1, ArrowDown: 1 };
    if (event.key === "Escape") return hide();
    if (!(event.key in along || event.key in across) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    line = Math.min(Math.max(line + (across[event.key] ?? 0), 0), lines.length - 1);
    point = Math.min(Math.max(point + (along[event.key] ?? 0), 0), lines[line].length - 1);
    chosen = [line, point];
    show(lines[line][point]);
  };

  mark.className = "mark";
  tip.className = "tip";
  tip.role = "status";
  paper.tabIndex = 0;
  paper.role = "group";
  paper.ariaLabel = `${figure.querySelector("h3").textContent}: values by the arrow keys`;
  paper.addEventListener("pointermove", nearest);
  paper.addEventListener("pointerleave", hide);
  paper.addEventListener("keydown", move);
  paper.addEventListener("blur", hide);
  paper.addEventListener("focus", () => {
    if (paper.matches(":focus-visible")) show(lines[chosen[0]][chosen[1]], "← → other points, ↑ ↓ other lines");
  });
}
