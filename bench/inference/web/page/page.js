"use strict";
// The page: a file goes to POST /predict, lines of progress come back, then the answer. Texts are text nodes alone.

const $ = (id) => document.getElementById(id);
const RECORD_SECONDS = 60;
const TABLE_ROWS = 500;
let token = sessionStorage.getItem("token") || "";
let runs = [];
let limits = {};
let request = null;
let last = null;
let answer = null;
let recording = null;

function el(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}

function duration(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function complain(text) {
  $("problem").textContent = text;
  $("again").hidden = !(text && last);
}

function authorized() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// --- runs -----------------------------------------------------------------------------------------------------------

async function list() {
  let reply;
  try {
    reply = await fetch("/runs", { headers: authorized() });
  } catch {
    complain("The server cannot be reached. Is it still running?");
    return;
  }
  $("entry").hidden = reply.status !== 401;
  $("input").hidden = reply.status === 401;
  const content = await reply.json();
  if (!reply.ok) {
    $("facts").textContent = "This server asks for a token.";
    if (token || reply.status !== 401) complain(`${content.error.message}.`);
    return;
  }
  complain("");
  runs = content.runs;
  limits = content;
  $("run").replaceChildren(...runs.map((run) => {
    const option = el("option", run.run);
    option.value = run.run;
    return option;
  }));
  $("runs").hidden = runs.length < 2;
  $("limits").textContent =
    `One file at a time, of up to ${Math.round(content.max_bytes / 2 ** 20)} MiB and ` +
    `${+(content.max_seconds / 60).toFixed(1)} minutes. Kinds: ${content.endings.map((each) => each.slice(1)).join(", ")}.`;
  $("file").accept = ["audio/*", "video/*", ...content.endings].join(",");
  describe();
}

function describe() {
  const run = runs.find((each) => each.run === $("run").value) || runs[0];
  const parts = [run.model, run.dataset && `trained on ${run.dataset}`, `${run.classes.length} classes`,
    `clips of ${duration(run.clip_seconds)} at ${run.sample_rate / 1000} kHz`, run.device === "cpu" ? "on the CPU" : "on a GPU"];
  $("facts").textContent = `${run.run}: ${parts.filter(Boolean).join(", ")}.`;
}

// --- sending --------------------------------------------------------------------------------------------------------

function start(file) {
  stop();
  last = file;
  complain("");
  $("result").hidden = true;
  if (file.size > limits.max_bytes) {
    complain(`“${file.name}” has ${(file.size / 2 ** 20).toFixed(0)} MiB, and the server takes ` +
      `${Math.round(limits.max_bytes / 2 ** 20)} MiB: cut it, or compress it as mp3 or flac.`);
    return;
  }
  const run = runs.find((each) => each.run === $("run").value) || runs[0];
  const query = new URLSearchParams({ run: run.run, pictures: "true" });
  const part = Number($("hop").value);
  if (part < 1) query.set("hop", String(part * run.clip_seconds));
  const form = new FormData();
  form.append("file", file);
  const sent = new XMLHttpRequest();
  request = sent;
  sent.open("POST", `/predict?${query}`);
  sent.setRequestHeader("Accept", "application/x-ndjson");
  for (const [name, value] of Object.entries(authorized())) sent.setRequestHeader(name, value);
  sent.upload.onprogress = (event) => step("Sending", event.lengthComputable ? event.loaded / event.total : null);
  sent.upload.onload = () => step("Waiting", null);
  sent.onprogress = () => read(sent, file, false);
  sent.onload = () => read(sent, file, true);
  sent.onerror = () => fail("The connection to the server broke. Is it still running?");
  $("work").hidden = false;
  step("Sending", 0);
  sent.send(form);
}

function step(words, share) {
  $("step").textContent = words;
  if (share === null) $("progress").removeAttribute("value");
  else $("progress").value = share;
  say(words);
}

function read(sent, file, over) {
  if (sent !== request) return;
  const lines = sent.responseText.split("\n");
  if (sent.status !== 200) {
    if (over) fail(worded(lines[0]));
    return;
  }
  const whole = lines.slice(0, -1);
  if (!over) {
    if (whole.length) advance(JSON.parse(whole[whole.length - 1]).progress);
    return;
  }
  const end = whole.length ? JSON.parse(whole[whole.length - 1]) : {};
  if (end.answer) finish(end.answer, file);
  else fail(end.error ? `${end.error.message}.` : "The server ended the connection. Try again.");
}

function advance(progress) {
  if (!progress) return;
  if (progress.state === "waiting") step("Waiting for other sounds", null);
  else step("Classifying", progress.of_seconds ? Math.min(1, progress.seconds / progress.of_seconds) : null);
}

function worded(text) {
  try {
    return `${JSON.parse(text).error.message}.`;
  } catch {
    return "The server gave no answer that can be read. Try again.";
  }
}

function fail(words) {
  request = null;
  $("work").hidden = true;
  say("");
  complain(words.charAt(0).toUpperCase() + words.slice(1));
}

function stop() {
  if (request) {
    const stopped = request;
    request = null;
    stopped.abort();
  }
  $("work").hidden = true;
}

function cancel() {
  if (!request) return;
  stop();
  say("Cancelled.");
  $("again").hidden = false;
  $("file").focus();
}

// --- the result -----------------------------------------------------------------------------------------------------

function finish(found, file) {
  request = null;
  answer = found;
  $("work").hidden = true;
  $("name").textContent = found.file;
  const count = found.windows.starts.length;
  $("length").textContent = `${duration(found.seconds)}, ${count === 1 ? "one window" : `mean of ${count} windows`} ` +
    `of ${duration(found.clip_seconds)}, ${found.run}`;
  if ($("player").src) URL.revokeObjectURL($("player").src);
  $("silent").hidden = true;
  $("player").hidden = false;
  $("player").src = URL.createObjectURL(file);
  $("top").replaceChildren(...found.top.map(row));
  $("rows").replaceChildren(...found.windows.classes.map((name) => {
    const item = el("li", name);
    item.title = name;
    return item;
  }));
  $("timeline").hidden = $("table").hidden = count < 2;
  $("position").max = found.seconds;
  $("position").value = 0;
  $("scale").textContent = bands(found.spectrogram);
  $("ticks").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => el("span", duration(part * found.seconds))));
  const rows = found.windows.starts.slice(0, TABLE_ROWS).map((start, at) => windowRow(found, start, at));
  if (count > TABLE_ROWS) {
    const more = el("td", `and ${count - TABLE_ROWS} more`);
    more.colSpan = 4;
    rows.push(el("tr"));
    rows[TABLE_ROWS].append(more);
  }
  $("cells").replaceChildren(...rows);
  const best = found.top[0];
  $("waveform").setAttribute("aria-label", `Waveform of ${duration(found.seconds)}`);
  $("windows").setAttribute("aria-label", `Probability of ${found.top.length} classes over time; the table has the same`);
  $("result").hidden = false;
  draw();
  move();
  say(`Done: ${best.class}, ${percent(best.probability)}.`);
  $("name").focus();
}

