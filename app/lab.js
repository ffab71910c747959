// The landscape lab in the browser: draws the store's arrays into the figures, plays them, and turns controls into messages.
// The server sends arrays once per computation; playing, scrubbing and the pointer cost it nothing.

const LIGHT = {text: "#1d2733", axis: "#5b6672", grid: "#c9d0d7"}
const DARK = {text: "#eef2f6", axis: "#a9b4bf", grid: "#46515c"}
const RULES = ["a", "b"]
// the figures' colours (Okabe & Ito) and what they become on black
const ON_BLACK = {"#0072b2": "#56b4e9", "#d55e00": "#f08a4b", "#009e73": "#3ccf9f", "#7a7a7a": "#a9b4bf", "#cc79a7": "#e58fc2"}
const RGB = {light: {a: [0, 114, 178], b: [213, 94, 0]}, dark: {a: [86, 180, 233], b: [240, 138, 75]}}
const TAIL = 12 // frames of tail behind a moving point
const FRAMES_A_SECOND = 30

const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value)
    else if (name === "text") node.textContent = value
    else if (value === true) node.setAttribute(name, "")
    else if (value !== false && value != null) node.setAttribute(name, value)
  }
  node.append(...children.filter(child => child != null))
  return node
}

const ICONS = {
  start: "M3 2h2v12H3zM14 2v12L6 8z", back: "M11 2v12L3 8zM12 2h2v12h-2z", play: "M3 1.5v13L14 8z", pause: "M3 2h4v12H3zM9 2h4v12H9z", next: "M5 2v12l8-6zM2 2h2v12H2z",
}
const icon = name => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS("http://www.w3.org/2000/svg", "path")
  svg.setAttribute("viewBox", "0 0 16 16"); svg.setAttribute("aria-hidden", "true"); path.setAttribute("d", ICONS[name]); path.setAttribute("fill", "currentColor")
  svg.append(path)
  return svg
}

const superscript = text => text.replace(/./g, c => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(c)] ?? (c === "-" ? "⁻" : c))
const short = value => {
  if (value === 0) return "0"
  const size = Math.abs(value)
  if (size >= 1e6 || size < 1e-4) {
    const [mantissa, exponent] = value.toExponential(1).split("e")
    return `${mantissa === "1.0" ? "" : mantissa.replace(".0", "") + "·"}10${superscript(exponent.replace("+", ""))}`
  }
  return String(+value.toPrecision(4))
}

// ---------------------------------------------------------------------------------------------------------------- controls

class Controls {
  // One form for all values; `send` receives {name: text} at most once a screen refresh.
  constructor(root, send) {
    this.root = root
    this.send = send
    this.waiting = {}
    this.fields = {}
  }

  change(name, value, soon = true) {
    this.waiting[name] = value
    if (this.timer) return
    const flush = () => { this.timer = null; const all = this.waiting; this.waiting = {}; this.send(all) }
    this.timer = soon ? requestAnimationFrame(flush) : setTimeout(flush, 0)
  }

  show(groups) {
    const open = {}
    for (const group of this.root.querySelectorAll("details")) open[group.dataset.name] = group.open
    const focus = this.root.getRootNode().activeElement?.name
    this.fields = {}
    this.root.replaceChildren(...groups.map(group => {
      const items = group.items.map(item => this.field(item))
      const summary = element("summary", {text: group.title})
      if (group.mark) summary.prepend(element("span", {class: `mark ${group.mark}`, "aria-hidden": "true"}))
      return element("details", {"data-name": group.title, class: `group ${group.mark ?? ""}`, open: open[group.title] ?? group.open}, summary, ...items)
    }))
    if (focus) this.root.querySelector(`[name="${focus}"]`)?.focus()
  }

  field(item) {
    if (item.kind === "choice") return this.choice(item)
    if (item.kind === "text") return this.line(item)
    return this.number(item)
  }

  label(item, id) {
    return element("label", {for: id, class: "name", "data-help": item.help, text: item.label})
  }

  choice(item) {
    const id = `field-${item.name}`
    const select = element("select", {id, name: item.name, title: item.help, onchange: event => this.change(item.name, event.target.value)},
      ...item.choices.map(([value, text]) => element("option", {value, text, selected: value === item.value})))
    return element("div", {class: "field choice"}, this.label(item, id), select)
  }

  line(item) {
    const id = `field-${item.name}`
    const input = element("input", {id, name: item.name, title: item.help, value: item.value, spellcheck: "false", onchange: event => this.change(item.name, event.target.value)})
    return element("div", {class: "field choice"}, this.label(item, id), input)
  }

