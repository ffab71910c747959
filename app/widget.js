// The landscape widget of a self-contained file: canvas drawings, controls and a player around `Engine`. What it shows follows from `values`.

(() => {
  const DATA = JSON.parse(document.getElementById("state").textContent)
  const RULES = ["a", "b"], KEPT = 400, SHOWN = {1: 100, 2: 40}, TAIL = 12, SPEED = 30, GRID = 400, TERRAIN = [168, 120]
  const {BINS} = Engine, {dim} = DATA
  const query = new URLSearchParams(location.search)
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches
  Engine.setup(DATA.ziggurat)

  // Elements; all text is set as text
  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name)
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") node.textContent = value
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value)
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value)
    }
    node.append(...children.filter(child => child !== null && child !== undefined))
    return node
  }
  const ICONS = {
    play: "M4 2l10 6-10 6z", pause: "M3 2h4v12H3zM9 2h4v12H9z", start: "M2 2h2v12H2zM14 2v12L5 8z", back: "M11 2v12L3 8zM12 2h2v12h-2z", next: "M5 2v12l8-6zM2 2h2v12H2z",
    close: "M3 4.4L4.4 3 8 6.6 11.6 3 13 4.4 9.4 8l3.6 3.6-1.4 1.4L8 9.4 4.4 13 3 11.6 6.6 8z", theme: "M8 1a7 7 0 100 14A7 7 0 008 1zm0 2v10A5 5 0 018 3z",
    settings: "M1 3h6v2H1zM11 3h4v2h-4zM8 2h2v4H8zM1 11h3v2H1zM8 11h7v2H8zM5 10h2v4H5zM1 7h9v2H1zM14 7h1v2h-1zM11 6h2v4h-2z",
    noise: "M2 2h12v12H2zm2 2v2h2V4zm6 0v2h2V4zM7 7v2h2V7zm-3 3v2h2v-2zm6 0v2h2v-2z", type: "M1 13L5 3h2l4 10H9l-1-2.6H4L3 13zm3.6-4.3h2.8L6 5zM12 3h1.4v1.8H15v1.4h-1.6V8H12V6.200h-1.700V4.800H12z",
  }
  const icon = name => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS("http://www.w3.org/2000/svg", "path")
    svg.setAttribute("viewBox", "0 0 16 16"); svg.setAttribute("aria-hidden", "true"); path.setAttribute("d", ICONS[name]); path.setAttribute("fill", "currentColor"); path.setAttribute("fill-rule", "evenodd")
    svg.append(path)
    return svg
  }
  const button = (name, help, onclick, extra = {}) => make("button", {type: "button", title: help, "aria-label": help, onclick, ...extra}, icon(name))

  // Numbers in words
  const short = (value, digits = 3) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–"
    if (value === 0) return "0"
    const size = Math.abs(value)
    if (size >= 1e5 || size < 1e-3) { const [m, e] = value.toExponential(digits - 1).split("e"); return `${+m}·10${raised(+e)}` }
    return (+value.toPrecision(digits)).toLocaleString("en", {maximumFractionDigits: 6})
  }
  const raised = number => String(number).replace("-", "⁻").replace(/\d/g, digit => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])
  const percent = share => Number.isNaN(share) ? "–" : share === 0 ? "0 %" : share < 1e-4 ? `${short(100 * share, 2)} %` : `${(100 * share).toPrecision(3).replace(/\.?0+$/, part => part.includes(".") ? "" : part)} %`

  const factored = products => { // (w + 1.8)(w − 1.8)²
    const names = dim === 1 ? ["w"] : ["w₁", "w₂"]
    const figure = value => String(+Math.abs(value).toPrecision(4))
    const sum = terms => terms.filter(([c]) => c).map(([c, ...powers], i) => {
      const letters = names.map((name, axis) => powers[axis] ? name + (powers[axis] > 1 ? raised(powers[axis]) : "") : "").join("")
      return (c < 0 ? (i ? " − " : "−") : i ? " + " : "") + (letters && figure(c) === "1" ? "" : figure(c)) + letters
    }).join("") || "0"
    const text = products.map(({scale, factors}) => {
      const kept = factors.filter(factor => factor.power), alone = kept.length === 1 && kept[0].power === 1
      const body = kept.map(({terms, power}) => {
        const inner = sum(terms), bare = alone || names.includes(inner)
        return (bare ? inner : `(${inner})`) + (power > 1 ? raised(power) : "")
      }).join("")
      return (scale === 1 ? "" : scale === -1 ? "−" : figure(scale)) + body || "1"
    })
    return text.length > 1 ? `(${text.join(", ")})` : text[0]
  }

  // Values, and what follows from them

  const copy = value => structuredClone(value)
  const initial = {landscape: copy(DATA.family.values), a: copy(DATA.rules.a), b: copy(DATA.rules.b ?? null), own: {}}
  for (const kind of ["run", "posterior", "data"]) for (const item of DATA.items[kind]) initial.own[item.name] = Math.min(item.value, item.most ?? Infinity)
  let values = copy(initial)

  const placed = (value, p) => Array.isArray(value) ? value.map(entry => placed(entry, p)) : value && typeof value === "object"
    ? "s" in value ? value.c + value.s * p : Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, placed(entry, p)])) : value
  const given = DATA.data.size && DATA.data.xx ? (() => {
    const doubles = text => new Float64Array(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer)
    return {...DATA.data, xx: doubles(DATA.data.xx), xe: DATA.data.xe.map(doubles)}
  })() : DATA.data

  const landscape = () => {
    const {whole, real, cases} = DATA.family
    return placed(cases[whole.map(name => values.landscape[name]).join(",")], real ? values.landscape[real] : 0)
  }
  const runOf = (rule, land) => {
    const {own} = values, data = {...given}
    for (const name of ["slope", "vx", "vy"]) if (`data.${name}` in own) data[name] = own[`data.${name}`]
    return {dim, of: DATA.of, products: land.products, rule: {name: rule.name, ...rule.fields}, data, start: DATA.start, seed: own.seed, n: own.n, steps: own.steps}
  }

  // The scene: one landscape, the ensembles of A and B, and what is drawn of them
  let scene = null, step = 0, playing = false, dirty = true, basin = 0, late = 0

  const recorded = (entry, land) => {
    const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer)
    const kept = unpack(entry.kept, Float32Array)
    return {run: {n: entry.n, dim}, steps: entry.steps, survivors: entry.survivors, done: entry.n, over: true, kept, counts: unpack(entry.counts, Uint32Array), among: unpack(entry.among, Uint32Array),
      lost: unpack(entry.lost, Uint32Array), view: {kept: kept.length / entry.steps.length / dim, barriers: land.barriers}}
  }

  const restart = () => {
    const land = landscape(), [low, high] = land.box[DATA.axis], rules = RULES.filter(name => values[name])
    const view = {axis: DATA.axis, low, high, barriers: dim === 1 ? land.barriers : [], kept: KEPT}
    const runs = Object.fromEntries(rules.map(name => [name, runOf(values[name], land)]))
    const ensembles = Object.fromEntries(rules.map(name => [name, DATA.recorded ? recorded(DATA.recorded[name], land) : new Engine.Ensemble(runs[name], view)]))
    const model = Engine.model({...runs.a, data: {...runs.a.data, size: 0, moments: null}}) // the loss in expectation
    const K = (x, y) => { model.potential(x, y); return Engine.O[0] }
    const frames = ensembles.a.steps.length
    scene = {land, low, high, view, runs, ensembles, K, frames, last: ensembles.a.steps[frames - 1], rules}
    step = Math.min(step, frames - 1)
    basin = Math.min(basin, land.barriers.length)
    if (dim === 1) terrain1(); else terrain2()
    const {own} = values, samples = given.size ? Math.min(own["bayes.samples"], given.size) : own["bayes.samples"]
    scene.samples = samples
    scene.masses = DATA.recorded ? DATA.masses : dim === 1 && land.barriers.length ? Engine.masses(runs.a, {samples, beta: own["bayes.beta"]}, land.box[0], land.barriers, land.minima.map(m => m.at[0])) : null
    work(10)
    refresh()
    words()
    wake()
  }

  const work = milliseconds => { // A and B take turns, so that both sharpen
    const until = performance.now() + milliseconds, rows = Object.values(scene.ensembles).filter(ensemble => !ensemble.over)
    rows.forEach((ensemble, i) => ensemble.work(performance.now() + (until - performance.now()) / (rows.length - i)))
    if (rows.length) dirty = true
    return rows.length
  }

  const terrain1 = () => {
    const {land, K} = scene, [low, high] = land.box[0]
    scene.x = Array.from({length: GRID}, (_, i) => low + (high - low) * i / (GRID - 1))
    scene.y = scene.x.map(w => K(w, 0))
    const walls = land.barriers.map(w => K(w, 0))
    scene.top = (walls.length ? 1.7 * Math.max(...walls) : 0.6 * Math.min(scene.y[0], scene.y[GRID - 1])) || 1
  }

  const terrain2 = () => { // log K on a grid wider than the box, for both axes to have one scale in any shape of window
    const {land, K} = scene, [[l1, h1], [l2, h2]] = land.box, side = Math.max(h1 - l1, h2 - l2), [nx, ny] = TERRAIN
    const x0 = (l1 + h1) / 2 - side, x1 = (l1 + h1) / 2 + side, y0 = (l2 + h2) / 2 - 0.75 * side, y1 = (l2 + h2) / 2 + 0.75 * side
    const grid = new Float64Array(nx * ny), inside = []
    for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      const x = x0 + (x1 - x0) * i / (nx - 1), y = y0 + (y1 - y0) * j / (ny - 1)
      grid[j * nx + i] = K(x, y)
      if (Math.abs(x - (l1 + h1) / 2) < side / 2) inside.push(grid[j * nx + i])
    }
    inside.sort((a, b) => a - b)
    const top = inside[Math.floor(0.995 * (inside.length - 1))] || 1, floor = top * 1e-6
    for (let i = 0; i < grid.length; i++) grid[i] = Math.log10(Math.max(grid[i], floor))
    const lowest = grid.reduce((a, b) => Math.min(a, b), Infinity), highest = Math.log10(top)
    scene.levels = Array.from({length: 9}, (_, i) => lowest + (highest - lowest) * (i + 1.5) / 10)
    Object.assign(scene, {grid, x0, x1, y0, y1, lowest, highest, contours: scene.levels.map(level => contour(grid, nx, ny, level))})
  }

  const contour = (grid, nx, ny, level) => { // marching squares: segments in units of cells
    const segments = []
    for (let j = 0; j + 1 < ny; j++) for (let i = 0; i + 1 < nx; i++) {
      const v = [grid[j * nx + i], grid[j * nx + i + 1], grid[(j + 1) * nx + i + 1], grid[(j + 1) * nx + i]], points = []
      for (let e = 0; e < 4; e++) {
        const p = v[e] - level, q = v[(e + 1) % 4] - level
        if ((p < 0) === (q < 0)) continue
        const t = p / (p - q)
        points.push(e === 0 ? [i + t, j] : e === 1 ? [i + 1, j + t] : e === 2 ? [i + 1 - t, j + 1] : [i, j + 1 - t])
      }
      for (let p = 0; p + 1 < points.length; p += 2) segments.push(points[p], points[p + 1])
    }
    return segments
  }

  // What is read off the ensembles

  const away = minimum => { // the distance of a point to a minimum, or to its line
    const [x, y] = minimum.at
    if (dim === 1) return w => Math.abs(w - x)
    if (!minimum.along) return (u, v) => Math.hypot(u - x, v - y)
    const [p, q] = minimum.along, norm = Math.hypot(p, q)
    return (u, v) => Math.abs((u - x) * q - (v - y) * p) / norm
  }
  const survivors = (ensemble, most = Infinity) => { // the first of those that never diverge
    const {kept, steps, view} = ensemble, count = Math.min(view.kept, ensemble.done), end = (steps.length - 1) * view.kept, found = []
    for (let i = 0; i < count && found.length < most; i++) if (!Number.isNaN(kept[(end + i) * dim])) found.push(i)
    return found
  }
  const drawn = (ensemble, most) => { // of none the first, to be seen going
    const found = survivors(ensemble, most)
    return found.length ? found : Array.from({length: Math.min(most, ensemble.done, ensemble.view.kept)}, (_, i) => i)
  }
  const bands = (ensemble, measure) => { // 10, 50 and 90 % of those that never diverge, at every frame
    const {kept, steps, view} = ensemble, stay = survivors(ensemble), count = stay.length, out = [[], [], []], room = new Float64Array(count)
    for (let t = 0; t < steps.length; t++) {
      for (let k = 0; k < count; k++) {
        const at = (t * view.kept + stay[k]) * dim
        room[k] = measure(kept[at], dim === 2 ? kept[at + 1] : 0)
      }
      room.sort();
      [0.1, 0.5, 0.9].forEach((q, i) => out[i].push(count ? room[Math.min(Math.floor(q * count), count - 1)] : NaN))
    }
    return out
  }

  const refresh = () => { // after more trajectories, or another landscape
    const {ensembles, land, rules} = scene
    dirty = false; late = performance.now()
    scene.shares = {}; scene.bands = {}
    for (const name of rules) {
      const ensemble = ensembles[name], basins = land.barriers.length + 1
      if (dim === 1 && basins > 1) scene.shares[name] = Array.from({length: basins}, (_, b) => ensemble.steps.map((_, t) => ensemble.survivors ? ensemble.among[t * basins + b] / ensemble.survivors : NaN))
      else {
        const line = land.minima.find(m => m.along), near = line && line !== land.minima[0] ? line : null
        scene.near = near
        scene.bands[name] = dim === 1 ? {far: bands(ensemble, away(land.minima[0]))} : {
          far: bands(ensemble, Math.hypot), near: near ? bands(ensemble, away(near)) : null, K: bands(ensemble, scene.K), all: land.minima.map(m => m.along ? bands(ensemble, away(m)) : null)}
      }
    }
    heat()
    draw()
  }

  const heat = () => { // both densities in one image: blue, orange and their mixture
    if (dim === 2) return
    const {ensembles, rules, frames} = scene, colour = paint()
    let peak = 1
    for (const name of rules) for (const value of ensembles[name].counts) if (value > peak) peak = value
    const image = new ImageData(frames, BINS), scale = 1 / Math.log1p(peak), logs = Float64Array.from({length: Math.min(peak + 1, 65536)}, (_, i) => Math.log1p(i) * scale)
    for (let t = 0; t < frames; t++) for (let b = 0; b < BINS; b++) {
      let red = 0, green = 0, blue = 0, clear = 1, sum = 0
      for (const name of rules) {
        const count = ensembles[name].counts[t * BINS + b], share = count < 65536 ? logs[count] : Math.log1p(count) * scale, [r, g, l] = colour.rgb[name]
        red += share * r; green += share * g; blue += share * l
        sum += share; clear *= 1 - share
      }
      if (sum > 0) image.data.set([red / sum, green / sum, blue / sum, 255 * (1 - clear)], 4 * ((BINS - 1 - b) * frames + t))
    }
    scene.heat = make("canvas", {width: frames, height: BINS})
    scene.heat.getContext("2d").putImageData(image, 0, 0)
  }

  // The page

  const root = make("div", {class: "widget", tabindex: -1, role: "application", "aria-label": DATA.title || "Landscape and trajectories"})
  const formula = make("span", {class: "formula"}), chips = Object.fromEntries(RULES.map(name => [name, make("span", {class: "rule"})]))
  const header = make("header", {}, formula, chips.a, chips.b, DATA.cite ? make("span", {class: "cite", text: DATA.cite}) : null)
  const figure = name => {
    const canvas = make("canvas", {role: "img"}), title = make("figcaption"), holder = make("div", {class: "canvas"}, canvas)
    return {name, canvas, title, holder, node: make("figure", {}, title, holder)}
  }
  const figures = {main: figure("main"), first: figure("first"), second: figure("second")}
  const body = make("tbody"), head = make("thead"), table = make("table", {}, make("caption", {hidden: true, text: "Simulated numbers at the moment shown, and exact ones"}), head, body), note = make("p", {class: "note", hidden: true})
  const main = make("main", {}, make("div", {class: "left"}, figures.main.node, make("div", {class: "numbers"}, table, note)), make("div", {class: "right"}, figures.first.node, figures.second.node))

  const play = button("play", "Play or pause (space)", () => toggle(), {class: "play"})
  const scrub = make("input", {type: "range", min: 0, max: 1, value: 0, step: 1, class: "scrub", "aria-label": "Time", oninput: () => { pause(); go(+scrub.value) }})
  const clock = make("output", {class: "clock"})
  const speed = make("select", {class: "speed", title: "Speed", "aria-label": "Speed"}, ...[["0.25", "¼×"], ["0.5", "½×"], ["1", "1×"], ["2", "2×"], ["4", "4×"]].map(([value, text]) => make("option", {value, text, selected: value === "1"})))
  const open = button("settings", "Settings (s)", () => settings(aside.hidden), {"aria-expanded": "false"})
  const footer = make("footer", {},
    button("start", "To the start (Home)", () => { pause(); go(0) }), button("back", "One frame back (,)", () => { pause(); go(step - 1) }, {class: "more"}), play,
    button("next", "One frame on (.)", () => { pause(); go(step + 1) }), scrub, clock, speed,
    DATA.recorded ? null : button("noise", "New noise: the next seed (n)", () => noise()), DATA.recorded ? null : open,
    button("type", "Larger type, for a projector (p)", () => projector(), {class: "more"}), button("theme", "Light or dark (t)", () => theme(dark() ? "light" : "dark"), {class: "more"}))
  const form = make("form", {onsubmit: event => event.preventDefault()})
  const aside = make("aside", {"aria-label": "Settings"}, button("close", "Close (Escape)", () => settings(false), {class: "close"}), form)
  root.append(make("div", {class: "frame"}, header, aside, main, footer))
  document.body.append(root)

  // Theme, type, size

  const dark = () => root.dataset.theme === "dark"
  let colours = null
  const paint = () => {
    if (colours) return colours
    const style = getComputedStyle(root), get = name => style.getPropertyValue(`--${name}`).trim()
    colours = Object.fromEntries(["paper", "ink", "soft", "line", "grid", "a", "b", "exact", "bayes", "low", "high"].map(name => [name, get(name)]))
    const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16))
    colours.rgb = {a: rgb(colours.a), b: rgb(colours.b), low: rgb(colours.low), high: rgb(colours.high)}
    return colours
  }
  const theme = name => { root.dataset.theme = name; colours = null; if (scene) { scene.relief = null; heat(); draw() } }
  const system = matchMedia("(prefers-color-scheme: dark)"), wanted = query.get("theme") ?? document.documentElement.dataset.theme
  theme(["light", "dark"].includes(wanted) ? wanted : system.matches ? "dark" : "light")
  system.addEventListener("change", () => { if (!["light", "dark"].includes(wanted)) theme(system.matches ? "dark" : "light") })
  const projector = () => { root.classList.toggle("projector"); size() }
  const size = () => {
    const {width, height} = root.getBoundingClientRect(), large = root.classList.contains("projector") ? 1.4 : 1, small = width < 900 * large || height < 520 * large
    if (small !== root.classList.contains("small")) { root.classList.toggle("small", small); settings(!small && !DATA.recorded && query.get("settings") !== "0") }
    if (scene) draw()
  }
  const settings = shown => {
    aside.hidden = !shown
    open.setAttribute("aria-expanded", String(shown))
    if (root.classList.contains("small")) (shown ? aside.querySelector(".close") : open).focus({preventScroll: true})
  }

  // Drawing

  const ticks = (low, high, count) => {
    const raw = (high - low) / Math.max(count, 1), unit = 10 ** Math.floor(Math.log10(raw)), gap = [1, 2, 5, 10].find(m => m * unit >= raw) * unit, found = []
    for (let i = Math.ceil(low / gap - 1e-9); i * gap <= high + 1e-9 * gap; i++) found.push(+(i * gap).toPrecision(12))
    return found
  }
  const decades = (low, high, count) => {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9), gap = Math.max(1, Math.ceil((last - first + 1) / Math.max(count, 1)))
    return Array.from({length: Math.max(0, Math.floor((last - first) / gap) + 1)}, (_, i) => 10 ** (first + i * gap))
  }
  const powerText = value => value >= 1e-3 && value < 1e4 ? String(+value.toPrecision(3)) : `10${raised(Math.round(Math.log10(value)))}`

  class Plot { // a canvas with axes: px and py turn data into pixels
    constructor({canvas, holder}) {
      this.canvas = canvas
      const width = holder.clientWidth, height = holder.clientHeight, dense = window.devicePixelRatio || 1
      if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) { canvas.width = Math.round(width * dense); canvas.height = Math.round(height * dense) }
      this.g = canvas.getContext("2d")
      this.g.setTransform(dense, 0, 0, dense, 0, 0)
      this.g.clearRect(0, 0, width, height)
      this.width = width; this.height = height
      this.size = 0.88 * parseFloat(getComputedStyle(canvas).fontSize)
      this.g.font = `${this.size}px ${getComputedStyle(canvas).fontFamily}`
      this.colour = paint()
    }
    axes([x0, x1], [y0, y1], {log = false, across = "", equal = false, positive = false} = {}) {
      const {g, size, colour} = this, yTicks = log ? decades(y0, y1, this.height / (2.2 * size)) : ticks(positive ? 0 : y0, y1, this.height / (2.8 * size))
      const yText = log ? powerText : value => short(value, 4)
      this.left = Math.max(...yTicks.map(value => g.measureText(yText(value)).width), size) + 0.9 * size
      this.right = this.width - 0.7 * size; this.top = 0.45 * size; this.bottom = this.height - 1.9 * size
      if (equal) {
        const scale = Math.min((this.right - this.left) / (x1 - x0), (this.bottom - this.top) / (y1 - y0)), mx = (x0 + x1) / 2, my = (y0 + y1) / 2
        const w = (this.right - this.left) / scale / 2, h = (this.bottom - this.top) / scale / 2
        x0 = mx - w; x1 = mx + w; y0 = my - h; y1 = my + h
      }
      const up = log ? Math.log : value => value, u0 = up(y0), u1 = up(y1)
      this.px = x => this.left + (x - x0) / (x1 - x0) * (this.right - this.left)
      this.py = y => this.bottom - (up(y) - u0) / (u1 - u0) * (this.bottom - this.top)
      Object.assign(this, {x0, x1, y0, y1})
      this.decorate = () => {
        g.lineWidth = 1; g.fillStyle = colour.soft; g.textBaseline = "alphabetic"
        const xTicks = ticks(x0, x1, (this.right - this.left) / (5.5 * size)), shown = equal ? ticks(y0, y1, this.height / (2.8 * size)) : yTicks
        g.textAlign = "center"
        const reserve = across ? g.measureText(across).width + 1.2 * size : 0
        for (const x of xTicks) {
          const text = short(x, 4), half = g.measureText(text).width / 2, at = Math.min(this.px(x), this.width - half)
          if (at + half < this.width - reserve || !across) g.fillText(text, at, this.bottom + 1.3 * size)
        }
        g.textAlign = "right"
        if (across) g.fillText(across, this.width - 0.2 * size, this.bottom + 1.3 * size)
        for (const y of shown) if (this.py(y) <= this.bottom + 1 && this.py(y) >= this.top - 1) g.fillText(yText(y), this.left - 0.45 * size, this.py(y) + 0.35 * size)
        g.strokeStyle = colour.soft
        g.beginPath(); g.moveTo(this.left + 0.5, this.top); g.lineTo(this.left + 0.5, this.bottom + 0.5); g.lineTo(this.right, this.bottom + 0.5); g.stroke()
      }
      this.rules = () => { // the grid, under the data
        g.strokeStyle = colour.grid; g.lineWidth = 1
        g.beginPath()
        for (const y of yTicks) { const at = Math.round(this.py(y)) + 0.5; g.moveTo(this.left, at); g.lineTo(this.right, at) }
        for (const x of ticks(x0, x1, (this.right - this.left) / (5.5 * size))) { const at = Math.round(this.px(x)) + 0.5; g.moveTo(at, this.top); g.lineTo(at, this.bottom) }
        g.stroke()
      }
      return this
    }
    inside(paintIt) {
      const {g} = this
      g.save(); g.beginPath(); g.rect(this.left, this.top, this.right - this.left, this.bottom - this.top); g.clip()
      paintIt(g)
      g.restore()
    }
    line(x, y, colour, width = 2, dash = []) {
      const {g} = this
      g.strokeStyle = colour; g.lineWidth = width; g.setLineDash(dash); g.lineJoin = "round"; g.lineCap = "round"
      g.beginPath()
      let on = false
      for (let i = 0; i < x.length; i++) {
        const v = y[i], at = v === v && !(this.y0 > 0 && v <= 0) ? this.py(v) : NaN
        if (at !== at) { on = false; continue }
        const place = Math.max(-1e4, Math.min(1e4, at))
        if (on) g.lineTo(this.px(x[i]), place); else g.moveTo(this.px(x[i]), place)
        on = true
      }
      g.stroke(); g.setLineDash([])
    }
    now(time) { this.line([time, time], [this.y0, this.y1], this.colour.ink, 1, [2, 3]) }
    dot(x, y, name, radius) { // A round, B a diamond: never colour alone
      const {g} = this
      g.fillStyle = this.colour[name]; g.strokeStyle = this.colour.paper; g.lineWidth = 0.8
      g.beginPath()
      if (name === "a") g.arc(x, y, radius, 0, 7)
      else { const r = 1.2 * radius; g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.closePath() }
      g.fill(); g.stroke()
    }
    tag(text, x, y, colour, align = "center") { // text that stays readable on anything
      const {g} = this
      g.textAlign = align; g.textBaseline = "alphabetic"; g.lineJoin = "round"
      g.font = `600 ${g.font.replace(/^600 /, "")}`
      g.strokeStyle = this.colour.paper; g.lineWidth = 3.5; g.strokeText(text, x, y)
      g.fillStyle = colour; g.fillText(text, x, y)
      g.font = g.font.replace(/^(600|bold) /, "")
    }
  }
  const caption = (name, text, more = "") => {
    const {title} = figures[name], full = text + more
    if (title.dataset.full === full) return
    title.dataset.full = full; title.title = full
    title.replaceChildren(text, more ? make("span", {text: more}) : "")
  }
  const lambda = m => m.lam === null ? "λ not decided" : `λ = ${m.lam}${m.m > 1 ? `, m = ${m.m}` : ""}`
  const dash = name => name === "a" ? [] : [7, 4]

  const draw = () => {
    if (!scene) return
    if (dim === 1) { potential(); density(); scene.land.barriers.length ? shares() : spread("second", "far", `Distance to w = ${scene.land.minima[0].name}`, true) }
    else {
      map()
      spread("first", "far", "Distance to O")
      scene.near ? spread("second", "near", `Distance to the ${scene.near.name}`, true) : spread("second", "K", "Loss K, nats per sample", true)
    }
    numbers()
    const {steps} = scene.ensembles.a, total = Object.values(scene.ensembles), done = Math.min(...total.map(e => e.done)), n = total[0].run.n
    scrub.max = scene.frames - 1; scrub.value = step
    const text = done < n ? `${done.toLocaleString("en")} / ${n.toLocaleString("en")} runs …` : `step ${steps[step].toLocaleString("en")} / ${scene.last.toLocaleString("en")}`
    if (clock.textContent !== text) clock.textContent = text
  }

  const potential = () => {
    const {land, x, y, top, ensembles, rules, K} = scene, plot = new Plot(figures.main), {colour, size} = plot
    const under = 2.7 * size / Math.max(plot.height - 5 * size, 5 * size) // room for λ below K = 0
    plot.axes(land.box[0], [-under * top, top], {across: "w", positive: true})
    caption("main", "Landscape K(w) and trajectories", ", nats per sample")
    plot.rules()
    plot.inside(g => {
      for (const barrier of land.barriers) plot.line([barrier, barrier], [0, top], colour.soft, 1.2, [5, 4])
      plot.line(x, y, colour.ink, 2)
      const moved = values.own["data.slope"], radius = 0.27 * size
      for (const m of land.minima) {
        const at = plot.px(m.at[0]), base = plot.py(moved ? 0 : K(m.at[0], 0)) + 0.45 * size
        g.fillStyle = colour.exact; g.beginPath(); g.moveTo(at, base); g.lineTo(at + 0.4 * size, base + 0.6 * size); g.lineTo(at - 0.4 * size, base + 0.6 * size); g.fill()
        if (!moved) plot.tag(lambda(m), at, base + 1.75 * size, colour.exact)
      }
      const lift = rules.length > 1 ? {a: -0.85 * radius, b: 0.95 * radius} : {a: 0} // A on the line, B under it
      for (const name of rules) {
        const ensemble = ensembles[name]
        for (const i of drawn(ensemble, SHOWN[1])) { const w = ensemble.kept[step * ensemble.view.kept + i]; if (w === w) plot.dot(plot.px(w), plot.py(K(w, 0)) + lift[name], name, radius) }
      }
    })
    plot.decorate()
  }

  const density = () => {
    const {low, high, last, ensembles, frames} = scene, plot = new Plot(figures.first).axes([0, last], [low, high], {across: "step"})
    caption("first", "Density of w over time")
    plot.rules()
    plot.inside(g => {
      const half = last / Math.max(frames - 1, 1) / 2
      g.imageSmoothingEnabled = false
      g.drawImage(scene.heat, plot.px(-half), plot.py(high), plot.px(last + half) - plot.px(-half), plot.py(low) - plot.py(high))
      for (const barrier of scene.land.barriers) plot.line([0, last], [barrier, barrier], plot.colour.soft, 1.2, [5, 4])
      plot.now(ensembles.a.steps[step])
    })
    plot.decorate()
  }

  const dwellers = b => { // the minima in a basin
    const {barriers, minima} = scene.land
    return minima.filter(m => (b === 0 || m.at[0] >= barriers[b - 1]) && (b === barriers.length || m.at[0] < barriers[b]))
  }

  const shares = () => {
    const {last, ensembles, rules, masses} = scene, n = Math.max(...rules.map(name => ensembles[name].run.n)), plot = new Plot(figures.second).axes([0, last], [Math.min(5e-4, 0.7 / n), 1.5], {log: true, across: "step"}), {colour, size} = plot
    caption("second", `Share in the basin of ${dwellers(basin).map(m => m.name).join(", ") || `number ${basin + 1}`}`, ", of survivors")
    plot.rules()
    plot.inside(() => {
      if (masses && masses[basin] > 0) {
        plot.line([0, last], [masses[basin], masses[basin]], colour.bayes, 2, [9, 4, 2, 4])
        const at = plot.py(masses[basin])
        plot.tag(`Bayes, exact: ${percent(masses[basin])}`, plot.right - 0.4 * size, at - 0.5 * size < plot.top + size ? at + 1.2 * size : at - 0.5 * size, colour.bayes, "right")
      }
      for (const name of rules) plot.line(ensembles[name].steps, scene.shares[name][basin], colour[name], 2.4, dash(name))
      plot.now(ensembles.a.steps[step])
    })
    plot.decorate()
  }

  const spread = (place, kind, title, log = false) => { // median and band over time
    const {last, ensembles, rules} = scene, all = rules.map(name => scene.bands[name][kind]), finite = row => row.filter(Number.isFinite)
    const quantile = (rows, q) => { const sorted = finite(rows.flat()).sort((a, b) => a - b); return sorted[Math.floor(q * (sorted.length - 1))] }
    let range = [0, 1.08 * Math.min(quantile(all.map(band => band[2]), 0.97) || 1, 20)]
    if (log) {
      const low = quantile(all.map(band => band[0].map(v => v > 0 ? v : NaN)), 0.02), high = quantile(all.map(band => band[2]), 0.97)
      range = [10 ** Math.floor(Math.log10(Math.max(low || 1e-3, 1e-12))), 10 ** Math.ceil(Math.log10(Math.max(high || 1, 1e-6)))]
      if (range[0] >= range[1]) range[1] = 10 * range[0]
    }
    const plot = new Plot(figures[place]).axes([0, last], range, {log, across: "step"}), {colour} = plot
    caption(place, title, ": median, 10–90 %")
    plot.rules()
    plot.inside(g => {
      rules.forEach((name, i) => {
        const {steps} = ensembles[name], [low, , high] = all[i]
        g.globalAlpha = 0.2; g.fillStyle = colour[name]; g.beginPath()
        const alive = steps.map((_, t) => t).filter(t => Number.isFinite(low[t]) && Number.isFinite(high[t])), clip = value => plot.py(Math.max(value, range[0] || -1))
        for (const t of alive) g.lineTo(plot.px(steps[t]), clip(high[t]))
        for (const t of alive.reverse()) g.lineTo(plot.px(steps[t]), clip(low[t]))
        g.fill(); g.globalAlpha = 1
      })
      rules.forEach((name, i) => plot.line(ensembles[name].steps, all[i][1], colour[name], 2.4, dash(name)))
      plot.now(ensembles.a.steps[step])
    })
    plot.decorate()
  }

  const relief = () => { // log K as an image, deep where K is small
    const {grid, lowest, highest} = scene, [nx, ny] = TERRAIN, {rgb} = paint(), image = new ImageData(nx, ny)
    for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      const depth = Math.min(1, Math.max(0, (grid[j * nx + i] - lowest) / (highest - lowest))), at = 4 * ((ny - 1 - j) * nx + i)
      for (let k = 0; k < 3; k++) image.data[at + k] = rgb.low[k] + (rgb.high[k] - rgb.low[k]) * depth
      image.data[at + 3] = 255
    }
    const canvas = make("canvas", {width: nx, height: ny})
    canvas.getContext("2d").putImageData(image, 0, 0)
    return canvas
  }

  const map = () => {
    const {land, ensembles, rules, x0, x1, y0, y1, contours} = scene, [[l1, h1], [l2, h2]] = land.box
    const plot = new Plot(figures.main).axes([l1, h1], [l2, h2], {across: "w₁", equal: true}), {colour, size} = plot, [nx, ny] = TERRAIN
    caption("main", "Landscape log K from above", ", trajectories")
    plot.inside(g => {
      scene.relief ??= relief()
      g.imageSmoothingEnabled = true
      const dx = (x1 - x0) / (nx - 1) / 2, dy = (y1 - y0) / (ny - 1) / 2 // a pixel's middle is its point of the grid
      g.drawImage(scene.relief, plot.px(x0 - dx), plot.py(y1 + dy), plot.px(x1 + dx) - plot.px(x0 - dx), plot.py(y0 - dy) - plot.py(y1 + dy))
      g.strokeStyle = colour.ink; g.lineWidth = 0.8; g.globalAlpha = dark() ? 0.35 : 0.3
      g.beginPath()
      for (const segments of contours) for (let i = 0; i < segments.length; i += 2) {
        g.moveTo(plot.px(x0 + (x1 - x0) * segments[i][0] / (nx - 1)), plot.py(y0 + (y1 - y0) * segments[i][1] / (ny - 1)))
        g.lineTo(plot.px(x0 + (x1 - x0) * segments[i + 1][0] / (nx - 1)), plot.py(y0 + (y1 - y0) * segments[i + 1][1] / (ny - 1)))
      }
      g.stroke(); g.globalAlpha = 1
      for (const name of rules) {
        const {kept, view} = ensembles[name], shown = drawn(ensembles[name], SHOWN[2]), place = (t, i) => [plot.px(kept[(t * view.kept + i) * 2]), plot.py(kept[(t * view.kept + i) * 2 + 1])]
        g.strokeStyle = colour[name]; g.lineWidth = 1.3; g.globalAlpha = 0.75; g.setLineDash([])
        g.beginPath()
        for (const i of shown) for (let t = Math.max(0, step - TAIL), first = true; t <= step; t++) {
          const [u, v] = place(t, i)
          if (u !== u) break
          if (first) g.moveTo(u, v); else g.lineTo(u, v)
          first = false
        }
        g.stroke(); g.globalAlpha = 1
        for (const i of shown) { const [u, v] = place(step, i); if (u === u) plot.dot(u, v, name, 0.28 * size) }
      }
      plot.tag("w₂", plot.left + 0.4 * size, plot.top + 1.1 * size, colour.soft, "left")
      if (!values.own["data.slope"]) for (const m of land.minima) {
        const x = plot.px(m.at[0]), y = plot.py(m.at[1])
        g.fillStyle = colour.exact; g.strokeStyle = colour.paper; g.lineWidth = 1.5
        g.beginPath(); g.moveTo(x, y - 0.55 * size); g.lineTo(x + 0.5 * size, y + 0.4 * size); g.lineTo(x - 0.5 * size, y + 0.4 * size); g.closePath(); g.stroke(); g.fill()
        plot.tag(lambda(m), x + 0.8 * size, y + 0.4 * size, colour.exact, "left")
      }
    })
    plot.decorate()
  }

  // Numbers, simulated beside exact

  const cell = (text, kind = "") => make("td", {text, class: kind})
  const headings = (...more) => {
    const key = JSON.stringify([scene.rules, more])
    if (head.dataset.key === key) return
    head.dataset.key = key
    head.replaceChildren(make("tr", {}, make("th", {scope: "col", text: more[0]}), make("th", {scope: "col", text: "λ"}), make("th", {scope: "col", text: "m"}),
      ...scene.rules.map(name => make("th", {scope: "col"}, make("span", {class: `mark ${name}`}), `${name.toUpperCase()} ${more[1]}`)), ...(more[2] ? [make("th", {scope: "col", text: more[2]})] : [])))
  }
  const numbers = () => {
    const {land, ensembles, rules, masses} = scene, rows = []
    if (dim === 1 && land.barriers.length) {
      headings("basin of", "share", masses ? `Bayes, n\u00a0=\u00a0${short(scene.samples)}` : "")
      for (let b = 0; b <= land.barriers.length; b++) {
        const here = dwellers(b)
        rows.push({b, cells: [here.map(m => m.name).join(", ") || `${b + 1}`, [here.map(m => m.lam ?? "?").join(", "), "exact"], [here.map(m => m.m ?? "?").join(", "), "exact"],
          ...rules.map(name => [percent(scene.shares[name][b][step]), name]), ...(masses ? [[percent(masses[b]), "bayes"]] : [])]})
      }
    } else if (dim === 1) {
      headings("minimum", "distance")
      land.minima.forEach((m, i) => rows.push({cells: [m.name, [m.lam ?? "?", "exact"], [m.m ?? "?", "exact"], ...rules.map(name => [i ? "" : short(scene.bands[name].far[1][step], 2), name])]}))
    } else {
      headings("minimum", "distance")
      land.minima.forEach((m, i) => rows.push({cells: [m.name, [m.lam ?? "?", "exact"], [m.m ?? "?", "exact"], ...rules.map(name => {
        const bands = scene.bands[name], found = m.along ? bands.all[i] : m.at.every(entry => entry === 0) ? bands.far : null
        return [found ? short(found[1][step], 2) : "–", name] // one point of a curve of minima: the distance to it says little
      })]}))
      rows.push({cells: ["loss K", [""], [""], ...rules.map(name => [short(scene.bands[name].K[1][step], 2), name])]})
    }
    const lost = rules.map(name => ensembles[name].done ? ensembles[name].lost[step] / ensembles[name].done : 0)
    rows.push({cells: ["diverged", [""], [""], ...lost.map((share, i) => [percent(share), rules[i]]), ...(masses ? [[""]] : [])]})
    const key = JSON.stringify([rows, basin])
    if (body.dataset.key === key) return
    const held = document.activeElement?.dataset?.basin
    body.dataset.key = key
    body.replaceChildren(...rows.map(({b, cells: [name, ...rest]}) => make("tr", b === undefined || land.barriers.length < 1 ? {} : {class: `pick${b === basin ? " on" : ""}`, tabindex: 0, "data-basin": b,
      title: "Show the share of this basin", "aria-selected": String(b === basin), onclick: () => pick(b), onkeydown: event => { if (event.key === "Enter") pick(b) }},
    make("th", {scope: "row", text: name}), ...rest.map(([text, kind]) => cell(text, kind)))))
    if (held !== undefined) body.querySelector(`[data-basin="${+held}"]`)?.focus()
  }
  const pick = b => { basin = b; draw() }

  const words = () => { // what does not move with time
    const {land, rules} = scene, text = `${DATA.of} = ${factored(land.products)}`
    formula.textContent = text; formula.title = text
    for (const name of RULES) {
      chips[name].hidden = !values[name]
      if (!values[name]) continue
      const {label} = DATA.choices[values[name].name] ?? {label: values[name].name}
      const shown = shownItems(values[name]).filter(item => item.kind === "number").slice(0, 3)
      chips[name].replaceChildren(make("span", {class: `mark ${name}`}), rules.length > 1 ? `${name.toUpperCase()}: ${label}` : label,
        make("i", {text: shown.map(item => `${symbol(item)} ${short(values[name].fields[item.name])}`).join(", ")}))
    }
    const moved = values.own["data.slope"], several = [DATA.why && `Recorded frames, the settings are fixed: ${DATA.why}.`, moved && "With a ≠ 0 the minima move: the λ and m listed belong to a = 0."].filter(Boolean)
    note.hidden = !several.length; note.textContent = several.join(" "); note.classList.toggle("strong", Boolean(DATA.why))
    const said = `${text}. Minima: ${land.minima.map(m => `${m.name}, ${lambda(m)}`).join("; ")}.`
    figures.main.canvas.setAttribute("aria-label", `Landscape and trajectories. ${said} The table below has the numbers.`)
    figures.first.canvas.setAttribute("aria-label", dim === 1 ? "Density of w over time" : "Distance to O over time")
    figures.second.canvas.setAttribute("aria-label", dim === 1 && land.barriers.length ? "Share of survivors in the chosen basin over time, and the exact posterior share" : "Distance or loss over time")
  }

  // Controls

  const symbol = item => item.label.split(" ").pop()
  const shownItems = rule => { const {items} = DATA.choices[rule.name] ?? {items: {}}; return items[rule.fields.noise ?? ""] ?? items[""] ?? Object.values(items)[0] ?? [] }
  const limits = item => [Math.min(item.shown[0], item.value), Math.max(item.shown[1], item.value)].map(value => Math.min(value, item.most ?? Infinity))
  const legal = (item, value) => {
    const [low, high] = limits(item)
    if (!Number.isFinite(value)) return null
    return Math.min(Math.max(item.whole ? Math.round(value) : value, low), high)
  }
  const field = (item, get, set, name) => {
    if (item.kind === "choice") {
      const choice = make("select", {title: item.help, "aria-label": item.label, "data-name": name, onchange: () => set(choice.value)}, ...item.choices.map(([value, text]) => make("option", {value, text, selected: value === String(get())})))
      return make("label", {class: "field choice"}, make("span", {class: "name", text: item.label}), choice)
    }
    const [low, high] = limits(item), log = item.log && low > 0, count = item.whole && !log ? high - low : 400
    const toSlider = value => Math.round(count * (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low || 1)))
    const fromSlider = place => {
      const value = log ? low * (high / low) ** (place / count) : low + (high - low) * place / count
      return legal(item, item.whole ? Math.round(value) : +value.toPrecision(3))
    }
    const box = make("input", {type: "text", inputmode: "decimal", "aria-label": item.label, title: `${item.help} (${short(low)} … ${short(high)})`, "data-name": name, value: String(get()), onchange: () => {
      const value = legal(item, Number(box.value.replace(",", ".").trim() || NaN))
      if (value !== null) { set(value); slider.value = toSlider(value) }
      box.value = String(get())
    }})
    const slider = make("input", {type: "range", min: 0, max: count, step: 1, "aria-label": item.label, title: item.help, "data-name": name, oninput: () => { set(fromSlider(+slider.value)); box.value = String(get()); slider.setAttribute("aria-valuetext", box.value) }})
    slider.value = toSlider(get()); slider.setAttribute("aria-valuetext", box.value)
    return make("div", {class: "field"}, make("span", {class: "name", text: item.label, title: item.help}), box, slider)
  }
  const changed = () => { pending = true; wake() }
  const setter = (place, name) => [() => place()[name], value => { place()[name] = value; changed() }]
  const controls = () => {
    const closed = new Set([...form.querySelectorAll("details")].filter(node => !node.open).map(node => node.dataset.title)), first = !form.children.length
    const held = document.activeElement?.dataset?.name
    const group = (title, mark, items, shown = true) => items.length ? make("details", {open: first ? shown : !closed.has(title), class: mark, "data-title": title}, make("summary", {}, mark ? make("span", {class: `mark ${mark}`}) : "", title), ...items) : null
    const rules = RULES.map(name => {
      const rule = values[name], names = Object.entries(DATA.choices).map(([key, {label}]) => [key, label])
      const choice = {kind: "choice", label: "optimiser", help: "how the trajectories move", choices: name === "b" ? [["none", "none"], ...names] : names}
      const change = value => {
        values[name] = value === "none" ? null : {name: value, fields: copy(initial[name]?.name === value ? initial[name].fields : DATA.choices[value].fields)}
        controls(); changed()
      }
      const items = rule ? shownItems(rule).map(item => {
        const [get, set] = setter(() => values[name].fields, item.name)
        return field({...item, value: get()}, get, item.kind === "choice" ? value => { set(value); controls() } : set, `${name}.${item.name}`)
      }) : []
      return group(`Optimiser ${name.toUpperCase()}${name === "b" ? " · same noise" : ""}`, name, [field(choice, () => rule?.name ?? "none", change, `${name}.rule`), ...items])
    })
    const plain = (kind, place) => DATA.items[kind].map(item => field(item, ...setter(place, item.name), item.name))
    form.replaceChildren(...[group("Landscape", "", plain("landscape", () => values.landscape)), ...rules, group("Run", "", plain("run", () => values.own)),
      scene?.land.barriers.length || DATA.family.cases[Object.keys(DATA.family.cases)[0]].barriers.length ? group("Posterior", "", plain("posterior", () => values.own)) : null, group("Data", "", plain("data", () => values.own), false),
      make("p", {class: "keys"}, ...[["space", "play"], [", .", "one frame"], ["Home", "start"], ["n", "new noise"], ["r", "reset"], ["s", "settings"], ["p", "large type"], ["t", "theme"]].flatMap(([key, text]) => [make("kbd", {text: key}), ` ${text}  `])),
      make("button", {type: "button", text: "Reset all", onclick: () => reset()})].filter(Boolean))
    if (held) form.querySelector(`select[data-name="${CSS.escape(held)}"]`)?.focus()
  }

  // Playing and computing: one loop, asleep when there is nothing to do

  let pending = false, awake = false, before = 0, loose = 0
  const wake = () => { if (!awake) { awake = true; before = performance.now(); requestAnimationFrame(tick) } }
  const tick = now => {
    awake = false
    if (pending) { pending = false; restart(); wake(); return }
    const left = scene && !DATA.recorded ? work(playing ? 7 : 11) : 0
    if (dirty && (!left || now - late > 150)) refresh()
    if (playing) {
      loose += (now - before) / 1000 * SPEED * +speed.value
      before = now
      const whole = Math.floor(loose)
      if (whole) { loose -= whole; go(step + whole) }
      if (step >= scene.frames - 1) pause()
    }
    if (left || playing) { awake = true; requestAnimationFrame(tick) }
  }
  const go = to => { step = Math.max(0, Math.min(scene.frames - 1, to)); draw() }
  const pause = () => { playing = false; play.replaceChildren(icon("play")) }
  const toggle = () => {
    if (playing) return pause()
    if (step >= scene.frames - 1) step = 0
    playing = true; loose = 0; before = performance.now()
    play.replaceChildren(icon("pause"))
    wake()
  }
  const noise = () => { values.own.seed = (values.own.seed + 1) % 2147483648; controls(); changed() }
  const reset = () => { values = copy(initial); fromQuery(); pause(); step = 0; basin = 0; controls(); changed() }

  handOn()
  document.addEventListener("keydown", event => {
    const {tagName, type} = event.target
    if (event.ctrlKey || event.metaKey || event.altKey || tagName === "SELECT" || (tagName === "INPUT" && type !== "range")) return
    const keys = {" ": toggle, ",": () => { pause(); go(step - 1) }, ".": () => { pause(); go(step + 1) }, t: () => theme(dark() ? "light" : "dark"), p: projector, Escape: () => { if (root.classList.contains("small")) settings(false) }}
    if (!DATA.recorded) Object.assign(keys, {n: noise, r: reset, s: () => settings(aside.hidden)})
    if (tagName !== "INPUT") Object.assign(keys, {Home: () => { pause(); go(0) }, End: () => { pause(); go(scene.frames - 1) }, ArrowLeft: () => { pause(); go(step - 1) }, ArrowRight: () => { pause(); go(step + 1) }})
    const act = keys[event.key]
    if (act && !(event.key === " " && ["BUTTON", "SUMMARY"].includes(tagName))) { event.preventDefault(); act() }
  })

  // The file's own address may change values: widget.html?lr=0.05&b.damping=0.1&theme=dark; only numbers within the sliders, and choices
  const fromQuery = () => {
    if (DATA.recorded) return
    for (const name of RULES) {
      const rule = query.get(name === "a" ? "rule" : "b.rule")
      if (rule === "none" && name === "b") values.b = null
      else if (rule !== null && Object.hasOwn(DATA.choices, rule) && rule !== values[name]?.name) values[name] = {name: rule, fields: copy(DATA.choices[rule].fields)}
      if (!values[name]) continue
      const {fields} = values[name], {items} = DATA.choices[values[name].name]
      for (const item of Object.values(items).flat()) take(fields, item, (name === "a" ? "" : "b.") + item.name)
    }
    for (const item of DATA.items.landscape) take(values.landscape, item, item.name)
    for (const kind of ["run", "posterior", "data"]) for (const item of DATA.items[kind]) take(values.own, item, item.name)
  }
  const take = (place, item, name) => {
    const text = query.get(name)
    if (text === null || text.trim() === "") return
    if (item.kind === "choice") { if (item.choices.some(([value]) => value === text)) place[item.name] = text; return }
    const value = legal(item, Number(text))
    if (value !== null) place[item.name] = value
  }

  fromQuery()
  if (query.has("projector")) root.classList.add("projector")
  settings(false); root.classList.add("small"); size() // settings stay open where there is room
  if (!root.classList.contains("small") && DATA.recorded) settings(false)
  restart()
  controls()
  new ResizeObserver(size).observe(root)
  for (const {holder} of Object.values(figures)) new ResizeObserver(() => draw()).observe(holder)
  if (query.has("play") && !calm) toggle()
})()
