
// What opens next to the plot: the comparison of two rows, the evidence of a cell, and a row's folds, classes and clips.
const points = token => {
  const [mean, low, high, p] = token.replace("!", "").split(" ");
  const shown = text => {
    const digits = text.replace("-", "").padStart(2, "0");
    return `${text.startsWith("-") ? "-" : "+"}${digits.slice(0, -1)}.${digits.slice(-1)}`;
  };
  return {
    mean: shown(mean), low: shown(low), high: shown(high), significant: token.startsWith("!"),
    p: p === "<" ? "p < 0.001" : `p = ${(Number(p) / 1000).toFixed(3)}`,
  };
};

// the difference of b and a, where it is that of a and b with the other sign, is not in the data
const mirrored = token => {
  if (!token) return "";
  const [mean, low, high, p] = token.replace("!", "").split(" ");
  const minus = text => text.startsWith("-") ? text.slice(1) : `-${text}`;
  return `${token.startsWith("!") ? "!" : ""}${minus(mean)} ${minus(high)} ${minus(low)} ${p}`;
};

// exact two-sided McNemar: twice the lower tail of the binomial distribution with a probability of one half
const mcnemar = (a, b) => {
  const n = a + b;
  let term = -n * Math.LN2, tail = 0;
  for (let k = 0; k <= Math.min(a, b); k++) {
    tail += Math.exp(term);
    term += Math.log((n - k) / (k + 1));
  }
  return n ? Math.min(1, 2 * tail) : 1;
};
const inWords = p => p >= 0.001 ? `p = ${p.toFixed(3)}` : "p < 0.001";

const clipsOfRun = ({board: {clips, rows}}, i, r) => {
  const run = clips?.said[i][r];
  if (!run) return null;
  const [group, predicted, certainty] = run, {ids, truth} = clips.groups[group], {fold, seed} = rows[i].runs[r];
  return ids.map((id, k) => ({
    id, fold, seed, truth: DIGITS.indexOf(truth[k]), predicted: DIGITS.indexOf(predicted[k]),
    certainty: DIGITS.indexOf(certainty[k]) / 63,
  }));
};

const clipsOf = (explorer, i) => {
  const runs = explorer.board.rows[i].runs.map((_, r) => clipsOfRun(explorer, i, r));
  return runs.length && runs.every(Boolean) ? runs.flat() : null;
};

const compared = explorer => {
  const {board, pins} = explorer;
  if (pins.length < 2) return [element("p", {className: "soft", textContent: "Pin two rows, in the table or in the plot, to compare them."})];
  const [a, b] = pins, ranked = board.rows.map((row, i) => row.ranked ? i : -1).filter(i => i >= 0);
  const one = board.rows[a], other = board.rows[b];
  const table = board.pairs.split(";").map(line => line.split(",")), at = ranked.indexOf(a), to = ranked.indexOf(b);
  const token = table[at]?.[to] || mirrored(table[to]?.[at]);
  const found = [element("h3", {textContent: `${one.name} and ${other.name}`})];
  if (!token) {
    found.push(element("p", {textContent: "These two cannot be compared: one of them is not ranked, or there is nothing to test with."}));
  } else {
    const d = points(token);
    found.push(element("p", {className: "difference", textContent:
      `${board.name}, ${board.metric}: ${one.name} ${one.shown}, ${other.name} ${other.shown}; difference ` +
      `${d.mean} [${d.low}, ${d.high}] points, ${d.p}: ${d.significant ? "a difference" : "may be chance"}`}));
  }
  const mine = clipsOf(explorer, a), theirs = clipsOf(explorer, b);
  if (mine && theirs) {
    const said = new Map(theirs.map(clip => [`${clip.fold} ${clip.seed} ${clip.id}`, clip]));
    const both = mine.map(clip => [clip, said.get(`${clip.fold} ${clip.seed} ${clip.id}`)]).filter(([, clip]) => clip);
    const right = clip => clip.truth === clip.predicted;
    const flips = both.filter(([x, y]) => right(x) !== right(y));
    const [onlyA, onlyB] = [flips.filter(([x]) => right(x)).length, flips.filter(([, y]) => right(y)).length];
    found.push(element("p", {className: "mcnemar", textContent: `clips that only one of them has right: ${onlyA} and ${onlyB}; ` +
      `exact McNemar ${inWords(mcnemar(onlyA, onlyB))} (treats clips as independent)`}));
    flips.sort(([x], [y]) => x.certainty - y.certainty || (x.id < y.id ? -1 : 1));
    const name = i => board.classes[i];
    found.push(small(["clip", "fold", "class", one.name, other.name], flips.map(([x, y]) =>
      [clipName(explorer, x.id), x.fold, name(x.truth), name(x.predicted), name(y.predicted)]), "Clips that flip"));
  } else if (board.classes.length) {
    found.push(element("p", {className: "soft", textContent: "What these runs said of each clip is not kept with this page."}));
  }
  return found;
};