  number(item) {
    const [low, high] = item.shown
    const steps = item.whole && !item.log ? Math.min(high - low, 1000) : 400
    const to = value => {
      const part = item.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)
      return Math.round(steps * Math.min(1, Math.max(0, Number.isFinite(part) ? part : 0)))
    }
    const from = place => {
      let value = item.log ? low * (high / low) ** (place / steps) : low + (high - low) * place / steps
      if (item.whole) return Math.round(value)
      return +value.toPrecision(item.log ? 3 : 4)
    }
    const id = `field-${item.name}`
    const slider = element("input", {type: "range", name: item.name, min: 0, max: steps, value: to(item.value), title: item.help, "aria-label": item.label,
      "aria-valuetext": `${short(item.value)} ${item.unit}`})
    const box = element("input", {id, class: "value", inputmode: "decimal", value: String(item.value), title: item.unit ? `in ${item.unit}` : item.help, autocomplete: "off"})
    slider.addEventListener("input", () => {
      const value = from(+slider.value)
      box.value = String(value)
      slider.setAttribute("aria-valuetext", `${short(value)} ${item.unit}`)
      this.change(item.name, String(value))
    })
    box.addEventListener("change", () => { slider.value = to(+box.value); this.change(item.name, box.value) })
    this.fields[item.name] = value => { box.value = String(value); slider.value = to(value) }
    return element("div", {class: "field"}, this.label(item, id), box, slider)
  }
}

// ---------------------------------------------------------------------------------------------------------------- landscape

// a stretch of one of Bokeh's arrays, whose own subarray() does not work, as a plain typed array on the same memory
const part = (array, from, to) => {
  const Plain = Object.getPrototypeOf(array.constructor)
  return new Plain(array.buffer, array.byteOffset + from * array.BYTES_PER_ELEMENT, to - from)
}

const power = (base, exponent) => { let value = 1; for (let i = 0; i < exponent; i++) value *= base; return value }

// Q_k, its gradient and its Hessian at a point, from the same factors as the kernels; products of jets.
const jets = (products, x, y) => products.map(({scale, factors}) => {
  let v = scale, g = [0, 0], h = [0, 0, 0]
  for (const factor of factors) {
    let b = 0, d = [0, 0], e = [0, 0, 0]
    for (const [c, i, j] of factor.terms) {
      const X = [power(x, i), i ? i * power(x, i - 1) : 0, i > 1 ? i * (i - 1) * power(x, i - 2) : 0]
      const Y = [power(y, j), j ? j * power(y, j - 1) : 0, j > 1 ? j * (j - 1) * power(y, j - 2) : 0]
      b += c * X[0] * Y[0]
      d[0] += c * X[1] * Y[0]; d[1] += c * X[0] * Y[1]
      e[0] += c * X[2] * Y[0]; e[1] += c * X[1] * Y[1]; e[2] += c * X[0] * Y[2]
    }
    for (let n = 0; n < factor.power; n++) {
      h = [h[0] * b + 2 * g[0] * d[0] + v * e[0], h[1] * b + g[0] * d[1] + g[1] * d[0] + v * e[1], h[2] * b + 2 * g[1] * d[1] + v * e[2]]
      g = [g[0] * b + v * d[0], g[1] * b + v * d[1]]
      v *= b
    }
  }
  return {v, g, h}
})

// G, H and B Sigma at a point as [xx, xy, yy], and K
const matrices = (meta, x, y) => {
  const {slope, vx, vy} = meta.data
  let K = 0, G = [0, 0, 0], H = [0, 0, 0], k = [0, 0]
  for (const {v, g, h} of jets(meta.products, x, y)) {
    const r = v - slope
    K += vx * r * r / 2
    const outer = [g[0] * g[0], g[0] * g[1], g[1] * g[1]]
    G = G.map((value, i) => value + vx * outer[i])
    H = H.map((value, i) => value + vx * (outer[i] + r * h[i]))
    k = [k[0] + vx * r * g[0], k[1] + vx * r * g[1]]
  }
  const kk = [k[0] * k[0], k[0] * k[1], k[1] * k[1]]
  return {K, G, H, S: G.map((value, i) => vy * value + 2 * kk[i])}
}

const eigen = ([a, b, c]) => {
  const middle = (a + c) / 2, spread = Math.hypot((a - c) / 2, b), angle = 0.5 * Math.atan2(2 * b, a - c)
  return {values: [middle + spread, middle - spread], angle}
}

// ---------------------------------------------------------------------------------------------------------------- drawing

class Stage {
  constructor(view, onstep) {
    this.doc = view.model.document
    this.onstep = onstep
    this.step = 0
    this.pointer = null
  }

  model(name) { return this.doc.get_model_by_name(name) }
  get(name) { return this.store.data[name]?.[0] }
  fill(name, data) { this.model(name)?.setv({data}, {sync: false}) } // not sent back to the server
  range(figure, axis, start, end) {
    const range = this.model(figure)?.[`${axis}_range`]
    if (range && (range.start !== start || range.end !== end)) range.setv({start, end}, {sync: false})
  }
  label(figure, axis, text) { this.model(figure)?.[axis === "x" ? "below" : "left"][0].setv({axis_label: text}, {sync: false}) }

  get frames() { return this.meta ? this.meta.steps.length : 1 }