function row(each) {
  const item = el("li");
  const bar = el("div", undefined, "bar");
  const filled = el("span");
  filled.style.width = `${100 * each.probability}%`;
  bar.setAttribute("aria-hidden", "true");
  bar.append(filled);
  item.append(el("span", each.class), bar, el("span", percent(each.probability), "share"));
  return item;
}

function windowRow(found, start, at) {
  const line = el("tr");
  const values = found.windows.probabilities[at];
  const best = values.indexOf(Math.max(...values));
  line.append(el("td", duration(start)), el("td", duration(found.windows.ends[at])),
    el("td", found.windows.classes[best]), el("td", percent(values[best])));
  return line;
}

function bands(picture) {
  const kilohertz = (value) => (value < 1000 ? `${Math.round(value)} Hz` : `${(value / 1000).toFixed(1)} kHz`);
  return `${kilohertz(picture.hertz[0])} to ${kilohertz(picture.hertz[picture.bands - 1])}, ` +
    `${Math.round(picture.low)} to ${Math.round(picture.high)} dB`;
}

const MAP = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99],
  [170, 220, 50], [253, 231, 37]];

function colour(value) {
  const place = (value / 255) * (MAP.length - 1);
  const at = Math.min(MAP.length - 2, Math.floor(place));
  return MAP[at].map((low, channel) => Math.round(low + (place - at) * (MAP[at + 1][channel] - low)));
}

function sized(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  if (height) canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}

function draw() {
  if (!answer || $("result").hidden) return;
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  drawWaveform(sized($("waveform")), answer.waveform, accent);
  drawSpectrogram(sized($("spectrogram")), answer.spectrogram);
  if (!$("timeline").hidden) drawWindows(sized($("windows"), $("rows").offsetHeight), answer.windows, accent);
}

function drawWaveform(context, wave, accent) {
  const { width, height } = context.canvas;
  const scale = (wave.seconds_per_column / answer.seconds) * width;
  const peak = Math.max(0.01, ...wave.high, ...wave.low.map((value) => -value));
  context.fillStyle = accent;
  wave.high.forEach((high, at) => {
    const top = (1 - high / peak) * height / 2;
    const bottom = (1 - wave.low[at] / peak) * height / 2;
    context.fillRect(at * scale, top, Math.max(1, scale), Math.max(1, bottom - top));
  });
}

function drawSpectrogram(context, picture) {
  const bytes = atob(picture.values);
  const image = new ImageData(picture.columns, picture.bands);
  for (let band = 0; band < picture.bands; band++) {
    for (let column = 0; column < picture.columns; column++) {
      const to = 4 * ((picture.bands - 1 - band) * picture.columns + column);
      image.data.set([...colour(bytes.charCodeAt(band * picture.columns + column)), 255], to);
    }
  }
  const small = document.createElement("canvas");
  small.width = picture.columns;
  small.height = picture.bands;
  small.getContext("2d").putImageData(image, 0, 0);
  const { width, height } = context.canvas;
  const wide = (picture.columns * picture.seconds_per_column / answer.seconds) * width;
  context.drawImage(small, 0, 0, wide, height);
}

