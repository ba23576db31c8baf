
// The explorer: what a page shows beyond its tables. Everything comes from the data block; nothing is loaded.
const BOARDS = JSON.parse(document.getElementById("data").textContent);
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const decoded = text => (text || "").match(/../g)?.map(pair =>
  pair === ".." ? null : (64 * DIGITS.indexOf(pair[0]) + DIGITS.indexOf(pair[1])) / 4095) ?? [];
const percent = share => share === null || share === undefined ? "–" : (100 * share).toFixed(1);
const three = number => {
  if (number === null || number === undefined) return "–";
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return `${Number((number / size).toPrecision(3))} ${unit}`;
  }
  return `${Number(number.toPrecision(3))}`;
};
const SVG = "http://www.w3.org/2000/svg";
const drawn = (name, attributes, ...children) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const button = (words, act, attributes = {}) => {
  const made = element("button", {type: "button", textContent: words});
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.addEventListener("click", act);
  return made;
};
const listed = pairs => element("ul", {}, ...pairs.map(([head, words]) =>
  element("li", {}, element("b", {textContent: head}), ": ", words)));
const small = (heads, rows, caption) => {
  const cell = (kind, content) => {
    const made = element(kind, {});
    made.append(content instanceof Node ? content : `${content}`);
    return made;
  };
  return element("div", {className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption}, element("table", {},
    element("caption", {textContent: caption}),
    element("thead", {}, element("tr", {}, ...heads.map(words => cell("th", words)))),
    element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map((content, i) => cell(i ? "td" : "th", content)))))));
};

