
// Made sounds, played without loading anything: IMA ADPCM of four bits at 8 kHz.
const SOUND_STEPS = Array.from({length: 89}, (_, n) => Math.min(32767, Math.round(7 * 1.1 ** n)));
const SOUND_MOVES = [-1, -1, -1, -1, 2, 4, 6, 8];
const samplesOf = text => {
  const bytes = atob(text), samples = new Float32Array(2 * bytes.length);
  let guess = 0, index = 0;
  for (let i = 0; i < samples.length; i++) {
    const byte = bytes.charCodeAt(i >> 1), code = i % 2 ? byte >> 4 : byte & 15, step = SOUND_STEPS[index];
    const change = Math.floor(step * (2 * (code & 7) + 1) / 8);
    guess = Math.max(-32768, Math.min(32767, guess + (code & 8 ? -change : change)));
    index = Math.max(0, Math.min(88, index + SOUND_MOVES[code & 7]));
    samples[i] = guess / 32768;
  }
  return samples;
};

let speaker = null, playing = null;
const play = samples => {
  speaker ??= new AudioContext();
  speaker.resume();
  playing?.stop();
  const buffer = speaker.createBuffer(1, samples.length, 8000);
  buffer.copyToChannel(samples, 0);
  playing = Object.assign(speaker.createBufferSource(), {buffer});
  playing.connect(speaker.destination);
  playing.start();
  return playing;
};

const sound = (board, id) => {
  const text = board.sounds?.[id];
  if (!text) return null;
  const made = button("▶", () => {
    made.setAttribute("aria-pressed", "true");
    play(samplesOf(text)).onended = () => made.setAttribute("aria-pressed", "false");
  }, {"aria-label": `Play ${id}`, "aria-pressed": "false", class: "play"});
  return made;
};

// the made clips that the most systems miss, with what they said
const heard = explorer => {
  const {board} = explorer;
  if (!board.sounds) return [];
  const said = new Map();
  board.rows.forEach((_, i) => (clipsOf(explorer, i) ?? []).forEach(clip => {
    if (!board.sounds[clip.id]) return;
    const found = said.get(clip.id) ?? said.set(clip.id, {clip, right: 0, runs: 0, wrong: {}}).get(clip.id);
    found.runs += 1;
    if (clip.truth === clip.predicted) found.right += 1;
    else found.wrong[clip.predicted] = (found.wrong[clip.predicted] ?? 0) + 1;
  }));
  const rows = [...said.values()].sort((a, b) => a.right - b.right || (a.clip.id < b.clip.id ? -1 : 1)).map(({clip, right, runs, wrong}) => {
    const [most] = Object.entries(wrong).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    return [clipName(explorer, clip.id), board.classes[clip.truth], `${right} of ${runs}`, most ? `${board.classes[most[0]]} (${most[1]})` : "–"];
  });
  return [element("details", {open: explorer.opened.has(HEARD), ontoggle: event => opening(explorer, HEARD, event.target.open)},
    element("summary", {textContent: HEARD}),
    small(["clip", "class", "right", "most often taken for"], rows, "Made sounds that most systems miss"))];
};