  spread() { // everything that does not move with time
    this.store = this.model("store")
    const text = this.get("meta")
    if (!text) return
    this.meta = JSON.parse(text)
    const [from, to, bins] = this.meta.bins
    this.meta.edges = Array.from({length: bins + 1}, (_, i) => from + (to - from) * i / bins)
    const {meta} = this
    const last = meta.steps[meta.steps.length - 1]
    this.step = Math.min(this.step, this.frames - 1)
    for (const name of ["density", "far", "near", "shares"]) this.range(name, "x", 0, last)
    if (meta.dim === 1) this.spread1(last)
    else this.spread2(last)
    this.posterior()
    this.noise()
    this.draw(this.step)
  }

  spread1(last) {
    const {meta} = this, [[low, high]] = meta.box
    const x = this.get("x"), K = this.get("K")
    this.fill("curve", {x, y: K})
    this.range("potential", "x", low, high)
    this.range("potential", "y", -0.1 * meta.top, meta.top)
    this.range("density", "y", low, high)
    const strips = meta.steep, bottom = -0.1 * meta.top, top = -0.05 * meta.top
    this.fill("steep", {left: strips.map(s => s[0]), right: strips.map(s => s[1]), bottom: strips.map(() => bottom), top: strips.map(() => top)})
    this.fill("barrier", {x: meta.barriers.map(b => [b, b]), y: meta.barriers.map(() => [0, meta.top])})
    this.fill("minima", {x: meta.minima.map(m => m.at[0]), y: meta.minima.map(() => 0), text: meta.minima.map(m => m.label)})
    this.heat(low, high, last)
    this.fill("theory", {x: meta.theory.map(line => line.x), y: meta.theory.map(line => line.y)})
    this.label("shares", "y", meta.share.label)
    this.range("shares", "y", ...meta.share.range)
    for (const rule of RULES) {
      const lines = meta.share.lines.filter(line => line.rule === rule)
      this.fill(`share-${rule}`, {x: lines.map(() => this.get("share-x")), y: lines.map((_, i) => this.row(`share-${rule}`, i))})
      const fit = meta.share.fits[rule]
      this.fill(`fit-${rule}`, fit ? {x: fit.x, y: fit.y} : {x: [], y: []})
    }
    this.fill("share-bayes", {x: meta.share.bayes.map(() => [0, last]), y: meta.share.bayes.map(value => [value, value])})
  }

  spread2(last) {
    const {meta} = this, [[l1, h1], [l2, h2]] = meta.box
    this.range("map", "x", l1, h1)
    this.range("map", "y", l2, h2)
    this.fill("terrain", {image: [this.get("terrain")], x: [l1], y: [l2], dw: [h1 - l1], dh: [h2 - l2]})
    this.fill("levels", {x: this.get("level-x"), y: this.get("level-y")})
    this.fill("places", {x: meta.minima.map(m => m.at[0]), y: meta.minima.map(m => m.at[1]), text: meta.minima.map(m => m.label)})
    for (const name of ["far", "near"]) {
      this.label(name, "y", meta[name].label)
      this.range(name, "y", ...meta[name].range)
      for (const rule of RULES) {
        const band = this.get(`${name}-${rule}`)
        const rows = [0, 1, 2].map(i => band ? this.row(`${name}-${rule}`, i) : [])
        this.fill(`${name}-${rule}`, {x: band ? meta.steps : [], low: rows[0], middle: rows[1], high: rows[2]})
      }
      const lines = meta[name].theory ?? []
      this.fill(`${name}-theory`, {x: lines.map(line => line.x), y: lines.map(line => line.y)})
    }
    if (!this.pointer) this.pointer = meta.pointer
  }

  row(name, i) { // row i of a 2D array
    const array = this.get(name), width = array.shape[1]
    return part(array, i * width, (i + 1) * width)
  }

  heat(low, high, last) { // two densities in one image: blue, orange, and their mixture
    const counts = RULES.map(rule => [rule, this.get(`counts-${rule}`)]).filter(([, array]) => array)
    const [frames, bins] = counts[0][1].shape, rgb = RGB[this.dark ? "dark" : "light"]
    const image = new Uint32Array(frames * bins)
    let peak = 1
    for (const [, array] of counts) for (let i = 0; i < array.length; i++) if (array[i] > peak) peak = array[i]
    const scale = 1 / Math.log1p(peak)
    for (let t = 0; t < frames; t++) for (let b = 0; b < bins; b++) {
      let red = 0, green = 0, blue = 0, clear = 1, sum = 0
      for (const [rule, array] of counts) {
        const share = Math.log1p(array[t * bins + b]) * scale
        red += share * rgb[rule][0]; green += share * rgb[rule][1]; blue += share * rgb[rule][2]
        sum += share
        clear *= 1 - share
      }
      if (sum > 0) image[b * frames + t] = (((1 - clear) * 255) << 24 | blue / sum << 16 | green / sum << 8 | red / sum) >>> 0
    }
    // one column a frame, centred on its step
    const half = last / Math.max(frames - 1, 1) / 2
    this.fill("heat", {image: [this.ndarray(image, [bins, frames])], x: [-half], y: [low], dw: [last + 2 * half], dh: [high - low]})
  }

