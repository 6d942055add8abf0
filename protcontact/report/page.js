"use strict";
// Fills the map of the page and answers its controls. The data are plain: see page_maps.py.
(function () {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const $ = (id) => document.getElementById(id);
  const COLOURS = {
    hit: [0, 60, 120], miss: [213, 94, 0], open: [150, 150, 150], contact: [20, 20, 20],
    none: [255, 255, 255], unknown: [226, 226, 226], dim: [205, 205, 205],
  };
  const state = { run: 0, chain: 0, threshold: 0.2, low: 6, high: Infinity, cursor: null };
  const cache = new Map();
  let drawing = 0;

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function opened(run, chain) {
    const key = run + "/" + chain;
    if (!cache.has(key)) {
      const map = data.runs[run].maps[chain];
      const [predicted, truth] = await Promise.all([inflate(map.predicted), inflate(map.truth)]);
      cache.set(key, { ...map, predicted, truth });
    }
    return cache.get(key);
  }

  // place of the pair i < j in the list of all pairs, row by row
  const place = (map, i, j) => i * map.length - (i * (i + 1)) / 2 + j - i - 1;
  const probability = (map, at) => (map.predicted[at] / 255) ** 2;
  const inRange = (separation) => separation >= state.low && separation <= state.high;
  const model = (name) => Bokeh.documents.map((d) => d.get_model_by_name(name)).find((m) => m);

  function colours(map, i, j) {
    const at = place(map, i, j), p = probability(map, at), truth = map.truth[at];
    const shown = inRange(j - i);
    let above = COLOURS.none;
    if (shown && p >= state.threshold) above = [COLOURS.miss, COLOURS.hit, COLOURS.open][truth];
    else {
      const pale = Math.round(255 - 0.55 * map.predicted[at]);
      above = shown ? [pale, pale, 255] : [pale, pale, pale];
    }
    let below = [COLOURS.none, COLOURS.contact, COLOURS.unknown][truth];
    if (truth === 1 && !shown) below = COLOURS.dim;
    return [above, below];
  }

  function picture(map) {
    const n = map.length, scale = Math.max(1, Math.floor(1200 / n));
    const small = document.createElement("canvas");
    small.width = small.height = n;
    const image = new ImageData(n, n);
    const put = (row, column, colour) => {
      const at = 4 * (row * n + column);
      image.data[at] = colour[0]; image.data[at + 1] = colour[1]; image.data[at + 2] = colour[2];
      image.data[at + 3] = 255;
    };
    for (let i = 0; i < n; i++) {
      put(i, i, COLOURS.dim);
      for (let j = i + 1; j < n; j++) {
        const [above, below] = colours(map, i, j);
        put(i, j, above); put(j, i, below);
      }
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const large = document.createElement("canvas");
    large.width = large.height = n * scale;
    const context = large.getContext("2d");
    context.imageSmoothingEnabled = false; // a pair is a square, at every zoom
    context.drawImage(small, 0, 0, n * scale, n * scale);
    return large.toDataURL("image/png");
  }

  function summary(map) {
    let predicted = 0, known = 0, right = 0, contacts = 0;
    for (let i = 0; i < map.length; i++)
      for (let j = i + 1; j < map.length; j++) {
        if (!inRange(j - i)) continue;
        const at = place(map, i, j), truth = map.truth[at];
        if (truth === 1) contacts++;
        if (probability(map, at) < state.threshold) continue;
        predicted++;
        if (truth !== 2) known++;
        if (truth === 1) right++;
      }
    const share = (a, b) => (b ? (a / b).toFixed(2) : "undefined");
    return `${predicted} pairs predicted; ${right} of the ${known} known ones are in contact ` +
      `(precision ${share(right, known)}); found ${right} of ${contacts} contacts ` +
      `(recall ${share(right, contacts)})`;
  }

  async function draw(whole) {
    const mine = ++drawing;
    const map = await opened(state.run, state.chain);
    if (mine !== drawing) return; // a later change has overtaken this one
    const n = map.length;
    model("map-image").data = { url: [picture(map)], x: [0.5], y: [0.5], w: [n], h: [n] };
    if (whole) {
      const plot = model("map");
      const low = 0.5, high = n + 0.5; // a residue reaches half a place to each side
      plot.x_range.setv({ start: low, end: high, reset_start: low, reset_end: high });
      plot.y_range.setv({ start: high, end: low, reset_start: high, reset_end: low });
      state.cursor = null;
    }
    $("threshold-value").textContent = state.threshold.toFixed(2);
    $("low-value").textContent = String(state.low);
    $("high-value").textContent = state.high === Infinity ? "any" : String(state.high);
    $("summary").textContent = summary(map);
    cursor(map);
    document.body.dataset.drawn = String(mine);
  }

  const residue = (map, i) => {
    const number = map.numbers[i];
    return `${map.sequence[i]} ` + (number === "" ? `at place ${i + 1}, without a number`
      : `${map.chain}:${number}`);
  };

  function cursor(map) {
    const source = model("map-cursor");
    if (!state.cursor) { source.data = { x: [], y: [], w: [] }; return; }
    const [i, j] = state.cursor;
    source.data = { x: [j + 1], y: [i + 1], w: [Math.max(1, map.length / 60)] };
    tell(map, i, j);
  }

  function tell(map, row, column) {
    const [i, j] = row < column ? [row, column] : [column, row];
    if (i === j) { $("pair").textContent = residue(map, i); return; }
    const at = place(map, i, j), truth = ["no contact", "contact", "unknown"][map.truth[at]];
    const near = j - i < 3 ? " (nearer than 3 residues: not shown)" : "";
    $("pair").textContent = `${residue(map, i)} and ${residue(map, j)}, separation ${j - i}: ` +
      `probability ${probability(map, at).toPrecision(2)}, ${truth}${near}`;
  }

  async function pointed(x, y) {
    const map = await opened(state.run, state.chain);
    const i = Math.round(y) - 1, j = Math.round(x) - 1;
    if (i >= 0 && j >= 0 && i < map.length && j < map.length) tell(map, i, j);
  }

  async function moved(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const map = await opened(state.run, state.chain), n = map.length;
    const size = event.shiftKey ? 10 : 1, [di, dj] = steps[event.key];
    const [i, j] = state.cursor || [Math.floor(n / 4), Math.floor((3 * n) / 4)];
    const inside = (k) => Math.min(n - 1, Math.max(0, k));
    state.cursor = [inside(i + size * di), inside(j + size * dj)];
    cursor(map);
  }

  function chains() {
    const select = $("chain");
    select.replaceChildren(...data.runs[state.run].maps.map((map, k) => {
      const option = document.createElement("option"), score = map.scores["long P@L"];
      option.value = String(k);
      option.textContent = `${map.id}, ${map.length} residues, long-range P@L ` +
        (score === null ? "undefined" : score.toFixed(2));
      return option;
    }));
    state.chain = Math.min(state.chain, data.runs[state.run].maps.length - 1);
    select.value = String(state.chain);
  }

  function choose(chain) {
    const last = data.runs[state.run].maps.length - 1;
    state.chain = Math.min(last, Math.max(0, chain));
    $("chain").value = String(state.chain);
    draw(true);
  }

  function start() {
    $("run").addEventListener("change", (e) => {
      // the same chain of the other run, where it has it
      const id = data.runs[state.run].maps[state.chain].id;
      state.run = Number(e.target.value);
      const same = data.runs[state.run].maps.findIndex((map) => map.id === id);
      state.chain = same >= 0 ? same : 0;
      chains(); draw(true);
    });
    $("chain").addEventListener("change", (e) => choose(Number(e.target.value)));
    $("previous").addEventListener("click", () => choose(state.chain - 1));
    $("next").addEventListener("click", () => choose(state.chain + 1));
    const slider = (id, set) => $(id).addEventListener("input", (e) => {
      set(Number(e.target.value)); draw(false);
    });
    slider("threshold", (v) => { state.threshold = v; });
    slider("low", (v) => { state.low = v; });
    slider("high", (v) => { state.high = v >= Number($("high").max) ? Infinity : v; });
    $("map-frame").addEventListener("keydown", moved);
    model("map").on_event("mousemove", (e) => pointed(e.x, e.y));
    for (const button of document.querySelectorAll("[data-chain]"))
      button.addEventListener("click", () => {
        state.run = Number(button.dataset.run); $("run").value = String(state.run); chains();
        choose(Number(button.dataset.chain)); $("maps").scrollIntoView();
      });
    chains(); draw(true);
  }

  function wait() {
    if (window.Bokeh && Bokeh.documents.length && model("map") && model("map-image")) start();
    else window.setTimeout(wait, 50);
  }
  if (data.runs.length) wait();
})();
