/* The panel: a fieldset for A, one for B, and the map of initialisers and depths. */

/** Return the panel of one setting. `change` gets a part's name and its new value. */
function settingPanel(letter, axes, t, change) {
  const selects = {};
  const text = (part, value) => (typeof value === "number" ? plain(value) : t(`${part}s.${value}`));
  const rows = PARTS.map((part) => {
    const id = `${letter}-${part}`;
    const select = make("select", { id, onchange: () => change(part, valueOf(select, part, axes)) });
    selects[part] = select;
    return make("div", { class: "row" }, make("label", { for: id }, t(`controls.${part}`)), select);
  });
  const update = (setting) => {
    for (const part of PARTS) {
      const values = choices(axes, setting.optimizer)[part];
      const texts = values.map((value) => text(part, value));
      if (selects[part].dataset.values !== String(values)) {
        selects[part].replaceChildren(...values.map((value, at) => make("option", { value }, texts[at])));
        selects[part].dataset.values = values;
      }
      selects[part].value = setting[part];
    }
    selects.gain.disabled = axes.without_gain.includes(setting.init);
    selects.gain.title = selects.gain.disabled ? t("controls.no_gain") : "";
  };
  return { rows, update };
}

/** Return the chosen value of a part, a number where the part's values are numbers. */
function valueOf(select, part, axes) {
  const isNumber = part === "rate" || typeof axes[part]?.[0] === "number";
  return isNumber ? Number(select.value) : select.value;
}

/** Return the map: a table of buttons, one for each initialiser and depth. `choose` gets both. */
function initMap(axes, t, choose) {
  const buttons = new Map();
  const cell = (init, depth) => {
    const button = make("button", { type: "button", onclick: () => choose(init, depth) });
    buttons.set(`${init} ${depth}`, { button, init, depth });
    return make("td", {}, button);
  };
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, t("map.init")),
    ...axes.depth.map((depth) => make("th", { scope: "col" }, t("map.depth", { depth }))),
  );
  const lines = axes.init.map((init) =>
    make("tr", {}, make("th", { scope: "row" }, t(`inits.${init}`)), ...axes.depth.map((depth) => cell(init, depth))),
  );
  const table = make(
    "table",
    { class: "map" },
    make("caption", { class: "hidden" }, t("map.title")),
    make("thead", {}, head),
    make("tbody", {}, ...lines),
  );
  const update = (state, data) => {
    for (const { button, init, depth } of buttons.values()) updateCell(button, init, depth, state, data, t);
  };
  return { table, update };
}

/** Write the verdict of one cell of the map, and mark the cells of A and B. */
function updateCell(button, init, depth, state, data, t) {
  const setting = nearest(data.axes, { ...state.a, init, depth });
  const { kind, accuracy } = verdictOf(data, setting);
  const letters = shown(state)
    .filter(([, one]) => PARTS.every((part) => one[part] === setting[part]))
    .map(([letter]) => letter.toUpperCase());
  const words = [t(`kinds.${kind}`), percent(accuracy)];
  const name = `${t(`inits.${init}`)}, ${t("map.depth", { depth })}: ${words.join(", ")}`;
  button.className = classOf(kind);
  button.setAttribute("aria-label", name);
  button.setAttribute("aria-pressed", String(letters.includes("A")));
  const marks = letters.map((letter) => make("b", { class: `letter ${letter.toLowerCase()}` }, letter));
  button.replaceChildren(make("span", { class: "word" }, words[0], ...marks), make("span", {}, words[1]));
}
