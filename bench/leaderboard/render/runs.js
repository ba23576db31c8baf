
// One run: what its page shows, from the page's data. The address #run=KEY leads here.
const keysOf = (explorer, i) => [...document.querySelectorAll(`#${explorer.anchors[i]} a[href^="records/"]`)];
const commitOf = (board, run) => (run.commit ?? board.commit) || "–";

const openingRun = (explorer, i, k) => {
  const key = keysOf(explorer, i)[k];
  if (!key) return "–";
  const opens = button("Show", () => {
    explorer.run = k;
    explorer.show();
    const head = explorer.panel.querySelector(".run h3");
    head.scrollIntoView({block: "nearest"});
    head.focus();
  }, {"aria-label": `Show the run ${key.textContent}`});
  return element("span", {}, opens, " ", key.cloneNode(true));
};

const runPanel = explorer => {
  const {board, open, run: k} = explorer, i = open?.[0], row = board.rows[i], run = row?.runs[k];
  if (!run) return [];
  const key = keysOf(explorer, i)[k], name = key?.textContent ?? "";
  const scores = board.metrics.map(([, head], m) => [head, head.endsWith("%") ? percent(run.scores[m]) : run.scores[m] ?? "–"]);
  const code = command => element("code", {textContent: `bench ${command} ${name}`});
  const found = [
    element("h3", {tabIndex: -1, textContent: `${row.name}, fold ${run.fold}, seed ${run.seed}`}),
    button("Close the run", () => { explorer.run = null; explorer.show(); }),
    listed([
      ["Record", key?.cloneNode(true) ?? "–"], ...scores, [`validation ${board.validation}, %`, percent(run.val)],
      ["Best epoch", run.epoch ?? "–"], ["Training", `${run.seconds ?? "–"} s`], ["Commit", commitOf(board, run)],
      ["All of it, also as a page with --html", code("show")], ["Do it again", code("reproduce")],
    ]),
  ];
  if (run.curve) found.push(curvePlot(board, {...row, runs: [run]}));
  const clips = clipsOfRun(explorer, i, k), values = decoded(run.classes), classes = board.classes;
  if (values.length === classes.length && values.length) {
    const order = classes.map((each, c) => [each, values[c]]).sort((a, b) => (a[1] ?? 2) - (b[1] ?? 2));
    found.push(small(["class", `${board.perClass}, %`], order.map(([each, value]) =>
      [each, value === null ? "–" : coloured(percent(value), "right", value)]), "Classes, the weakest first"));
  }
  if (clips) {
    if (classes.length <= 20) {
      const rows = classes.map((each, c) => {
        const own = clips.filter(clip => clip.truth === c);
        return [each, ...classes.map((_, d) => {
          const n = own.filter(clip => clip.predicted === d).length;
          return n ? coloured(`${n}`, c === d ? "right" : "wrong", n / own.length) : "·";
        })];
      });
      found.push(small(["true class", ...classes], rows, "Confusion matrix. Rows: true; columns: predicted."));
    }
    const hard = [...clips].sort((a, b) => a.certainty - b.certainty || (a.id < b.id ? -1 : 1)).slice(0, 20);
    found.push(small(["clip", "class", "predicted", "probability of the class, %"], hard.map(clip => [clipName(explorer, clip.id),
      classes[clip.truth], classes[clip.predicted], Math.round(100 * clip.certainty)]), "Hardest test clips"));
  }
  return [element("section", {className: "run", ariaLabel: "Run"}, ...found)];
};
