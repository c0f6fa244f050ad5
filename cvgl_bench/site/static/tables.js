"use strict";
// Tables that are read without this script become sortable and filterable with it.
(() => {
  const at = (id) => document.getElementById(id);
  const tables = [...document.querySelectorAll("table.ranked")];
  const order = new Intl.Collator("en", { numeric: true });

  function keyOf(row, column) {
    return row.cells[column].dataset.key;
  }

  // Numbers by size and texts by letters; what has no number comes last, whichever way round.
  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const numeric = rows.every((row) => !Number.isNaN(Number(keyOf(row, column))));
    rows.sort((one, other) => {
      const [a, b] = [keyOf(one, column), keyOf(other, column)];
      if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
      const apart = numeric ? Number(a) - Number(b) : order.compare(a, b);
      return (descending ? -apart : apart) || one.dataset.row - other.dataset.row;
    });
    body.append(...rows);
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(table, column, now ? now === "ascending" : head.dataset.better === "higher");
      });
    });
  }

  function filter() {
    const wanted = at("find").value.trim().toLowerCase();
    const status = at("status").value;
    const view = at("view") ? at("view").value : "";
    let shown = 0;
    let all = 0;
    for (const section of document.querySelectorAll("section.view")) {
      const visible = !view || section.dataset.view === view;
      section.hidden = !visible;
      for (const row of section.querySelectorAll("tbody tr")) {
        const name = row.cells[0].textContent.toLowerCase();
        row.hidden = !(name.includes(wanted) && (!status || row.dataset.status === status));
        all += visible ? 1 : 0;
        shown += visible && !row.hidden ? 1 : 0;
      }
    }
    at("count").textContent = `${shown} of ${all} rows shown`;
  }

  function showColumns() {
    for (const box of document.querySelectorAll("[data-group]")) {
      for (const table of tables) table.classList.toggle(`no-${box.dataset.group}`, !box.checked);
    }
  }

  // The corruption columns can show one severity in place of the mean.
  function showSeverity() {
    const severity = at("severity").value;
    document.querySelectorAll("section.view").forEach((section) => {
      const table = section.querySelector("table.ranked");
      const cells = JSON.parse(section.querySelector("script.cells").textContent);
      const steps = Number(table.dataset.severities);
      const columns = [...table.tHead.rows[0].cells]
        .map((head, column) => (head.hasAttribute("data-corruption") ? column : -1))
        .filter((column) => column >= 0);
      for (const row of table.tBodies[0].rows) {
        columns.forEach((column, number) => {
          const cell = row.cells[column];
          if (!means.has(cell)) means.set(cell, [[...cell.childNodes], cell.dataset.key]);
          if (severity === "") {
            const [nodes, key] = means.get(cell);
            cell.replaceChildren(...nodes);
            cell.dataset.key = key;
          } else {
            const value = cells[row.dataset.row][number * steps + Number(severity)] / 100;
            cell.textContent = value.toFixed(1);
            cell.dataset.key = String(value);
          }
        });
      }
      const head = table.tHead.rows[0].querySelector("[data-corruption][aria-sort]");
      if (head) sort(table, head.cellIndex, head.getAttribute("aria-sort") === "descending");
    });
    if (severity !== "") {
      document.querySelector('[data-group="corruption"]').checked = true;
      showColumns();
    }
  }
  const means = new Map();

  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("find").addEventListener("input", filter);
  for (const id of ["status", "view"]) if (at(id)) at(id).addEventListener("change", filter);
  if (at("severity")) at("severity").addEventListener("change", showSeverity);
  for (const box of document.querySelectorAll("[data-group]")) box.addEventListener("change", showColumns);
  at("controls").hidden = false;
  at("count").hidden = false;
  showColumns();
  filter();
})();