  ndarray(array, shape) { // Bokeh's images are arrays that know their shape; their class comes with one from the server
    return new (this.get("colour").constructor)(array.buffer, shape)
  }

  posterior() {
    const {meta} = this, density = this.get("posterior"), edges = meta.edges
    const x = [], y = []
    density.forEach((value, i) => { x.push(edges[i], edges[i + 1]); y.push(value, value) })
    this.fill("posterior", {x, y, zero: x.map(() => 0)})
    this.label("ending", "x", meta.ending)
    this.range("ending", "x", edges[0], edges[edges.length - 1])
    let top = 0
    for (const rule of RULES) {
      const counts = this.get(`counts-${rule}`)
      if (!counts) continue
      const [frames, bins] = counts.shape
      for (const value of this.shape(part(counts, (frames - 1) * bins, frames * bins), edges)) top = Math.max(top, value)
    }
    let peak = 0
    for (const value of density) peak = Math.max(peak, value)
    this.range("ending", "y", 0, 1.15 * Math.max(Math.min(peak, 4 * top || peak), Math.min(top, 4 * peak)))
  }

  shape(counts, edges) { // counts to a density among those in view
    let sum = 0
    for (const value of counts) sum += value
    const scale = sum ? 1 / (sum * (edges[1] - edges[0])) : 0
    return Array.from(counts, value => value * scale)
  }

  draw(step) {
    this.step = step
    const {meta} = this
    if (!meta) return
    const time = meta.steps[step]
    for (const name of ["density", "far", "near", "shares"]) this.model(`now-${name}`)?.setv({location: time}, {sync: false})
    for (const rule of RULES) {
      const counts = this.get(`counts-${rule}`)
      if (counts) {
        const [, bins] = counts.shape
        const density = this.shape(part(counts, step * bins, (step + 1) * bins), meta.edges)
        this.fill(`histogram-${rule}`, {x: meta.edges, y: [...density, 0]})
      } else this.fill(`histogram-${rule}`, {x: [], y: []})
      if (meta.dim === 1) this.dots(rule, step)
      else this.spots(rule, step)
    }
    this.onstep(step, time, meta)
  }

  dots(rule, step) {
    const paths = this.get(`paths-${rule}`)
    if (!paths) return this.fill(`dots-${rule}`, {x: [], y: []})
    const shown = paths.shape[1], x = [], y = []
    const grid = this.get("x"), K = this.get("K"), n = grid.length, low = grid[0], width = (grid[n - 1] - low) / (n - 1)
    for (let i = 0; i < shown; i++) {
      const w = paths[step * shown + i], at = (w - low) / width, j = Math.floor(at)
      if (!(j >= 0 && j < n - 1)) continue
      x.push(w)
      y.push(K[j] + (at - j) * (K[j + 1] - K[j]))
    }
    this.fill(`dots-${rule}`, {x, y})
  }

  spots(rule, step) {
    const paths = this.get(`paths-${rule}`)
    if (!paths) { this.fill(`spots-${rule}`, {x: [], y: []}); return this.fill(`tails-${rule}`, {x: [], y: []}) }
    const shown = paths.shape[1], x = [], y = [], tx = [], ty = []
    for (let i = 0; i < shown; i++) {
      const at = (step * shown + i) * 2
      x.push(paths[at]); y.push(paths[at + 1])
      for (let s = Math.max(0, step - TAIL); s <= step; s++) { tx.push(paths[(s * shown + i) * 2]); ty.push(paths[(s * shown + i) * 2 + 1]) }
      tx.push(NaN); ty.push(NaN)
    }
    this.fill(`spots-${rule}`, {x, y})
    this.fill(`tails-${rule}`, {x: tx, y: ty})
  }

