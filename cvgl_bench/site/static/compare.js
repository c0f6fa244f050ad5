"use strict";
// Two entries side by side. Every text goes in as text; data files are scripts, since a page that is
// opened from a folder may not fetch.
(() => {
  const listing = JSON.parse(document.getElementById("listing").textContent);
  const at = (id) => document.getElementById(id);
  const [suite, one, other, view] = ["suite", "one", "other", "view"].map(at);
  const pairs = () => self.cvglPairs || {};
  const loading = new Map();

  function load(key) {
    if (!loading.has(key)) {
      loading.set(key, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = "data/" + key.split("/").map(encodeURIComponent).join("/") + ".js";
        script.onload = () => (key in pairs() ? done() : failed(new Error(key)));
        script.onerror = () => failed(new Error(key));
        document.head.append(script);
      }));
    }
    return loading.get(key);
  }

  function add(parent, tag, text, classes = "") {
    const element = document.createElement(tag);
    element.textContent = text;
    if (classes) element.className = classes;
    parent.append(element);
    return element;
  }

  function fill(select, options, chosen) {
    select.replaceChildren();
    for (const [value, text] of options) {
      const option = add(select, "option", text);
      option.value = value;
      option.selected = value === chosen;
    }
  }

  const plain = (value, digits) => {
    if (value === null) return "–";
    const text = Math.abs(value).toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
  };
  const signed = (value, digits) => {
    const text = plain(value, digits);
    return value > 0 && Number(text) !== 0 ? "+" + text : text;
  };
  const nameOf = (entry) =>
    listing[suite.value].entries.find(([own]) => own === entry)[1];

  function fillSuite(first, second, seen) {
    const { entries, views } = listing[suite.value];
    const known = (entry) => entries.some(([own]) => own === entry);
    const start = known(first) ? first : entries[0][0];
    const rest = entries.map(([own]) => own).filter((own) => own !== start);
    fill(one, entries, start);
    fill(other, entries, known(second) ? second : rest[0] || start);
    fill(view, views.map((name) => [name, name]), views.includes(seen) ? seen : views[0]);
    view.parentElement.hidden = views.length === 1;
  }

  // The pair as it was asked for, whichever way round it is stored.
  function pairOf(first, second) {
    const { order } = listing[suite.value];
    const turned = order.indexOf(first) > order.indexOf(second);
    const [stored, later] = turned ? [second, first] : [first, second];
    const found = pairs()[`${suite.value}/${stored}`][view.value].pairs[later];
    if (!turned) return found;
    const flip = { a: "b", b: "a", "-": "-" };
    const less = (value) => (value === null ? null : -value);
    return {
      d: found.d.map(([value, low, high]) => [less(value), less(high), less(low)]),
      c: [...found.c].map((mark) => flip[mark]).join(""),
      p: found.p,
    };
  }

  function verdictOf(difference, better) {
    const [value, low, high] = difference;
    if (value === null) return "";
    if (low === null) return "not known";
    if (low <= 0 && high >= 0) return "tied";
    return value > 0 === (better === "higher") ? nameOf(one.value) : nameOf(other.value);
  }

  function showAverages(pair, first, second) {
    const body = at("averages").tBodies[0];
    body.replaceChildren();
    listing[suite.value].metrics.forEach(([title, better], place) => {
      const [value, low, high] = pair.d[place];
      // No view but the whole panorama has a control for the codec.
      if (first.own[place] === null && second.own[place] === null) return;
      const verdict = verdictOf(pair.d[place], better);
      const row = add(body, "tr", "", verdict === "tied" || !verdict ? "" : "apart");
      add(row, "th", title).scope = "row";
      add(row, "td", signed(value, 1));
      add(row, "td", low === null ? "–" : `${signed(low, 1)} to ${signed(high, 1)}`);
      add(row, "td", plain(first.own[place], 1));
      add(row, "td", plain(second.own[place], 1));
      add(row, "td", verdict, "text");
    });
  }

  function showCells(pair, first, second) {
    const { corruptions, severities } = listing[suite.value];
    at("cells-part").hidden = !corruptions.length;
    const head = at("cells").tHead.rows[0];
    head.replaceChildren();
    for (const title of ["Corruption", ...severities]) add(head, "th", title).scope = "col";
    head.cells[0].className = "text";
    const body = at("cells").tBodies[0];
    body.replaceChildren();
    corruptions.forEach((name, row) => {
      const line = add(body, "tr", "");
      add(line, "th", name).scope = "row";
      severities.forEach((_, column) => {
        const place = row * severities.length + column;
        const value = first.cells[place] - second.cells[place];
        const mark = pair.c[place];
        const step = Math.min(4, Math.ceil(Math.abs(value) / 10));
        const tone = Math.abs(value) < 0.005 ? "d0" : `${value > 0 ? "up" : "down"}${step}`;
        const cell = add(line, "td", signed(value, 1), tone);
        const sign = { a: "▲", b: "▼", "-": "" }[mark];
        const said = { a: "first better", b: "second better", "-": "" }[mark];
        const shape = add(cell, "span", sign, "sign");
        shape.setAttribute("aria-hidden", "true");
        if (said) add(cell, "span", ` ${said}`, "hidden-text");
      });
    });
  }

  async function show() {
    const [first, second] = [one.value, other.value];
    const key = (entry) => `${suite.value}/${entry}`;
    history.replaceState(null, "", "#" + [suite.value, first, second, view.value].join("/"));
    if (first === second) {
      at("result").hidden = true;
      at("verdict").textContent = "Choose two different models.";
      return;
    }
    try {
      await Promise.all([load(key(first)), load(key(second))]);
    } catch (error) {
      at("result").hidden = true;
      at("verdict").textContent = `The numbers of ${error.message} are not in this folder.`;
      return;
    }
    if (first !== one.value || second !== other.value) return;
    const own = [first, second].map((entry) => pairs()[key(entry)][view.value]);
    const pair = pairOf(first, second);
    at("head-one").textContent = nameOf(first);
    at("head-other").textContent = nameOf(second);
    showAverages(pair, ...own);
    showCells(pair, ...own);
    at("result").hidden = false;
    at("verdict").textContent = summary(pair);
  }

  function summary(pair) {
    const titles = listing[suite.value].metrics.map(([title]) => title);
    const corrupted = titles.includes("R@1_cor");
    const main = corrupted ? "R@1_cor" : "R@1 clean";
    const [value, low, high] = pair.d[titles.indexOf(main)];
    if (value === null || low === null) return `Their difference in ${main} is not defined.`;
    const verdict = verdictOf([value, low, high], "higher");
    const range = `${signed(low, 1)} to ${signed(high, 1)}`;
    const p = pair.p === null || pair.p >= 0.001 ? `= ${pair.p}` : "< 0.001";
    const test = pair.p === null ? "" : `; paired t-test p ${p}`;
    const tail = `(${signed(value, 1)} points, ${range}${test}).`;
    const where = corrupted ? "Under corruption" : "Without corruption";
    return verdict === "tied"
      ? `${where} they are tied in ${main} ${tail}`
      : `${where} ${verdict} finds more ${tail}`;
  }

  function follow() {
    const [asked, ...rest] = location.hash.slice(1).split("/").map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return "";
      }
    });
    if (Object.hasOwn(listing, asked)) suite.value = asked;
    fillSuite(...rest);
    show();
  }

  suite.parentElement.hidden = Object.keys(listing).length === 1;
  suite.addEventListener("change", () => {
    fillSuite();
    show();
  });
  for (const select of [one, other, view]) select.addEventListener("change", show);
  at("swap").addEventListener("click", () => {
    [one.value, other.value] = [other.value, one.value];
    show();
  });
  at("choice").addEventListener("submit", (event) => event.preventDefault());
  at("choice").hidden = false;
  // A link to another pair of the page that is open.
  self.addEventListener("hashchange", follow);
  follow();
})();