const clipName = (explorer, id) => {
  const made = sound(explorer.board, id);
  return made ? element("span", {}, made, ` ${id}`) : id;
};

const TIMING = ["Grade", "Device", "Software", "Measured", "Interquartile range", "Other load", "Drift of the reference workload"];
const timing = (board, words) => words.map((each, i) => [TIMING[i], board.words[each]]);

const evidence = explorer => {
  const {board, open, rows, heads} = explorer;
  if (!open) return [element("p", {className: "soft", textContent: "Choose a cell of the table to see what is behind it."})];
  const [i, column] = open, row = board.rows[i], head = heads[column];
  const cell = rows[i].cells[column], words = explorer.words(cell).trim();
  const found = [element("h3", {textContent: column ? `${head} of ${row.name}: ${words}` : row.name})];
  const metric = board.metrics.findIndex(([, each]) => each === head);
  const link = k => openingRun(explorer, i, k);
  const runs = (name, value) => small(["record", "fold", "seed", name, "best epoch", "commit"], row.runs.map((run, k) =>
    [link(k), run.fold, run.seed, value(run), run.epoch ?? "–", commitOf(board, run)]), `${name}, run by run`);
  if (metric >= 0) found.push(runs(head, run => head.endsWith("%") ? percent(run.scores[metric]) : run.scores[metric] ?? "–"));
  else if (head.startsWith("validation")) found.push(runs(head, run => percent(run.val)));
  else if (head.startsWith("train")) found.push(runs(head, run => run.seconds ?? "–"));
  else if (head.startsWith("CPU") || head.startsWith("real")) found.push(listed(timing(board, row.cpu)));
  else if (head.startsWith("GPU")) found.push(listed(timing(board, row.gpu)));
  else if (head === "rank" && board.wins) found.push(listed([["Probability to beat", wins(explorer, i)]]));
  else found.push(runs(`${board.metric}`, run => percent(run.scores[0])));
  found.push(copied(explorer.anchors[i]));
  return found;
};

const copied = anchor => {
  const list = document.getElementById(anchor).cloneNode(true);
  list.removeAttribute("id");
  return list;
};

const wins = (explorer, i) => {
  const {board} = explorer, ranked = board.rows.filter(row => row.ranked), at = ranked.indexOf(board.rows[i]);
  const n = Math.round(Math.sqrt(board.wins.length / 2)), all = decoded(board.wins);
  if (at < 0 || at >= n) return "–";
  return ranked.slice(0, n).map((row, j) => j === at ? null : `${row.name} ${percent(all[at * n + j])} %`).filter(Boolean).join(", ");
};

const matrix = explorer => {
  const {board} = explorer;
  if (!board.wins) return [];
  const ranked = board.rows.filter(row => row.ranked), all = decoded(board.wins), n = Math.round(Math.sqrt(all.length));
  const rows = ranked.slice(0, n).map((row, i) => [row.name, ...ranked.slice(0, n).map((_, j) =>
    i === j ? "·" : coloured(`${Math.round(100 * all[i * n + j])}`, all[i * n + j] > 0.5 ? "right" : "", all[i * n + j]))]);
  return [element("details", {open: explorer.opened.has(WINS), ontoggle: event => opening(explorer, WINS, event.target.open)},
    element("summary", {textContent: WINS}),
    small(["wins against →", ...ranked.slice(0, n).map((_, i) => `${i + 1}`)], rows.map((row, i) => [`${i + 1} ${row[0]}`, ...row.slice(1)]),
      "Per cent of draws in which the row's system is better than the column's"))];
};

// which of these are open is kept in the address of the page
const WINS = "Win probabilities", HEARD = "Hear the mistakes";
const VIEWS = ["Folds and classes", "Confusion matrix", "Learning curves", WINS, HEARD];
const opening = (explorer, name, open) => {
  explorer.opened[open ? "add" : "delete"](name);
  keep();
};

const coloured = (words, kind, share) => {
  const level = Math.max(1, Math.round(9 * share));
  return element("span", {className: kind && share > 0 ? `heat ${kind}-${level}` : "heat", textContent: words});
};

