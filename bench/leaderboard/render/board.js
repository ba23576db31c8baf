const {boards, weights: FIRST} = JSON.parse(document.getElementById("data").textContent);
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", STEPS = 4095;
const COSTS = [["parameters", "parameters", ""], ["macs", "MACs", ""], ["latency", "CPU latency", "ms"]];
const NONE = "\u2013", STOPS = 100;
const weights = [...FIRST], limits = [null, null, null];

const element = (name, attributes, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

const unpacked = text => Int32Array.from({length: text.length / 2}, (_, i) => 64 * DIGITS.indexOf(text[2 * i]) + DIGITS.indexOf(text[2 * i + 1]));
for (const board of boards) for (const row of Object.values(board.rows)) row.drawn = row.draws ? unpacked(row.draws) : null;
const ALL = [...new Set(boards.flatMap(board => Object.keys(board.rows)))];

// the smallest value that a share of the values do not exceed
const quantile = (sorted, share) => sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-9) - 1)];

const rankIntervals = draws => {
  const count = draws.length, length = draws[0].length;
  const best = draws.map(() => new Int32Array(length)), worst = draws.map(() => new Int32Array(length));
  for (let d = 0; d < length; d++) {
    for (let i = 0; i < count; i++) {
      let above = 0, same = 0;
      for (let j = 0; j < count; j++) {
        if (draws[j][d] > draws[i][d]) above++;
        else if (draws[j][d] === draws[i][d]) same++;
      }
      best[i][d] = 1 + above;
      worst[i][d] = above + same;
    }
  }
  return draws.map((_, i) => [quantile(best[i].sort(), .025), quantile(worst[i].sort(), .975)]);
};

const tied = (difference, a, b) => {
  if (!a) return difference === 0;
  const drawn = a.map((value, d) => value - b[d]).sort(), edge = Math.floor(drawn.length / 40);
  return drawn[edge] <= 0 && drawn[drawn.length - 1 - edge] >= 0;
};

const within = rows => limits.every((limit, i) => limit === null || rows.every(row => row.costs[i] !== null && row.costs[i] <= limit));

const ranked = () => {
  const used = boards.map((board, i) => [weights[i], board.rows]).filter(([weight]) => weight);
  if (!used.length) return [];
  const whole = used.reduce((sum, [weight]) => sum + weight, 0);
  const found = Object.keys(used[0][1])
    .filter(name => used.every(([, rows]) => rows[name]) && within(used.map(([, rows]) => rows[name])))
    .map(name => ({name, total: used.reduce((sum, [weight, rows]) => sum + weight * rows[name].score, 0)}))
    .sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  if (found.length && found.every(({name}) => used.every(([, rows]) => rows[name].drawn))) {
    for (const each of found) {
      each.drawn = used[0][1][each.name].drawn.map((_, d) => used.reduce((sum, [weight, rows]) => sum + weight * rows[each.name].drawn[d], 0));
    }
    rankIntervals(found.map(each => each.drawn)).forEach((interval, i) => { found[i].interval = interval; });
  }
  found.forEach((each, i) => {
    const first = i ? found[i - 1].rank - 1 : 0;
    each.rank = i && tied(found[first].total - each.total, found[first].drawn, each.drawn) ? first + 1 : i + 1;
    each.mean = (100 * (each.total / whole / STEPS)).toFixed(1);
  });
  return found;
};

const table = document.querySelector("table"), count = document.getElementById("count");
const cell = (name, text, scope) => element(name, scope ? {textContent: text, scope} : {textContent: text});

const draw = () => {
  const used = boards.map((_, i) => i).filter(i => weights[i]), found = ranked();
  const heads = ["rank", "system", "rank, 95 %", "weighted mean, %", ...used.map(i => boards[i].head)];
  table.tHead.rows[0].replaceChildren(...heads.map(text => cell("th", text, "col")));
  table.tBodies[0].replaceChildren(...found.map(({rank, name, interval, mean}) => element("tr", {},
    cell("td", rank), cell("th", name, "row"), cell("td", interval ? interval.join(NONE) : NONE), cell("td", mean),
    ...used.map(i => cell("td", boards[i].rows[name].shown)))));
  count.textContent = used.length ? `${found.length} of ${ALL.length} systems` : "No dataset has a weight.";
};