  noise() {
    const {meta} = this
    if (meta.dim === 1) {
      const key = JSON.stringify([meta.products, meta.data, meta.box])
      if (key === this.noisy) return // only the landscape and the data matter here
      this.noisy = key
      const [[low, high]] = meta.box, x = [], lines = {hessian: [], sigma: [], fisher: []}
      for (let i = 0; i <= 300; i++) {
        const w = low + (high - low) * i / 300, {G, H, S} = matrices(meta, w, 0)
        x.push(w); lines.hessian.push(H[0]); lines.fisher.push(G[0]); lines.sigma.push(S[0])
      }
      for (const [name, y] of Object.entries(lines)) this.fill(`noise-${name}`, {x, y})
      const scale = Math.max(...meta.minima.map(m => matrices(meta, m.at[0], 0).H[0]), ...meta.barriers.map(b => -matrices(meta, b, 0).H[0]), 1e-3)
      this.range("noise", "x", low, high)
      this.range("noise", "y", -1.2 * scale, 2.5 * scale)
      return
    }
    const [x, y] = this.pointer, {G, H, S} = matrices(meta, x, y)
    this.fill("pointer", {x: [x], y: [y]})
    const turn = matrix => {
      const {values, angle} = eigen(matrix), [a, b] = values.map(value => Math.sqrt(Math.abs(value)))
      const size = Math.max(a, b) || 1, xs = [], ys = []
      for (let i = 0; i <= 72; i++) {
        const p = a / size * Math.cos(i * Math.PI / 36), q = b / size * Math.sin(i * Math.PI / 36)
        xs.push(p * Math.cos(angle) - q * Math.sin(angle)); ys.push(p * Math.sin(angle) + q * Math.cos(angle))
      }
      return {x: [xs], y: [ys]}
    }
    this.fill("ellipse-hessian", turn(H))
    this.fill("ellipse-fisher", turn(G))
    this.fill("ellipse-sigma", turn(S))
    const {inner_width, inner_height} = this.model("ellipse"), wide = inner_width > 0 && inner_height > 0 ? inner_width / inner_height : 1.3
    this.range("ellipse", "x", -1.1 * Math.max(1, wide), 1.1 * Math.max(1, wide)) // a circle looks round
    this.range("ellipse", "y", -1.1 * Math.max(1, 1 / wide), 1.1 * Math.max(1, 1 / wide))
  }

  at(x, y) { // eigenvalues there, in words
    const {G, H, S} = matrices(this.meta, x, y)
    const values = matrix => { const [a, b] = eigen(matrix).values; return `${short(a)}, ${Math.abs(b) < 1e-9 * Math.abs(a) ? 0 : short(b)}` }
    return `eigenvalues: ${values(H)} · ${values(G)} · ${values(S)}`
  }

  estimate() {
    const store = this.model("estimate"), text = store?.data.meta?.[0]
    if (!text) return
    const meta = JSON.parse(text), column = name => store.data[name][0]
    this.fill("running", {x: column("x"), low: column("low"), middle: column("middle"), high: column("high")})
    const [start, end] = meta.span
    this.fill("at-nbeta", meta.nbeta == null ? {x: [], y: []} : {x: [start, end], y: [meta.nbeta, meta.nbeta]})
    this.fill("exact", meta.exact == null ? {x: [], y: []} : {x: [start, end], y: [meta.exact, meta.exact]})
    this.range("lambda", "x", start, end)
    this.range("lambda", "y", 0, meta.top)
    return meta
  }

  height(pixels) { for (const name of Object.keys(CELLS)) this.model(name)?.setv({height: pixels}, {sync: false}) }

