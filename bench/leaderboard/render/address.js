
// The state of a page in its address: #b0.x=parameters&b0.pin=3.5&b0.sort=-2
const explorers = [...document.querySelectorAll("section.board")].map((section, i) => new Explorer(section, BOARDS[i], i));

const written = () => {
  const found = new URLSearchParams();
  for (const explorer of explorers) {
    const put = (name, value) => { if (value) found.set(`b${explorer.number}.${name}`, value); };
    put("x", explorer.axis ? explorer.board.axes[explorer.axis][0] : "");
    put("pin", explorer.pins.join("."));
    put("open", explorer.open?.join("."));
    put("cell", explorer.cell?.join("."));
    put("top", explorer.open && explorer.latest === "open" ? "open" : "");
    put("run", explorer.run === null ? "" : explorer.run + 1);
    for (const [name, limit] of Object.entries(explorer.limits)) put(`max-${name}`, limit ? Number(limit.toPrecision(4)) : "");
    put("view", VIEWS.map((name, i) => explorer.opened.has(name) ? i : -1).filter(i => i >= 0).join("."));
    const heads = [...explorer.table.tHead.rows[0].cells];
    const sorted = heads.findIndex(head => head.hasAttribute("aria-sort"));
    put("sort", sorted < 0 ? "" : `${heads[sorted].getAttribute("aria-sort") === "descending" ? "-" : ""}${sorted}`);
    put("filter", explorer.tools?.querySelector("input[type=search]").value);
    put("hide", heads.map((head, i) => head.hidden ? i : -1).filter(i => i >= 0).join("."));
  }
  return `${found}`;
};

let restoring = true;
const keep = () => {
  if (restoring) return;
  const state = written();
  history.replaceState(null, "", state ? `#${state}` : location.pathname + location.search);
};

const restore = () => {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const explorer of explorers) {
    const get = name => found.get(`b${explorer.number}.${name}`) ?? "";
    const whole = (name, most) => get(name).split(".").filter(text => /^\d+$/.test(text)).map(Number).filter(n => n < most);
    const {rows, axes, sounds} = explorer.board;
    explorer.axis = Math.max(0, axes.findIndex(([name]) => name === get("x")));
    if (explorer.select) explorer.select.value = explorer.axis;
    explorer.pins = whole("pin", rows.length).slice(0, 2);
    const [row, column] = whole("open", 1e6);
    explorer.open = row < rows.length && column < explorer.heads.length ? [row, column] : null;
    const cell = whole("cell", explorer.board.classes.length);
    explorer.cell = cell.length === 2 && explorer.open ? cell : null;
    explorer.run = explorer.open ? whole("run", 1e6).map(n => n - 1)[0] ?? null : null;
    explorer.latest = get("top");
    const views = found.has(`b${explorer.number}.view`) || !sounds ? whole("view", VIEWS.length) : [VIEWS.indexOf(HEARD)];
    explorer.opened = new Set(views.map(n => VIEWS[n]));
    const key = found.get("run");
    explorer.board.rows.forEach((_, i) => keysOf(explorer, i).forEach((each, k) => {
      if (key && each.textContent === key) [explorer.open, explorer.run, explorer.latest] = [[i, 0], k, "open"];
    }));
    for (const [name, slider] of Object.entries(explorer.sliders)) {
      const limit = Number(get(`max-${name}`));
      slider.set(limit > 0 ? limit : null);
    }
    const heads = [...explorer.table.tHead.rows[0].cells], sort = get("sort");
    if (/^-?\d+$/.test(sort) && heads[Math.abs(sort)]) {
      for (let clicks = sort.startsWith("-") ? 2 : 1; clicks; clicks--) heads[Math.abs(sort)].querySelector("button").click();
    }
    if (explorer.tools) {
      const search = explorer.tools.querySelector("input[type=search]");
      search.value = get("filter");
      search.dispatchEvent(new Event("input"));
      const boxes = explorer.tools.querySelectorAll("input[type=checkbox]");
      for (const i of whole("hide", boxes.length)) boxes[i].click();
    }
    explorer.show();
  }
  restoring = false;
  // an address of a row, as the page has without this script
  const anchor = /^#r\d+-\d+$/.test(location.hash) ? document.getElementById(location.hash.slice(1)) : null;
  if (anchor) anchor.closest("details").open = true;
};
restore();
for (const kind of ["click", "input", "change"]) document.addEventListener(kind, () => keep());
