/* The page: its parts, and what a change of the state does to each. */

let measured = null;
let state = null;
let t = null;
let parts = {};

/** Read the embedded data and show the page. */
async function start() {
  const payload = JSON.parse(byId("payload").textContent);
  measured = measurements(payload, await readFields(payload));
  state = stateFrom(location.hash, payload.axes, navigator.language.startsWith("ko") ? "ko" : "en");
  const asked = answerable(measured).find(({ id }) => id === state.question);
  if (asked && !location.hash.includes("a=")) Object.assign(state, asked.settings(measured));
  build();
  window.addEventListener("hashchange", () => {
    const language = state.language;
    state = stateFrom(location.hash, payload.axes, language);
    if (state.language === language) update();
    else build();
  });
  byId("language").addEventListener("click", () => {
    state.language = state.language === "en" ? "ko" : "en";
    build();
  });
  byId("theme").addEventListener("change", () => set({ theme: byId("theme").value }));
  byId("pair").addEventListener("click", comparePair);
  byId("compare").addEventListener("change", () => choose({ b: byId("compare").checked ? firstB() : null }));
  byId("layer").addEventListener("change", () => set({ layer: byId("layer").value }));
  document.body.dataset.ready = "yes";
}

/** Change the state, and show the change. */
function set(changes) {
  Object.assign(state, changes);
  update();
}

/** Return the first setting B: that of A, with He's weights or, if A has them, Xavier's. */
function firstB() {
  const init = state.a.init === "kaiming_normal" ? "xavier_normal" : "kaiming_normal";
  return nearest(measured.axes, { ...state.a, init });
}

/** Change the settings: an answer to a question is then no longer about them. */
function choose(changes) {
  set({ ...changes, question: null });
}

/** Compare torch's default with Flax's, where they differ most: in ten ReLU layers under SGD. */
function comparePair() {
  const of = (init) => nearest(measured.axes, { ...deep({ init, depth: 10 }), width: state.a.width });
  choose({ a: of("torch_default"), b: of("flax_default") });
}

/** Make every part in the current language, then show the state. */
function build() {
  t = translator(JSON.parse(byId(`texts-${state.language}`).textContent));
  document.documentElement.lang = state.language;
  document.title = t("page.title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  const { steps, seeds } = measured.payload;
  byId("training-about").textContent = t("parts.training.about", { steps, seeds: seeds.length });
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", t(element.dataset.label));
  for (const image of document.querySelectorAll("[data-alt]")) image.alt = t(image.dataset.alt);
  const { axes } = measured;
  const change = (letter) => (part, value) => choose({ [letter]: changed(axes, state[letter], part, value) });
  const panels = Object.fromEntries(
    ["a", "b"].map((letter) => [letter, settingPanel(letter, axes, t, change(letter))]),
  );
  for (const [letter, { rows }] of Object.entries(panels)) byId(`rows-${letter}`).replaceChildren(...rows);
  const map = initMap(axes, t, (init, depth) => choose({ a: nearest(axes, { ...state.a, init, depth }) }));
  byId("map-place").replaceChildren(map.table);
  byId("layer").replaceChildren(...FOLLOWED.map((name) => make("option", { value: name }, t(`layers.${name}`))));
  byId("language").lang = state.language === "en" ? "ko" : "en";
  byId("questions").replaceChildren(...answerable(measured).map(questionButton));
  parts.cards?.stop();
  parts = { panels, map, cards: buildCards() };
  byId("facts").replaceChildren(...sourceFacts(measured, t));
  update();
}

/** Return the button of a question. */
function questionButton({ id, settings }) {
  const ask = () => {
    const { a, b } = settings(measured);
    set({ a, b, question: id });
  };
  return make(
    "li",
    {},
    make("button", { type: "button", "data-question": id, onclick: ask }, t(`questions.${id}.ask`)),
  );
}

/** Show the state: the controls, the verdicts, the map, the answer, and the charts in sight. */
function update() {
  history.replaceState(null, "", hashOf(state));
  applyTheme(state.theme);
  byId("theme").value = state.theme;
  byId("compare").checked = state.b !== null;
  byId("layer").value = state.layer;
  byId("panel-b").hidden = state.b === null;
  for (const [letter, setting] of shown(state)) {
    parts.panels[letter].update(setting);
    showVerdict(letter, setting);
  }
  parts.map.update(state, measured);
  byId("map-about").textContent = t("map.about", { settings: othersInWords(state.a, t) });
  showAnswer();
  parts.cards.update();
}

/** Write the verdict of A or B. */
function showVerdict(letter, setting) {
  const { kind, reason, rest } = verdictInWords(verdictOf(measured, setting), measured, t);
  const place = byId(`verdict-${letter}`);
  place.className = `outcome ${classOf(verdictOf(measured, setting).kind)}`;
  place.replaceChildren(make("strong", {}, `${kind}: ${reason}.`), ` ${rest}`);
}

/** Write the answer to the chosen question. Its numbers are those of the question's own settings. */
function showAnswer() {
  const question = answerable(measured).find(({ id }) => id === state.question);
  byId("answer").hidden = !question;
  for (const button of document.querySelectorAll("[data-question]")) {
    button.setAttribute("aria-pressed", String(button.dataset.question === state.question));
  }
  if (!question) return;
  const values = question.values(measured, question.settings(measured), t);
  const look = question.charts.map((id) =>
    make("button", { type: "button", class: "jump", onclick: () => jumpTo(id) }, titleOf(id)),
  );
  byId("answer").replaceChildren(
    make("p", {}, t(`questions.${question.id}.answer`, values)),
    make("p", { class: "look" }, t("questions.look"), " ", ...look),
  );
}

/** Return the title of a chart, or of the map. */
function titleOf(id) {
  return byId(id === "map" ? "map-title" : `title-${id}`).textContent;
}

/** Scroll to a chart and move the focus there. */
function jumpTo(id) {
  const target = byId(id === "map" ? "map-place" : `chart-${id}`);
  target.scrollIntoView({ block: "start" });
  (target.querySelector(".plot") ?? target).focus({ preventScroll: true });
}

/** Choose the colours: those of the system, or always the light or the dark ones. */
function applyTheme(theme) {
  const query = { auto: "(prefers-color-scheme: dark)", light: "not all", dark: "all" }[theme];
  for (const sheet of document.styleSheets) {
    for (const rule of sheet.cssRules) {
      if (rule instanceof CSSMediaRule && (dark.has(rule) || rule.media.mediaText.includes("prefers-color-scheme"))) {
        dark.add(rule);
        if (rule.media.mediaText !== query) rule.media.mediaText = query;
      }
    }
  }
  document.documentElement.style.colorScheme = theme === "auto" ? "light dark" : theme;
}

/** The rules of dark pages, once found. */
const dark = new Set();

start().catch((error) => {
  byId("failed").hidden = false;
  throw error;
});
