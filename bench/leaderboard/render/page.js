
// the number of a cell, which is not written where it is what the cell shows
const numberOf = cell => cell.dataset.number ?? (/^-?[0-9.]+$/.test(cell.textContent) ? cell.textContent : undefined);

const sorting = table => {
  // equal rows keep the order of the page, so that an order does not depend on those before it
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0], rows = [...body.rows];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    body.append(...[...rows].sort((a, b) => {
      const x = a.cells[column], y = b.cells[column];
      const s = x.textContent, t = y.textContent;
      if (head.classList.contains("text")) return sign * (s < t ? -1 : s > t);
      const m = numberOf(x), n = numberOf(y);
      if (m === undefined || n === undefined) return (m === undefined) - (n === undefined);
      return sign * (m - n);
    }));
  }));
};

// every word of the filter must stand somewhere in a row
const fits = (row, filter) => {
  const content = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every(word => content.includes(word));
};

const element = (name, attributes, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

// without a script the page has no boxes that do nothing: they are made here
const tools = table => {
  const rows = [...table.tBodies[0].rows];
  const count = element("span", {}), search = element("input", {type: "search"});
  search.addEventListener("input", () => {
    rows.forEach(row => { row.hidden = !fits(row, search.value); });
    const shown = rows.filter(row => !row.hidden).length;
    count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  });
  const boxes = [...table.tHead.rows[0].cells].map((head, column) => {
    const box = element("input", {type: "checkbox", checked: true});
    box.addEventListener("change", () => {
      [...table.rows].forEach(row => { row.cells[column].hidden = !box.checked; });
    });
    return element("label", {}, box, ` ${head.textContent}`);
  });
  const columns = element("details", {}, element("summary", {textContent: "Columns"}), element("fieldset", {}, ...boxes));
  const bar = element("div", {className: "tools"}, element("label", {}, "Filter rows ", search), columns, count);
  table.parentElement.before(bar);
};

for (const table of document.querySelectorAll("table")) {
  sorting(table);
  if (table.tBodies[0].rows.length > 3) tools(table);
}
