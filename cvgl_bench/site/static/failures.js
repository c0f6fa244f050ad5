"use strict";

/* The failure explorer. A script a leaderboard and one a model call `board` and `answers` below with plain
   data. Names and ids become text nodes; paths are made of numbers and of a model's encoded name. */
const cvglFailures = (() => {
  const PAGE = 20;
  const TOP = 5;
  const MOST_NAMES = 6;
  const form = document.getElementById("choices");
  const field = (name) => form.elements[name];
  const models = new Map();
  let all = null;
  let shown = PAGE;

  /* What is chosen; the address after # keeps it, so that a link can be sent. */
  const NAMES = ["model", "view", "corruption", "severity", "show", "other", "sort"];

  function choices() {
    const chosen = {};
    for (const name of NAMES) chosen[name] = field(name) ? field(name).value : "";
    const severity = Number(chosen.severity);
    chosen.cell = all.cells.findIndex((cell) => cell[0] === chosen.view
      && cell[1] === chosen.corruption && (cell[2] === severity || cell[2] === 0));
    chosen.clean = all.cells.findIndex((cell) => cell[0] === chosen.view && cell[1] === "clean");
    return chosen;
  }

  function readAddress() {
    const told = new URLSearchParams(location.hash.slice(1));
    const first = all.cells.find((cell) => cell[2] > 0) || all.cells[all.cells.length - 1];
    const usual = { model: "", view: all.cells[0][0], corruption: first[1], severity: "3",
      show: "all", other: all.models[0], sort: "worst" };
    for (const name of NAMES) {
      const control = field(name);
      if (!control || control.type === "hidden") continue;
      const options = [...(control.options || form.querySelectorAll(`input[name="${name}"]`))];
      const values = options.map((option) => option.value);
      const value = [told.get(name), usual[name], values[0]].find((one) => values.includes(one));
      const option = options[values.indexOf(value)];
      if (control.options) option.selected = true;
      else option.checked = true;
    }
    fitChoices();
  }

  function writeAddress(chosen) {
    const told = new URLSearchParams();
    for (const name of NAMES) {
      if (name === "other" && chosen.show !== "versus") continue;
      if (name === "view" && field(name).type === "hidden") continue;
      if (name === "severity" && all.cells[chosen.cell][2] === 0) continue;
      if (chosen[name]) told.set(name, chosen[name]);
    }
    history.replaceState(null, "", `#${told}`);
  }

  /* Only what makes sense can be chosen: some filters are of one model, some of all together. */
  function fitChoices() {
    const one = field("model").value !== "";
    for (const name of ["show", "sort"]) {
      for (const option of field(name).options) {
        option.hidden = option.disabled = one ? "all" in option.dataset : "one" in option.dataset;
      }
      if (field(name).selectedOptions[0].disabled) field(name).selectedIndex = 0;
    }
    document.getElementById("other-field").hidden = field("show").value !== "versus";
    const severities = document.getElementById("severities");
    if (severities) {
      const corruption = field("corruption").value;
      severities.disabled = !all.cells.some((cell) => cell[1] === corruption && cell[2] > 0);
    }
  }

  const nameOf = (entry) => all.names[all.models.indexOf(entry)];

  /* Which models are right: a bit each, eight to a pair of hexadecimal digits; see `hits` of
     failure_data.board_script. */
  function rightIn(cell, query) {
    const pairs = Math.ceil(all.models.length / 8);
    return all.models.filter((_, model) => {
      const at = 2 * (query * pairs + (model >> 3));
      return (parseInt(all.hits[cell].slice(at, at + 2), 16) >> (model & 7)) & 1;
    });
  }

  /* A model's answers come with a script of its own, when they are first asked for. */
  function load(entry) {
    if (!models.has(entry)) {
      const script = document.createElement("script");
      const come = new Promise((resolve, reject) => {
        script.onload = () => resolve();
        script.onerror = () => {
          models.delete(entry);
          reject(new Error(`the answers of ${nameOf(entry)} cannot be loaded`));
        };
      });
      models.set(entry, { come, answers: null });
      script.src = `${form.dataset.folder}${encodeURIComponent(entry)}.js`;
      document.head.append(script);
    }
    return models.get(entry).come;
  }

  const answersOf = (entry) => models.get(entry).answers;

  /* The numbers of the queries that a filter leaves, in the order that was asked for. */
  function select(chosen) {
    const { cell, clean } = chosen;
    const queries = Array.from({ length: all.shown }, (_, query) => query);
    const right = queries.map((query) => rightIn(cell, query).length);
    const mine = chosen.model ? answersOf(chosen.model).ranks : null;
    const theirs = chosen.show === "versus" ? answersOf(chosen.other).ranks : null;
    const same = all.cells.map((_, number) => number).filter((number) =>
      all.cells[number][0] === chosen.view && all.cells[number][1] === chosen.corruption);
    const keeps = {
      all: () => true,
      wrong: (query) => mine[cell][query] > 1,
      lost: (query) => mine[clean][query] === 1 && mine[cell][query] > 1,
      right: (query) => mine[cell][query] === 1,
      throughout: (query) => same.every((number) => mine[number][query] > 1),
      versus: (query) => mine[cell][query] === 1 && theirs[cell][query] > 1,
      nobody: (query) => right[query] === 0,
      some: (query) => right[query] > 0 && right[query] < all.models.length,
      everybody: (query) => right[query] === all.models.length,
    }[chosen.show];
    const rank = (query) => (mine ? mine[cell][query] : -right[query]);
    const metres = chosen.model ? answersOf(chosen.model).metres[cell] : null;
    const far = (query) => (metres ? metres[query] ?? -1 : 0);
    const id = (a, b) => (all.ids[a] < all.ids[b] ? -1 : 1);
    const orders = {
      worst: (a, b) => rank(b) - rank(a) || id(a, b),
      best: (a, b) => rank(a) - rank(b) || id(a, b),
      far: (a, b) => far(b) - far(a) || id(a, b),
      id,
    };
    return queries.filter(keeps).sort(orders[chosen.sort]);
  }

  /* An element with a class, and texts or elements in it. */
  function make(tag, kind, ...inside) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...inside);
    return element;
  }

  function picture(path, text) {
    const image = make("img", "");
    image.loading = "lazy";
    image.alt = text;
    image.src = `${form.dataset.folder}${path}`;
    return image;
  }

  const cellName = ([, corruption, severity]) =>
    corruption.replaceAll("_", " ") + (severity ? ` ${severity}` : "");

  function query(number, cell) {
    const name = cellName(all.cells[cell]);
    const there = all.pictures && all.pictures.cells[cell];
    const figure = make("figure", "query");
    if (there && there.includes(number)) {
      figure.append(picture(`query-${cell}-${number}.webp`, `Query ${all.ids[number]}, ${name}`));
    } else if (all.pictures) {
      figure.append(make("p", "absent", "picture not included"));
    }
    figure.append(make("figcaption", "", name));
    return figure;
  }

  function tile(place, number, label) {
    const isTrue = place === number;
    const figure = make("figure", isTrue ? "tile true" : "tile");
    if (all.pictures && all.pictures.tiles.includes(place)) {
      figure.append(picture(`tile-${place}.webp`, `Tile ${all.ids[place]}`));
    }
    const caption = make("figcaption", "", make("b", "", label), " ");
    caption.append(make("span", "id", all.ids[place]));
    if (isTrue) caption.append(make("strong", "", "true tile"));
    figure.append(caption);
    return figure;
  }

  /* What a model answered: in words, and the tiles that it held most similar. */
  function answer(number, chosen) {
    const { ranks, top, metres } = answersOf(chosen.model);
    const rank = ranks[chosen.cell][number];
    const tiles = make("div", "tiles");
    const places = top[chosen.cell];
    const width = places ? places.length / all.shown : 0;
    const own = places ? places.slice(number * width, (number + 1) * width) : [];
    own.slice(0, TOP).forEach((place, i) => tiles.append(tile(place, number, `${i + 1}`)));
    if (!own.includes(number)) tiles.append(tile(number, number, `rank ${rank}`));
    const far = metres[chosen.cell];
    const words = [rank === 1 ? "right" : `wrong: the true tile has rank ${rank}`];
    if (far) words.push(`found ${far[number]?.toLocaleString("en") ?? "–"} m away`);
    const before = ranks[chosen.clean][number];
    if (chosen.cell !== chosen.clean) {
      words.push(before === 1 ? "right when clean" : `rank ${before} when clean`);
    }
    return [words.join("; "), tiles];
  }

  /* How many models are right, and the names of those that are, or of those that are not. */
  function verdict(number, chosen) {
    const count = all.models.length;
    const right = rightIn(chosen.cell, number);
    const words = `right for ${right.length} of ${count} ${count === 1 ? "model" : "models"}`;
    if (chosen.model || right.length === 0 || right.length === count) return words;
    const wrong = all.models.filter((model) => !right.includes(model));
    const fewer = right.length <= wrong.length ? right : wrong;
    const names = fewer.slice(0, MOST_NAMES).map(nameOf).join(", ");
    const more = fewer.length > MOST_NAMES ? ` and ${fewer.length - MOST_NAMES} more` : "";
    return `${words}${fewer === right ? ": " : ", wrong for "}${names}${more}`;
  }

  function item(number, chosen) {
    const of = verdict(number, chosen);
    const [words, tiles] = chosen.model ? answer(number, chosen)
      : ["", make("div", "tiles", tile(number, number, ""))];
    const heading = make("h2", "", make("span", "id", all.ids[number]));
    const sides = make("div", "pictures", query(number, chosen.clean));
    if (chosen.cell !== chosen.clean) sides.append(query(number, chosen.cell));
    const facts = make("p", "facts", words ? `${words}; ${of}` : of);
    return make("li", "", make("div", "heading", heading, facts), make("div", "both", sides, tiles));
  }

  function say(chosen, found) {
    const { model, other, cell } = chosen;
    const filter = {
      all: "",
      versus: `: right for ${nameOf(model)}, wrong for ${nameOf(other)}`,
    }[chosen.show] ?? `: ${field("show").selectedOptions[0].textContent}`;
    const part = all.shown < all.queries;
    let words = part ? `${found} of the ${all.shown} hardest queries, of ${all.queries}${filter}.`
      : `${found} of ${all.shown} queries${filter}.`;
    if (model) {
      const right = answersOf(model).ranks[cell].filter((rank) => rank === 1).length;
      const where = cellName(all.cells[cell]);
      const inAll = answersOf(model).right[cell];
      words += part
        ? ` Of the ${all.shown} hardest, ${nameOf(model)} gets ${right} right in ${where}; ${inAll} of ${all.queries} in all.`
        : ` ${nameOf(model)} gets ${right} of ${all.shown} right in ${where}.`;
    }
    document.getElementById("count").textContent = words;
  }

  async function update() {
    fitChoices();
    const chosen = choices();
    writeAddress(chosen);
    const needed = [chosen.model, chosen.show === "versus" ? chosen.other : ""].filter(Boolean);
    const list = document.getElementById("queries");
    const more = document.getElementById("more");
    try {
      await Promise.all(needed.map(load));
    } catch (error) {
      document.getElementById("count").textContent = `Nothing to show: ${error.message}.`;
      list.replaceChildren();
      more.hidden = true;
      return;
    }
    /* While the answers were coming, something else may have been chosen. */
    if (JSON.stringify(choices()) !== JSON.stringify(chosen)) return;
    const found = select(chosen);
    list.className = chosen.model ? "queries" : "queries together";
    list.replaceChildren(...found.slice(0, shown).map((number) => item(number, chosen)));
    const left = found.length - shown;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(PAGE, left)} more of ${left}`;
    say(chosen, found.length);
  }

  function showMore() {
    const list = document.getElementById("queries");
    const before = list.children.length;
    shown += PAGE;
    /* The keyboard goes on at the first of the new ones. */
    update().then(() => {
      const next = list.children[before];
      if (next) { next.tabIndex = -1; next.focus(); }
    });
  }

  function board(data) {
    all = data;
    readAddress();
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => { shown = PAGE; update(); });
    document.getElementById("more").addEventListener("click", showMore);
    window.addEventListener("hashchange", () => { shown = PAGE; readAddress(); update(); });
    update();
  }

  return { board, answers: (data) => { models.get(data.model).answers = data; } };
})();