function drawWindows(context, windows, accent) {
  const { width, height } = context.canvas;
  const scale = width / answer.seconds;
  const tall = height / windows.classes.length;
  context.fillStyle = accent;
  windows.starts.forEach((start, at) => {
    const end = at + 1 < windows.starts.length ? windows.starts[at + 1] : windows.ends[at];
    windows.probabilities[at].forEach((value, rank) => {
      context.globalAlpha = Math.max(0, Math.min(1, value));
      context.fillRect(start * scale, rank * tall + 1, Math.max(1, (end - start) * scale), tall - 2);
    });
  });
  context.globalAlpha = 1;
}

// --- the cursor -----------------------------------------------------------------------------------------------------

function place(seconds) {
  const share = answer ? Math.max(0, Math.min(1, seconds / answer.seconds)) : 0;
  $("cursor").style.left = `${100 * share}%`;
  $("position").setAttribute("aria-valuetext", duration(seconds));
}

function move() {
  const seconds = $("player").hidden ? Number($("position").value) : $("player").currentTime;
  if (document.activeElement !== $("position") || !$("player").paused) $("position").value = seconds;
  place(seconds);
  if (!$("player").paused && !$("player").ended) requestAnimationFrame(move);
}

function seek(seconds) {
  $("position").value = seconds;
  if (!$("player").hidden) $("player").currentTime = seconds;
  place(seconds);
}

// --- recording ------------------------------------------------------------------------------------------------------

async function record() {
  if (recording) {
    recording.stop();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    complain(error.name === "NotAllowedError" ? "The browser may not use the microphone: allow it for this page."
      : "There is no microphone that can be used.");
    return;
  }
  const parts = [];
  recording = new MediaRecorder(stream);
  recording.ondataavailable = (event) => parts.push(event.data);
  recording.onstop = async () => {
    recording = null;
    stream.getTracks().forEach((track) => track.stop());
    $("record").textContent = "Record";
    $("record").setAttribute("aria-pressed", "false");
    $("microphone").textContent = "";
    try {
      start(await wav(new Blob(parts)));
    } catch {
      complain("The recording cannot be used: record for longer.");
    }
  };
  recording.start();
  const began = performance.now();
  $("record").textContent = "Stop recording";
  $("record").setAttribute("aria-pressed", "true");
  say("Recording.");
  const tick = () => {
    if (!recording) return;
    const seconds = (performance.now() - began) / 1000;
    $("microphone").textContent = `${seconds.toFixed(0)} s of at most ${RECORD_SECONDS} s`;
    if (seconds >= RECORD_SECONDS) recording.stop();
    else setTimeout(tick, 200);
  };
  tick();
}

async function wav(blob) {
  // What browsers record is decoded here, so that the server needs no decoder for it.
  const context = new AudioContext();
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  await context.close();
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, at) => { samples[at] += value / sound.numberOfChannels; });
  }
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sound.sampleRate, true);
  view.setUint32(28, 2 * sound.sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, at) => {
    view.setInt16(44 + 2 * at, Math.max(-32768, Math.min(32767, Math.round(32768 * value))), true);
  });
  return new File([view.buffer], "recording.wav", { type: "audio/wav" });
}

// --- what people do -------------------------------------------------------------------------------------------------

function take(files) {
  if (files.length > 1) {
    last = null;
    complain("One file at a time, please.");
  } else if (files.length && runs.length) {
    start(files[0]);
  }
}

$("file").addEventListener("change", () => {
  take($("file").files);
});
$("file").addEventListener("click", () => { $("file").value = ""; });
$("again").addEventListener("click", () => last && start(last));
$("cancel").addEventListener("click", cancel);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") cancel(); });
$("run").addEventListener("change", () => {
  describe();
  if (last && answer && !request) start(last);
});
$("hop").addEventListener("change", () => { if (last && answer && !request) start(last); });
$("record").addEventListener("click", record);
$("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
  list();
});
$("player").addEventListener("play", move);
$("player").addEventListener("pause", move);
$("player").addEventListener("seeked", move);
$("player").addEventListener("ended", move);
$("player").addEventListener("error", () => {
  $("player").hidden = true;
  $("silent").hidden = false;
});
$("position").addEventListener("input", () => seek(Number($("position").value)));
for (const id of ["waveform", "spectrogram", "windows"]) {
  $(id).addEventListener("click", (event) => {
    const box = $(id).getBoundingClientRect();
    if (answer) seek(((event.clientX - box.left) / box.width) * answer.seconds);
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
window.addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (!navigator.mediaDevices || !window.MediaRecorder) {
  $("record").disabled = true;
  $("microphone").textContent = "Recording needs this page at localhost or by https.";
}
if (location.hash.startsWith("#token=")) {
  token = decodeURIComponent(location.hash.slice(7));
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}
list();