const classes = explorer => {
  const {board, open} = explorer, at = open?.[0] ?? explorer.pins.at(-1);
  if (at === undefined) return [];
  const row = board.rows[at], found = [];
  const tables = row.runs.map(run => decoded(run.classes));
  if (tables.length && tables.every(table => table.length === board.classes.length)) {
    const folds = [...new Set(row.runs.map(run => run.fold))];
    const mean = list => { const known = list.filter(v => v !== null); return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null; };
    const order = board.classes.map((name, i) => [name, i, mean(tables.map(table => table[i]))]).sort((a, b) => (a[2] ?? 2) - (b[2] ?? 2));
    found.push(element("details", {}, element("summary", {textContent: `Folds and classes of ${row.name}`}),
      small(["class", ...folds.map(fold => `fold ${fold}`), "mean"], order.map(([name, i, all]) => [name, ...folds.map(fold => {
        const value = mean(tables.filter((_, r) => row.runs[r].fold === fold).map(table => table[i]));
        return value === null ? "–" : coloured(percent(value), "right", value);
      }), percent(all)]), `${board.perClass} per class and fold, %; the weakest class first`)));
  }
  if (row.confusion) {
    const totals = row.confusion.map(line => line.reduce((a, b) => a + b, 0));
    found.push(element("details", {open: explorer.cell !== null}, element("summary", {textContent: `Confusion matrix of ${row.name}`}),
      small(["true class", ...board.classes], row.confusion.map((line, i) => [board.classes[i], ...line.map((clips, j) => {
        if (!clips) return "·";
        const said = `${clips} clips of ${board.classes[i]} predicted as ${board.classes[j]}`;
        const cell = button(`${clips}`, () => {
          explorer.cell = [i, j];
          explorer.show();
          [...explorer.panel.querySelectorAll("button")].find(each => each.ariaLabel === said)?.focus();
        }, {
          "aria-label": said,
          class: `heat ${i === j ? "right" : "wrong"}-${Math.max(1, Math.round(9 * clips / totals[i]))}`,
        });
        return cell;
      })]), "Rows: true; columns: predicted. A number lists its clips."), ...hardest(explorer, at)));
  }
  const curves = row.runs.filter(run => run.curve);
  if (curves.length) found.push(element("details", {}, element("summary", {textContent: `Learning curves of ${row.name}`}), curvePlot(board, row)));
  found.filter(each => each.tagName === "DETAILS").forEach(each => {
    const name = each.firstChild.textContent.split(" of ")[0];
    each.open ||= explorer.opened.has(name);
    each.addEventListener("toggle", () => opening(explorer, name, each.open));
  });
  return found;
};

const hardest = (explorer, at) => {
  if (!explorer.cell) return [];
  const {board} = explorer, [i, j] = explorer.cell, all = clipsOf(explorer, at);
  if (!all) return [element("p", {className: "soft", textContent: "What these runs said of each clip is not kept with this page."})];
  const found = all.filter(clip => clip.truth === i && clip.predicted === j).sort((a, b) => a.certainty - b.certainty || (a.id < b.id ? -1 : 1));
  return [small(["clip", "fold", "seed", `probability of ${board.classes[i]}, %`],
    found.map(clip => [clipName(explorer, clip.id), clip.fold, clip.seed, Math.round(100 * clip.certainty)]),
    `${board.classes[i]} predicted as ${board.classes[j]}, the hardest first`)];
};

const curvePlot = (board, row) => {
  const width = 420, height = 200, left = 46, most = Math.max(...row.runs.map(run => run.mostLoss ?? 0));
  const longest = Math.max(...row.runs.map(run => (run.step ?? 1) * (decoded(run.curve).length - 1)), 1);
  const svg = drawn("svg", {viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img",
    "aria-label": `Validation ${board.validation} and training loss of ${row.name} by epoch`});
  const line = (values, step, scale, kind) => {
    const at = values.map((v, k) => v === null ? null : `${(left + (width - left - 10) * k * step / longest).toFixed(1)} ${(10 + (height - 36) * (1 - v * scale)).toFixed(1)}`);
    svg.append(drawn("path", {class: kind, d: at.filter(Boolean).map((p, k) => `${k ? "L" : "M"}${p}`).join("")}));
  };
  for (const share of [0, 0.5, 1]) {
    const y = 10 + (height - 36) * (1 - share);
    svg.append(drawn("path", {class: "grid", d: `M${left} ${y}H${width - 10}`}), drawn("text", {class: "end", x: left - 4, y: y + 4}, `${100 * share} %`));
  }
  svg.append(drawn("text", {class: "end", x: width - 10, y: height - 6}, `${longest + 1} epochs`));
  for (const run of row.runs) {
    line(decoded(run.loss), run.step ?? 1, (run.mostLoss ?? 0) / (most || 1), "curve-loss");
    line(decoded(run.curve), run.step ?? 1, 1, "curve-val");
  }
  return element("div", {}, svg, element("p", {className: "soft", textContent:
    `Solid: validation ${board.validation} of each run. Dashed: its training loss, as a share of ${three(most)}.`}));
};

const panels = explorer => {
  const found = [
    element("section", {className: "compare", ariaLabel: "Comparison"}, ...compared(explorer)),
    element("section", {className: "evidence", ariaLabel: "Evidence"}, ...evidence(explorer), ...classes(explorer)),
  ];
  if (explorer.latest === "open") found.reverse();
  return [...runPanel(explorer), ...found, element("section", {className: "more", ariaLabel: "All rows"}, ...heard(explorer), ...matrix(explorer))];
};