  paint(dark, scale) {
    this.dark = dark
    const tone = dark ? DARK : LIGHT, size = `${Math.round(12 * scale)}px`
    for (const name of Object.keys(CELLS)) {
      const figure = this.model(name)
      if (!figure) continue
      for (const axis of [...figure.below, ...figure.left]) axis.setv({axis_label_text_color: tone.text, major_label_text_color: tone.text, axis_line_color: tone.axis,
        major_tick_line_color: tone.axis, axis_label_text_font_size: size, major_label_text_font_size: size}, {sync: false})
      for (const grid of figure.center) if ("grid_line_color" in grid.attributes) grid.setv({grid_line_color: tone.grid}, {sync: false})
      for (const painted of [...figure.renderers.map(renderer => renderer.glyph), ...figure.center.filter(part => part.text_color !== undefined && part.source)]) {
        painted.own ??= Object.fromEntries(["line_color", "fill_color", "text_color"].map(key => [key, painted[key]?.value]).filter(([, value]) => ON_BLACK[value]))
        for (const [key, value] of Object.entries(painted.own)) painted.setv({[key]: {value: dark ? ON_BLACK[value] : value}}, {sync: false})
      }
      if (name === "map") figure.renderers[0].glyph.setv({global_alpha: dark ? 0.35 : 0.7}, {sync: false})
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------- the page

const CELLS = {
  potential: {dim: 1, title: "Landscape and trajectories", help: "K(w) = vx (Q(w) − a)² / 2, in nats per sample. Dots are trajectories at the moment shown. Pink strip: curvature above the stability line, ηH > 2. Dashed: the barrier. Triangles: minima with their exact λ."},
  map: {dim: 2, title: "Landscape from above, and trajectories", help: "Level lines of log K, dark where K is small. Dots are trajectories with short tails. Triangles: minima with their exact λ. Move the pointer over the map to see noise and curvature there."},
  density: {dim: 1, title: "Density of w over time", help: "How many trajectories are where, at every moment (log scale). Blue is A, orange is B. Dashed: the noise-free law of approach to a degenerate minimum."},
  far: {dim: 2, title: "Distance to O over time", help: "Median and 10–90 % band of the Euclidean distance (of the first 1,000 trajectories). Dashed: the drift law where there is one."},
  shares: {dim: 1, title: "Who is still left of the barrier", help: "Share per basin among the trajectories that never diverge, on a log axis. Dashed: exponential fit. Dash-dotted: the share that the Bayesian posterior gives this basin."},
  near: {dim: 2, title: "Distance to the line over time", help: "Median and 10–90 % band, log axis: sticky directions show as a flat band, absorbing ones as a straight decline."},
  ending: {title: "Where they are, over the posterior", help: "Histogram of the ensemble at the moment shown (diverged ones left out, and counted above), over the normalised Bayesian posterior at n samples (grey)."},
  lambda: {title: "λ̂ converging", help: "n·β·(E[L] − L(w*)) from Markov chains tethered at the chosen minimum: running mean and ±2 Monte-Carlo standard errors. Orange: its exact value at this nβ and γ, by quadrature. Green: the exact learning coefficient λ, its limit as nβ grows."},
  noise: {dim: 1, title: "Is noise proportional to curvature?", help: "Hessian H of K, Gauss–Newton = Fisher G, and B·Σ, the covariance of a batch gradient times the batch size. They agree exactly only where Q = 0."},
  ellipse: {dim: 2, title: "Noise, curvature and Fisher at the pointer", help: "Axes: square roots of |eigenvalues|, each ellipse scaled to its own largest. For one output Σ has rank one: noise lives on a line, along ∇Q."},
}

export function render({model, view}) {
  const root = element("div", {class: "lab", "data-theme": model.theme})
  root.append(element("style", {text: model.style}))

  // sidebar
  const form = element("form", {class: "controls", onsubmit: event => event.preventDefault(), "aria-label": "Settings"})
  const controls = new Controls(form, values => model.send_msg({set: values}))
  const formula = element("div", {class: "formula", "aria-live": "off"})
  for (const child of [].concat(model.get_child("formula"))) formula.append(child)
  const side = element("aside", {}, formula, form)

  // header
  const button = (text, help, onclick, extra = {}) => {
    const node = element("button", {type: "button", title: help, "aria-label": help, onclick, ...extra})
    node.append(ICONS[text] ? icon(text) : text)
    return node
  }
  const theme = button("◐", "Light or dark", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"))
  const projector = button("A⁺", "Larger type, for a projector", () => { root.classList.toggle("projector"); paint() })
  const share = button("Copy link", "Copy a link to exactly this picture", async () => {
    const link = window.location.href
    try { await navigator.clipboard.writeText(link); share.textContent = "Copied" }
    catch { window.prompt("Link to this picture", link) }
    setTimeout(() => { share.textContent = "Copy link" }, 1500)
  })
  const story = element("select", {class: "story-choice", title: "Figures of the literature, and what became of their claims", "aria-label": "Preset", onchange: event => model.send_msg({preset: event.target.value})})
  const header = element("header", {},
    element("a", {class: "brand", href: window.location.pathname, title: "Start afresh"}, element("span", {class: "logo", "aria-hidden": "true"}), element("span", {text: "lambdascape"})),
    story,
    element("span", {class: "spring"}),
    button("Surprise me", "Another interesting setting", () => model.send_msg({action: "surprise"})),
    button("New noise", "Same settings, next seed", () => model.send_msg({action: "noise"})),
    button("Reset", "Back to the start (r)", () => model.send_msg({action: "reset"})),
    share, projector, theme)

  // player
  const scrub = element("input", {type: "range", min: 0, max: 1, value: 0, class: "scrub", "aria-label": "Time", title: "Drag through the run"})
  const clock = element("output", {class: "clock"})
  const play = button("play", "Play or pause (space)", () => toggle(), {class: "play"})
  const speed = element("select", {class: "speed", title: "Speed of playing", "aria-label": "Speed"}, ...[["0.25", "¼×"], ["0.5", "½×"], ["1", "1×"], ["2", "2×"], ["4", "4×"], ["end", "to the end"]]
    .map(([value, text]) => element("option", {value, text, selected: value === "1"})))
  const player = element("div", {class: "player"},
    button("start", "To the start", () => { pause(); stage.draw(0) }), button("back", "One frame back (,)", () => { pause(); go(-1) }), play,
    button("next", "One frame on (.)", () => { pause(); go(1) }), scrub, clock, speed)

  const says = element("p", {class: "says", "aria-live": "polite"})
  const card = element("section", {class: "card", hidden: true})
  const notices = element("div", {class: "notices", role: "alert"})
  const grid = element("div", {class: "grid"})
  const cells = {}
  const children = model.get_child("figures")
  model.names.forEach((name, i) => {
    const {title, help} = CELLS[name]
    const legend = element("div", {class: "legend"})
    const caption = element("figcaption", {}, element("h2", {text: title, "data-help": help, tabindex: 0}), legend)
    const figure = element("figure", {class: `cell ${name}`, "data-name": name}, caption, children[i])
    cells[name] = {figure, legend, title: caption.firstChild}
    grid.append(figure)
  })
  const main = element("main", {}, card, says, player, grid)
  root.append(header, element("div", {class: "body"}, side, main), notices)
  const bubble = element("div", {class: "bubble", role: "tooltip", hidden: true})
  root.append(bubble)

  // playing
  let playing = false, last = 0, loose = 0, first = true
  const stage = new Stage(view, (step, time, meta) => {
    scrub.max = stage.frames - 1
    scrub.value = step
    const lost = RULES.filter(rule => meta.rules[rule]).map(rule => `${rule.toUpperCase()} ${meta.diverged[rule][step].toLocaleString("en")}`)
    const text = `step ${time.toLocaleString("en")} of ${meta.steps[meta.steps.length - 1].toLocaleString("en")} · diverged ${lost.join(", ")} of ${meta.n.toLocaleString("en")}`
    if (clock.textContent !== text) clock.textContent = text
  })
  const pause = () => { playing = false; play.replaceChildren(icon("play")) }
  const toggle = () => {
    if (playing) return pause()
    if (stage.step >= stage.frames - 1) stage.draw(0)
    if (speed.value === "end") return stage.draw(stage.frames - 1)
    playing = true; play.replaceChildren(icon("pause")); last = performance.now(); loose = 0
    requestAnimationFrame(tick)
  }
  const tick = now => {
    if (!playing || !root.isConnected) return
    loose += (now - last) / 1000 * FRAMES_A_SECOND * (speed.value === "end" ? 1e6 : +speed.value)
    last = now
    const whole = Math.floor(loose)
    if (whole) { loose -= whole; go(whole) }
    if (stage.step >= stage.frames - 1) return pause()
    requestAnimationFrame(tick)
  }
  const go = frames => stage.draw(Math.max(0, Math.min(stage.frames - 1, stage.step + frames)))
  scrub.addEventListener("input", () => { pause(); stage.draw(+scrub.value) })
  root.addEventListener("keydown", event => {
    const tag = event.composedPath()[0].tagName
    if (event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT" || (tag === "INPUT" && event.composedPath()[0].type !== "range")) return
    const act = {" ": toggle, ",": () => { pause(); go(-1) }, ".": () => { pause(); go(1) }, r: () => model.send_msg({action: "reset"})}[event.key]
    if (act && !(event.key === " " && tag === "BUTTON")) { event.preventDefault(); act() }
  })
  root.tabIndex = -1

  // what the server sends
  const chip = (kind, text) => element("span", {class: `chip ${kind}`, text})
  const legend = (name, chips) => { // only what changed: every change costs the browser a layout
    const found = chips.filter(Boolean), old = cells[name]?.legend
    if (old && [...old.children].map(node => node.outerHTML).join() !== found.map(node => node.outerHTML).join()) old.replaceChildren(...found)
  }
  const legends = () => {
    const {meta} = stage
    const rules = RULES.filter(rule => meta.rules[rule]).map(rule => [rule, meta.rules[rule]])
    const show = (name, ...chips) => legend(name, chips)
    const names = rules.map(([rule, text]) => chip(`${rule} line`, text))
    const fits = rules.map(([rule, text]) => chip(`${rule} line`, meta.share ? `${text}: ${meta.share.words[rule]}` : text))
    show("potential", ...names.map(n => n.cloneNode(true)), meta.steep?.length ? chip("steep", "ηH > 2") : null)
    show("map", ...names.map(n => n.cloneNode(true)))
    show("density", ...names.map(n => n.cloneNode(true)), meta.theory?.length ? chip("exact dash", meta.theory[0].name) : null)
    show("far", ...names.map(n => n.cloneNode(true)), meta.far?.theory?.length ? chip("exact dash", meta.far.theory[0].name) : null)
    show("near", ...names.map(n => n.cloneNode(true)))
    show("shares", ...fits, meta.share?.bayes.length ? chip("bayes dash", `Bayes ${(100 * meta.share.bayes[0]).toPrecision(3)} %`) : null)
    show("ending", ...names.map(n => n.cloneNode(true)), chip("bayes", meta.bayes))
    show("noise", chip("h line", "H"), chip("b line", "BΣ"), chip("g dash", "G (Fisher)"))
    if (cells.near && meta.near) cells.near.title.textContent = meta.near.title
    if (cells.far && meta.far) cells.far.title.textContent = meta.far.title
    if (cells.shares && meta.share) cells.shares.title.textContent = meta.share.title
  }
  const pointed = () => {
    if (stage.meta?.dim === 2 && stage.pointer) legend("ellipse", [chip("h line", "H"), chip("g dash", "G"), chip("b line", "BΣ"), element("span", {class: "words", text: stage.at(...stage.pointer)})])
  }
  const remember = query => { // the address is the state; how it looks stays with the visitor
    const now = new URLSearchParams(window.location.search), next = new URLSearchParams(query)
    for (const name of ["page", "theme", "projector"]) if (now.has(name)) next.set(name, now.get(name))
    const text = `?${next.toString().replaceAll("%2C", ",")}`
    if (text !== window.location.search) window.history.replaceState(null, "", text)
  }
  const fresh = () => {
    const before = stage.meta?.dim
    stage.spread()
    if (!stage.meta) return
    if (before !== stage.meta.dim) stage.pointer = stage.meta.pointer
    for (const [name, cell] of Object.entries(cells)) cell.figure.hidden = CELLS[name].dim !== undefined && CELLS[name].dim !== stage.meta.dim
    legends()
    pointed()
    if (says.textContent !== stage.meta.says) says.textContent = stage.meta.says
    if (!stage.meta.draft) remember(stage.meta.query)
    root.dataset.drawn = stage.meta.drawn
    root.dataset.draft = stage.meta.draft
    // the next picture is sent once this one is on the screen
    requestAnimationFrame(() => setTimeout(() => model.send_msg({drawn: stage.meta.drawn})))
    if (first) { first = false; stage.draw(0); if (model.autoplay) toggle() }
  }
  const estimated = () => {
    const meta = stage.estimate()
    if (!meta) return
    legend("lambda", [meta.words && chip("a line", meta.words), meta.nbeta == null ? null : chip("b dash", meta.nbetaWords), meta.exact == null ? null : chip("exact line", meta.exactWords),
      meta.reason && element("span", {class: "words", text: meta.reason})])
    root.dataset.estimated = meta.drawn
  }
  const fit = () => { // two rows of figures fill the window; never too low to read
    const top = grid.getBoundingClientRect().top - root.getBoundingClientRect().top + main.scrollTop
    const caption = Math.max(64, ...[...grid.querySelectorAll("figure:not([hidden]) figcaption")].map(node => node.offsetHeight))
    stage.height(Math.round(Math.max(210, Math.min(440, (root.clientHeight - top - 26) / 2 - caption - 6))))
  }
  new ResizeObserver(fit).observe(root)
  const paint = () => stage.paint(root.dataset.theme === "dark", root.classList.contains("projector") ? 1.4 : 1)
  const setTheme = name => { root.dataset.theme = name; document.documentElement.dataset.theme = name; paint(); if (stage.meta?.dim === 1) stage.spread(); try { localStorage.setItem("lambdascape-theme", name) } catch { /* private window */ } }
  const showControls = () => controls.show(model.controls)
  const showStory = () => {
    const {choices, chosen, cite, claim, verdict, ok, note, figure} = model.story
    story.replaceChildren(...choices.map(([value, text]) => element("option", {value, text, selected: value === chosen})))
    card.hidden = !claim
    if (!claim) return
    card.className = `card ${ok == null ? "" : ok ? "holds" : "fails"}`
    const said = verdict == null ? "Computing …" : ok == null ? "Cannot be told. " : ok ? "✓ Holds in this run. " : "✗ Does not hold in this run. "
    card.replaceChildren(element("p", {class: "claim"}, element("span", {class: "cite", text: cite}), element("span", {text: `“${claim}”`})),
      element("p", {class: "verdict"}, element("b", {text: said}), element("span", {text: verdict ?? ""})),
      ...(note ? [element("p", {class: "note", text: note})] : []),
      ...(figure ? [element("details", {class: "whole", open: true, ontoggle: () => fit()}, element("summary", {text: "All runs of this preset in one figure (below: one of them)"}), element("img", {src: figure, alt: `${verdict}`}))] : []))
    fit()
  }
  const showNotices = () => {
    notices.replaceChildren(...model.notices.map(text => element("p", {}, element("span", {text}), button("×", "Dismiss", event => event.target.closest("p").remove()))))
  }
  const store = stage.model("store"), estimate = stage.model("estimate")
  store.properties.data.change.connect(fresh)
  estimate.properties.data.change.connect(estimated)
  model.on("controls", showControls)
  model.on("story", showStory)
  model.on("notices", showNotices)

  // the pointer on the map: Bokeh reports it in data coordinates
  const map = stage.model("map")
  map?.on_event?.("mousemove", event => {
    if (stage.meta?.dim !== 2 || !Number.isFinite(event.x)) return
    stage.pointer = [event.x, event.y]
    stage.noise()
    pointed()
  })

  // help bubbles on hover and focus
  const help = event => {
    const target = event.composedPath().find(node => node.dataset?.help)
    if (!target) { bubble.hidden = true; return }
    bubble.textContent = target.dataset.help
    bubble.hidden = false
    const box = target.getBoundingClientRect(), frame = root.getBoundingClientRect()
    bubble.style.left = `${Math.max(8, Math.min(box.left - frame.left, frame.width - 330))}px`
    bubble.style.top = `${box.bottom - frame.top + 6}px`
  }
  root.addEventListener("mouseover", help)
  root.addEventListener("focusin", help)

  let saved = null
  try { saved = localStorage.getItem("lambdascape-theme") } catch { /* private window */ }
  setTheme(model.theme || saved || (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"))
  if (model.projector) root.classList.add("projector")
  showControls()
  showStory()
  showNotices()
  fresh()
  estimated()
  model.on("after_render", () => { paint(); fresh() })
  return root
}
