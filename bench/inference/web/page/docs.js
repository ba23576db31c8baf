"use strict";
// Draws /openapi.json as tables; texts are text nodes alone.

function el(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function table(label, heads, rows) {
  const head = el("tr", ...heads.map((text) => el("th", text)));
  head.querySelectorAll("th").forEach((cell) => { cell.scope = "col"; });
  const box = el("div", el("table", el("thead", head), el("tbody", ...rows.map((row) => el("tr", ...row.map((text) => el("td", text)))))));
  box.className = "wide";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", label);
  return box;
}

function kind(schema) {
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  return schema.type === "null" ? "nothing" : schema.type || "";
}

function fields(schema, before = "") {
  return Object.entries(schema.properties || {}).flatMap(([name, each]) => {
    const inner = each.type === "array" ? each.items : each;
    return [[before + name, kind(each), each.description || ""], ...fields(inner, `${before}${name}.`)];
  });
}

async function draw() {
  const described = await (await fetch("/openapi.json")).json();
  document.getElementById("summary").textContent = described.info.summary;
  document.getElementById("example").textContent =
    `curl -F file=@dog.wav '${location.origin}/predict?top=3'\n` +
    `curl -F file=@dog.wav -H 'Authorization: Bearer TOKEN' '${location.origin}/predict'   # with --token`;
  const paths = document.getElementById("paths");
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, each] of Object.entries(methods)) {
      paths.append(el("h2", `${method.toUpperCase()} ${path}`), el("p", each.summary));
      const body = each.requestBody?.content || {};
      const parameters = (each.parameters || []).map((one) => [one.name, kind(one.schema), one.description || ""]);
      for (const [type, content] of Object.entries(body)) {
        parameters.unshift(...fields(content.schema).map(([name, shape, words]) => [`${name} (${type})`, shape, words]));
      }
      if (parameters.length) paths.append(el("h3", "Request"), table(`Request of ${path}`, ["name", "type", "meaning"], parameters));
      paths.append(el("h3", "Answers"), table(`Answers of ${path}`, ["status", "meaning"],
        Object.entries(each.responses).map(([status, one]) => [status, one.description])));
      const answer = each.responses["200"]?.content?.["application/json"]?.schema;
      if (answer) paths.append(el("h3", "Content of 200"), table(`Content of ${path}`, ["name", "type", "meaning"], fields(answer)));
    }
  }
}

draw();