class Explorer {
  constructor(section, board, number) {
    Object.assign(this, {section, board, number, pins: [], open: null, axis: 0, limits: {}, cell: null, run: null, latest: "", opened: new Set()});
    this.table = section.querySelector("table.main");
    this.rows = [...this.table.tBodies[0].rows];
    this.heads = [...this.table.tHead.rows[0].cells].map(head => head.textContent);
    this.anchors = this.rows.map(row => row.dataset.row);
    this.plot = element("div", {className: "plot-box"});
    this.panel = element("div", {className: "panel"});
    this.status = element("p", {className: "soft", role: "status"});
    this.bar = element("div", {className: "bar"});
    const box = element("div", {className: "explorer"}, this.bar, element("div", {className: "split"}, this.plot, this.panel));
    this.wide = this.table.parentElement;
    const tools = this.wide.previousElementSibling;
    this.tools = tools?.classList.contains("tools") ? tools : null;
    (this.tools ?? this.wide).before(box);
    section.querySelectorAll(".plots, .further").forEach(each => each.remove());
    this.makeBar();
    this.makeTable();
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  // ---- what is above the plot
  makeBar() {
    const {axes} = this.board;
    if (axes.length) {
      this.select = element("select", {}, ...axes.map(([, words], i) => element("option", {value: i, textContent: words})));
      this.select.addEventListener("change", () => { this.axis = Number(this.select.value); this.draw(); });
      this.bar.append(element("label", {}, "Axis ", this.select));
    }
    const budgets = [
      ["int8", "int8 weights", row => row.int8, n => `${three(n)}B`, 128e3],
      ["macs", "MACs of the model", row => row.modelMacs, three, 30e6],
      ["ms", "CPU ms", row => this.cost(row, "cpu"), n => `${three(n)} ms`, 10],
    ];
    this.sliders = {};
    const boxes = [];
    for (const [name, words, value, said, usual] of budgets) {
      const found = this.board.rows.map(value).filter(v => v > 0);
      if (found.length < 2) continue;
      const low = Math.log10(Math.min(usual, ...found)), high = Math.log10(Math.max(usual, ...found)) + 1e-9;
      const slider = element("input", {type: "range", min: 0, max: 100, value: 100});
      const shown = element("output", {textContent: "no limit"});
      const limit = () => Number(slider.value) >= 100 ? null : 10 ** (low + (high - low) * slider.value / 100);
      const apply = () => { this.limits[name] = limit(); this.show(); };
      const show = () => { shown.textContent = this.limits[name] ? `≤ ${said(this.limits[name])}` : "no limit"; };
      slider.addEventListener("input", apply);
      const set = number => {
        this.limits[name] = number;
        slider.value = number ? Math.min(99, Math.round(100 * (Math.log10(number) - low) / (high - low))) : 100;
      };
      this.sliders[name] = {value, show, set, usual};
      boxes.push(element("label", {}, `${words} `, slider, " ", shown));
    }
    if (boxes.length) {
      const fit = names => () => {
        for (const [name, slider] of Object.entries(this.sliders)) slider.set(names.includes(name) ? slider.usual : null);
        this.show();
      };
      this.bar.append(element("fieldset", {}, element("legend", {textContent: "Budget"}), ...boxes,
        button("128 kB and 30 MMACs", fit(["int8", "macs"])), button("10 ms", fit(["ms"])), button("no limit", fit([]))));
    }
    this.csv = element("textarea", {readOnly: true, rows: 4, hidden: true, ariaLabel: "CSV of what is shown"});
    this.bar.append(button("Copy CSV", () => this.copy()), button("Unpin all", () => { this.pins = []; this.show(); }),
      this.status, this.csv);
  }

  cost(row, name) {
    const at = this.board.axes.findIndex(axis => axis[0] === name);
    return at < 0 ? null : row.costs[at];
  }

  fits(row) {
    return Object.entries(this.limits).every(([name, limit]) => {
      const value = this.sliders[name]?.value(row);
      return !limit || (value !== null && value !== undefined && value <= limit);
    });
  }

  async copy() {
    this.csv.value = this.csvText();
    this.csv.hidden = false;
    this.csv.select();
    let done = false;
    try { await navigator.clipboard.writeText(this.csv.value); done = true; } catch { done = document.execCommand("copy"); }
    this.status.textContent = done ? "Copied the rows and columns that are shown." : "Press Ctrl+C to copy.";
  }

  csvText() {
    const quoted = words => {
      const text = words.trim().replace(/\s+/g, " ");
      const safe = /^[=+@]|^-\D/.test(text) ? `'${text}` : text;
      return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const line = row => [...row.cells].filter(cell => !cell.hidden)
      .map(cell => quoted(cell.querySelector("a, button:not(.pin)")?.parentElement === cell ? this.words(cell) : cell.textContent));
    const rows = [...this.table.tBodies[0].rows].filter(row => !row.hidden && !row.classList.contains("over"));
    return [this.table.tHead.rows[0], ...rows].map(row => line(row).join(",")).join("\n") + "\n";
  }

  words(cell) {
    return [...cell.childNodes].filter(node => !(node.classList?.contains("pin"))).map(node => node.textContent).join(" ");
  }

  // ---- the table: pins, hover, and cells that open
  makeTable() {
    this.table.setAttribute("role", "grid");
    this.buttons = this.rows.map((row, i) => {
      const name = this.board.rows[i].name;
      const pin = button("", () => this.pin(i), {class: "pin", "aria-pressed": "false", "aria-label": `Pin ${name}`, title: "Pin"});
      row.cells[0].prepend(pin, " ");
      row.addEventListener("mouseenter", () => this.hover(i));
      row.addEventListener("mouseleave", () => this.hover(null));
      row.cells[0].querySelector("a").addEventListener("click", event => {
        event.preventDefault();
        this.show(i, 0);
      });
      [...row.cells].forEach((cell, column) => {
        if (!column) return;
        cell.tabIndex = -1;
        cell.addEventListener("click", () => this.show(i, column));
      });
      return pin;
    });
    if (this.rows[0]?.cells[1]) this.rows[0].cells[1].tabIndex = 0;
    this.table.tBodies[0].addEventListener("keydown", event => {
      const cell = event.target.closest("td");
      if (!cell || event.target !== cell) return;
      const row = cell.parentElement, column = cell.cellIndex;
      const near = (from, step) => {
        for (let next = from[step]; next; next = next[step]) if (next.offsetParent !== null && next.matches("td, tr")) return next;
        return null;
      };
      const [along, step] = {
        ArrowRight: ["cell", "nextElementSibling"], ArrowLeft: ["cell", "previousElementSibling"],
        ArrowDown: ["row", "nextElementSibling"], ArrowUp: ["row", "previousElementSibling"],
      }[event.key] ?? [];
      if (along) {
        const next = along === "cell" ? near(cell, step) : near(row, step)?.cells[column];
        if (next) {
          cell.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
        }
        event.preventDefault();
      } else if (event.key === "Enter" || event.key === " ") {
        this.show(this.rows.indexOf(row), column);
        event.preventDefault();
      }
    });
  }

  pin(i) {
    this.pins = this.pins.includes(i) ? this.pins.filter(other => other !== i) : [...this.pins, i].slice(-2);
    this.latest = "pin";
    this.show();
  }

  hover(i) {
    this.rows.forEach((row, other) => row.classList.toggle("hot", other === i));
    this.points?.forEach((point, other) => point?.classList.toggle("hot", other === i));
  }

  // ---- everything again, after any change
  show(row, column) {
    if (row !== undefined) [this.open, this.cell, this.run, this.latest] = [[row, column], null, null, "open"];
    this.rows.forEach((each, i) => {
      const fits = this.fits(this.board.rows[i]);
      each.classList.toggle("over", !fits);
      each.classList.toggle("pinned", this.pins.includes(i));
      this.buttons[i].setAttribute("aria-pressed", this.pins.includes(i));
      [...each.cells].forEach((cell, at) => cell.classList.toggle("open", this.open?.[0] === i && this.open?.[1] === at));
    });
    for (const slider of Object.values(this.sliders)) slider.show();
    const left = this.board.rows.filter(each => !this.fits(each)).length;
    this.status.textContent = left ? `${this.board.rows.length - left} of ${this.board.rows.length} rows are within the budget` : "";
    this.draw();
    this.panel.replaceChildren(...panels(this));
    if (BOARDS.length > 1) this.panel.querySelectorAll("section, [role=region]").forEach(each => { each.ariaLabel += `, ${this.board.name}`; });
    keep();
  }
}
