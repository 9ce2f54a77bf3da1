// Tables sort by their headers and long ones can be filtered; without this script they stand as
// they are; so do units, of which it shows the one that is picked. A group of rows (our figure with the published one beneath) moves as one.
"use strict";
for (const table of document.querySelectorAll("table[data-sort]")) {
  const headers = [...table.tHead.rows[0].cells];
  const key = (body, column) => body.rows[0].cells[column].textContent.trim();
  const number = (text) => {
    const found = text.replace("−", "-").replace(/[\s,]/g, "").match(/^≈?([+-]?[\d.]+(e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return a.localeCompare(b, undefined, { numeric: true });
  };
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      const bodies = [...table.tBodies];
      bodies.sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)));
      table.append(...bodies);
    });
  });
}
for (const table of document.querySelectorAll("table[data-filter]")) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  label.className = "filter soft";
  input.type = "search";
  label.append(`${table.dataset.filter}: `, input, " ", count);
  table.closest(".scroll").before(label);
  input.addEventListener("input", () => {
    const asked = input.value.toLowerCase();
    let shown = 0;
    for (const body of table.tBodies) {
      body.hidden = !body.rows[0].cells[0].textContent.toLowerCase().includes(asked);
      shown += body.hidden ? 0 : 1;
    }
    count.textContent = asked ? `${shown} of ${table.tBodies.length}` : "";
  });
}
for (const units of document.querySelectorAll(".units")) {
  const figures = [...units.querySelectorAll("figure[data-unit]")];
  const picker = document.createElement("div");
  picker.className = "picker";
  picker.setAttribute("role", "group");
  picker.setAttribute("aria-label", "unit");
  const pick = (unit) => {
    for (const figure of figures) figure.hidden = unit !== "all" && figure.dataset.unit !== unit;
    for (const button of picker.children) {
      button.setAttribute("aria-pressed", String(button.textContent === unit));
    }
  };
  for (const unit of [...figures.map((figure) => figure.dataset.unit), "all"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = unit;
    button.addEventListener("click", () => pick(unit));
    picker.append(button);
  }
  figures[0].before(picker);
  pick(figures[0].dataset.unit);
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