const short = number => {
  const [size, unit] = [[1e9, " G"], [1e6, " M"], [1e3, " k"], [1, ""]].find(([least]) => number >= least) ?? [1, ""];
  return `${Number((number / size).toPrecision(3))}${unit}`;
};

const slider = (words, last, value, changed) => {
  const output = element("output", {});
  const input = element("input", {type: "range", min: 0, max: last, step: 1, value});
  const say = () => { output.textContent = changed(Number(input.value)); input.setAttribute("aria-valuetext", output.textContent); };
  input.addEventListener("input", () => { say(); draw(); keep(); });
  say();
  return {input, say, label: element("label", {}, words, input, output)};
};

const weightSliders = boards.map((board, i) => slider(`${board.dataset} of ${board.suite}`, 10, weights[i], value => {
  weights[i] = value;
  return `${value}`;
}));

const costSliders = COSTS.map(([, words, unit], i) => {
  const known = boards.flatMap(board => Object.values(board.rows).map(row => row.costs[i])).filter(cost => cost !== null);
  if (!known.length) return null;
  const low = Math.log(Math.min(...known)), high = Math.log(Math.max(...known));
  return slider(words, STOPS, STOPS, value => {
    limits[i] = value === STOPS ? null : Number(Math.exp(low + (high - low) * value / (STOPS - 1)).toPrecision(3));
    return limits[i] === null ? "any" : `\u2264 ${short(limits[i])} ${unit}`.trim();
  });
});

// The state in the address: #w=1.0.3&parameters=40, weights in the order of the sliders and positions of the budgets
const keep = () => {
  const found = new URLSearchParams();
  if (weights.some((weight, i) => weight !== FIRST[i])) found.set("w", weights.join("."));
  costSliders.forEach((each, i) => { if (each && Number(each.input.value) < STOPS) found.set(COSTS[i][0], each.input.value); });
  history.replaceState(null, "", `${found}` ? `#${found}` : location.pathname + location.search);
};

const put = (each, value, last) => {
  each.input.value = Number.isInteger(value) && value >= 0 && value <= last ? value : each.input.value;
  each.say();
};

const restore = () => {
  const found = new URLSearchParams(location.hash.slice(1));
  const given = (found.get("w") ?? FIRST.join(".")).split(".").map(Number);
  weightSliders.forEach((each, i) => put(each, given.length === boards.length ? given[i] : FIRST[i], 10));
  costSliders.forEach((each, i) => { if (each) put(each, Number(found.get(COSTS[i][0]) ?? STOPS), STOPS); });
  draw();
};

const copied = element("span", {role: "status"});
const copy = element("button", {type: "button", textContent: "Copy CSV"});
copy.addEventListener("click", async () => {
  const quoted = text => `"${(/^[=+@-]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const csv = [...table.rows].map(row => [...row.cells].map(each => quoted(each.textContent)).join(",")).join("\n") + "\n";
  try {
    await navigator.clipboard.writeText(csv);
    copied.textContent = "Copied.";
  } catch {
    copied.replaceChildren(element("textarea", {value: csv, readOnly: true, rows: 6, ariaLabel: "CSV"}));
  }
});
const reset = element("button", {type: "button", textContent: "As at the start"});
reset.addEventListener("click", () => { history.replaceState(null, "", location.pathname + location.search); restore(); });

const group = (words, sliders) => element("fieldset", {className: "sliders"}, element("legend", {textContent: words}), ...sliders.filter(Boolean).map(each => each.label));
document.getElementById("controls").append(group("Weights", weightSliders), group("Budgets", costSliders), element("div", {className: "tools"}, copy, reset, copied));
addEventListener("hashchange", restore);
restore();
