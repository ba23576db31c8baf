
// The plot of an explorer: score against the chosen cost, with intervals and the Pareto front of what is within the budget.
Explorer.prototype.draw = function () {
  const focused = this.points?.indexOf(document.activeElement) ?? -1;
  const width = Math.max(300, Math.min(700, Math.round(this.plot.clientWidth) || 640));
  const {board} = this, height = 380, edge = {left: 52, right: 14, top: 12, bottom: 44};
  const axis = board.axes[this.axis];
  this.points = board.rows.map(() => null);
  const shown = axis ? board.rows.map((row, i) => ({row, i, cost: row.costs[this.axis]}))
    .filter(({row, cost}) => row.ranked && row.score !== null && cost > 0 && this.fits(row)) : [];
  if (!shown.length) {
    this.plot.replaceChildren(element("p", {className: "soft", textContent: "No row has this cost and is within the budget."}));
    return;
  }
  const logs = shown.map(({cost}) => Math.log10(cost));
  const values = shown.flatMap(({row}) => [row.score, ...(row.interval ?? [])]);
  const gap = Math.max(0.1, 0.05 * (Math.max(...logs) - Math.min(...logs)));
  const [left, right] = [Math.min(...logs) - gap, Math.max(...logs) + gap];
  const space = Math.max(0.01, 0.05 * (Math.max(...values) - Math.min(...values)));
  const [low, high] = [Math.min(...values) - space, Math.max(...values) + space];
  const x = cost => edge.left + (width - edge.left - edge.right) * (Math.log10(cost) - left) / (right - left);
  const y = score => edge.top + (height - edge.top - edge.bottom) * (high - score) / (high - low);
  const svg = drawn("svg", {viewBox: `0 0 ${width} ${height}`, class: "plot", role: "group",
    "aria-label": `${board.metric} against ${axis[1]}`});
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find(s => (high - low) / s <= 9) ?? 0.2;
  for (let n = Math.ceil(Math.max(low, 0) / step); n * step <= Math.min(high, 1); n++) {
    svg.append(drawn("path", {class: "grid", d: `M${edge.left} ${y(n * step)}H${width - edge.right}`}),
      drawn("text", {class: "end", x: edge.left - 6, y: y(n * step) + 4}, `${Number((100 * n * step).toFixed(1))} %`));
  }
  const decades = right - left > (width < 450 ? 1.5 : 2.2) ? [1] : right - left > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  for (let n = Math.floor(left); n <= right; n++) {
    for (const part of decades) {
      const cost = part * 10 ** n;
      if (Math.log10(cost) < left || Math.log10(cost) > right) continue;
      svg.append(drawn("path", {class: "grid", d: `M${x(cost)} ${edge.top}V${height - edge.bottom}`}),
        drawn("text", {class: "middle", x: Math.min(x(cost), width - 4 * three(cost).length), y: height - edge.bottom + 15}, three(cost)));
    }
  }
  svg.append(drawn("text", {class: "middle", x: width / 2, y: height - 8}, `${axis[1]}${axis[2] ? `, ${axis[2]}` : ""}`));
  const better = (a, b) => board.higher ? a > b : a < b;
  const front = shown.filter(a => !shown.some(b => b !== a && b.cost <= a.cost && (better(b.row.score, a.row.score) ||
    b.row.score === a.row.score) && (b.cost < a.cost || b.row.score !== a.row.score)));
  const stairs = [...front].sort((a, b) => a.cost - b.cost);
  svg.append(drawn("path", {class: "front", d: stairs.map(({cost, row}, k) =>
    k ? `H${x(cost)}V${y(row.score)}` : `M${x(cost)} ${y(row.score)}`).join("") + `H${width - edge.right}`}));
  for (const point of shown) {
    const {row, i, cost} = point;
    const words = `${row.name}: ${row.shown}${row.interval ? ` [${row.interval.map(percent).join(", ")}]` : ""}, ${three(cost)} ${axis[2]}`.trim();
    const onFront = front.includes(point);
    const mark = drawn("g", {tabindex: 0, role: "button", "aria-pressed": this.pins.includes(i), "aria-label": `Pin ${words}`,
      class: ["point", onFront && "on-front", this.pins.includes(i) && "pinned"].filter(Boolean).join(" ")},
      drawn("title", {}, words + (onFront ? "; on the Pareto front" : "")));
    if (row.interval) mark.append(drawn("path", {class: "whisker", d: `M${x(cost)} ${y(row.interval[0])}V${y(row.interval[1])}`}));
    mark.append(drawn("circle", {class: onFront ? "best" : "dot", cx: x(cost), cy: y(row.score), r: 5}));
    const end = x(cost) > width / 2, long = 7 * row.name.length;
    const beside = end ? Math.max(x(cost) - 9, Math.min(long, width)) : Math.min(x(cost) + 9, Math.max(width - long, 0));
    mark.append(drawn("text", {class: `label${end ? " end" : ""}`, x: beside, y: y(row.score) - 7}, row.name));
    mark.addEventListener("mouseenter", () => this.hover(i));
    mark.addEventListener("mouseleave", () => this.hover(null));
    mark.addEventListener("focus", () => this.hover(i));
    mark.addEventListener("blur", () => this.hover(null));
    mark.addEventListener("click", () => this.pin(i));
    mark.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.pin(i);
      }
    });
    this.points[i] = mark;
  }
  svg.append(...this.points.filter(Boolean));
  const without = board.rows.filter(row => row.ranked).length - shown.length;
  this.plot.replaceChildren(svg, element("p", {className: "soft", textContent:
    `Filled blue: on the Pareto front of what is shown.${without ? ` ${without} rows are over the budget or have no comparable cost.` : ""}`}));
  if (focused >= 0) this.points[focused]?.focus();
  this.rows.forEach((row, i) => row.classList.toggle("pareto", front.some(point => point.i === i)));
};
