// The figures: the store's arrays, drawn and played.

const RULES = ["a", "b"]
const RGB = {light: {a: [0, 114, 178], b: [213, 94, 0]}, dark: {a: [86, 180, 233], b: [240, 138, 75]}}
const TAIL = 12 // frames of tail behind a moving point

// the arrays that travel as one; Bokeh's images are arrays that know their shape
const BYTES = {int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4, uint32: 4, float32: 4, float64: 8}
const unpacked = (whole, places) => Object.fromEntries(Object.entries(places).map(([name, [dtype, shape, at]]) => {
  const first = whole.byteOffset + at, size = BYTES[dtype] * shape.reduce((product, length) => product * length, 1)
  return [name, Bokeh.require("core/util/ndarray").ndarray(whole.buffer.slice(first, first + size), {dtype, shape})]
}))

// width over height within the axes; Bokeh knows neither of a figure that has not been laid out, and says so by throwing
const aspect = figure => { try { const ratio = figure.inner_width / figure.inner_height; return ratio > 0 && ratio < Infinity ? ratio : null } catch { return null } }

class Stage {
  constructor(view, some, onstep) { // some: only some of the figures are wanted, so none is waited for
    this.doc = view.model.document
    this.some = some
    this.onstep = onstep
    this.step = 0
    this.pointer = null
    this.known = new Map()
    this.boxes = new Map()
    this.arrays = {}
  }

  model(name) { // Bokeh looks through all models for a name
    const found = this.known.get(name) ?? this.doc.get_model_by_name(name)
    if (found) this.known.set(name, found)
    return found
  }
  get(name) { return this.arrays[name] }
  fill(name, data) { this.model(name)?.setv({data}, {sync: false}) } // not sent back to the server
  range(figure, axis, start, end) {
    const range = this.model(figure)?.[`${axis}_range`]
    if (range && (range.start !== start || range.end !== end)) range.setv({start, end}, {sync: false})
  }
  // both axes to the same scale, all of the box in view; also when the figure gets another size
  equal(name, box, then = () => {}) {
    const figure = this.model(name)
    if (!figure) return
    const watched = this.boxes.has(name), wide = aspect(figure) ?? 1.33
    this.boxes.set(name, {box, wide, then})
    const [[l1, h1], [l2, h2]] = box, width = Math.max(h1 - l1, (h2 - l2) * wide), height = width / wide
    this.range(name, "x", (l1 + h1 - width) / 2, (l1 + h1 + width) / 2)
    this.range(name, "y", (l2 + h2 - height) / 2, (l2 + h2 + height) / 2)
    then()
    if (watched) return
    for (const side of ["inner_width", "inner_height"]) figure.connect(figure.properties[side].change, () => {
      const {box, wide, then} = this.boxes.get(name), now = aspect(figure)
      if (now && Math.abs(now / wide - 1) > 0.01) this.equal(name, box, then) // less comes of a label with a digit more
    })
  }
  label(figure, axis, text) { this.model(figure)?.[axis === "x" ? "below" : "left"][0].setv({axis_label: text}, {sync: false}) }

  get frames() { return this.meta ? this.meta.steps.length : 1 }

  spread() { // everything that does not move with time
    this.store = this.model("store")
    const text = this.store.data.meta?.[0], meta = text && JSON.parse(text)
    if (!text || !(this.some || this.model(meta.dim === 1 ? "potential" : "map"))) return false // its figures are still to come
    if (this.meta && (this.meta.dim !== meta.dim || this.meta.ground !== meta.ground)) this.pointer = null // it belongs to the other landscape
    this.meta = meta
    this.arrays = unpacked(this.store.data.arrays[0], this.meta.places)
    const [from, to, bins] = this.meta.bins
    meta.edges = Array.from({length: bins + 1}, (_, i) => from + (to - from) * i / bins)
    const last = meta.steps[meta.steps.length - 1]
    this.step = Math.min(this.step, this.frames - 1)
    for (const name of ["density", "far", "near", "shares"]) this.range(name, "x", 0, last)
    if (meta.dim === 1) this.spread1(last)
    else this.spread2(last)
    this.posterior()
    this.noise()
    this.law()
    this.draw(this.step)
    return true
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
    this.fill("minima", {x: meta.minima.map(m => m.at[0]), y: meta.minima.map(m => m.height), text: meta.minima.map(m => m.label)})
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
    const masses = meta.share.bayes.filter(mass => mass > 0) // its axis is logarithmic
    this.fill("share-bayes", {x: masses.map(() => [0, last]), y: masses.map(mass => [mass, mass])})
  }

  spread2(last) {
    const {meta} = this
    this.equal("map", meta.box, () => this.places())
    const [x0, x1, y0, y1] = meta.terrain
    this.fill("terrain", {image: [this.get("terrain")], x: [x0], y: [y0], dw: [x1 - x0], dh: [y1 - y0]})
    this.fill("levels", {x: this.get("level-x"), y: this.get("level-y")})
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

  // minima with their labels, each beside its triangle where it is free of the others and within the figure
  places() {
    const {minima} = this.meta, map = this.model("map"), {x_range, y_range} = map, height = 16, gap = 8
    const across = aspect(map) ? map.inner_width : 600, scale = across / (x_range.end - x_range.start)
    const pixel = ([x, y]) => [(x - x_range.start) * scale, (y - y_range.start) * scale]
    const taken = minima.map(({at}) => [pixel(at)[0] - 5, pixel(at)[1] - 5, 10, 10]) // the triangles: left, bottom, width, height
    const columns = {x: [], y: [], text: [], right: [], up: [], align: []}
    for (const {at, label} of minima) {
      const width = 7 * label.length, [x, y] = at, [left, bottom] = pixel(at)
      const box = ([right, up, align]) => [left + right - (align === "right" ? width : 0), bottom + up, width, height]
      const free = place => {
        const [l, b, w, h] = box(place)
        return l >= 0 && l + w <= across && b >= 0 && !taken.some(([l2, b2, w2, h2]) => l < l2 + w2 && l2 < l + w && b < b2 + h2 && b2 < b + h)
      }
      const tries = [[gap, 4, "left"], [-gap, 4, "right"], [gap, -4 - height, "left"], [-gap, -4 - height, "right"]]
      const [right, up, align] = tries.find(free) ?? tries[0]
      taken.push(box([right, up, align]))
      for (const [name, value] of Object.entries({x, y, text: label, right, up, align})) columns[name].push(value)
    }
    this.fill("places", columns)
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
      const law = this.exact?.get(`law-${rule}`)
      if (law) {
        const [, bins] = law.shape
        this.fill(`law-${rule}`, {x: meta.edges, y: [...this.shape(part(law, step * bins, (step + 1) * bins), meta.edges), 0]})
      } else this.fill(`law-${rule}`, {x: [], y: []})
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
      if (key === this.noisy) return this.mark() // only the landscape and the data matter here
      this.noisy = key
      this.proportion(null)
      const [[low, high]] = meta.box, x = [], lines = {hessian: [], sigma: [], fisher: []}
      for (let i = 0; i <= 300; i++) {
        const w = low + (high - low) * i / 300, {G, H, S} = matrices(meta, w, 0)
        x.push(w); lines.hessian.push(H[0]); lines.fisher.push(G[0]); lines.sigma.push(S[0])
      }
      for (const [name, y] of Object.entries(lines)) this.fill(`noise-${name}`, {x, y})
      const scale = Math.max(...meta.minima.map(m => matrices(meta, m.at[0], 0).H[0]), ...meta.barriers.map(b => -matrices(meta, b, 0).H[0]), 0.02 * matrices(meta, high, 0).H[0])
      this.range("noise", "x", low, high)
      this.range("noise", "y", -1.2 * scale, 2.5 * scale)
      this.tall = [-1.2 * scale, 2.5 * scale]
      return this.mark()
    }
    const key = JSON.stringify([meta.products, meta.data, meta.box])
    if (key !== this.noisy) this.proportion(null)
    this.noisy = key
    const [x, y] = this.pointer, {G, H, S} = matrices(meta, x, y)
    this.fill("pointer", this.model("ellipse") ? {x: [x], y: [y]} : {x: [], y: []}) // where nothing is read off, nothing is marked
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
    this.equal("ellipse", [[-1.1, 1.1], [-1.1, 1.1]]) // a circle looks round
  }

  // where noise is read off in one dimension
  mark() {
    const {meta} = this, [[low, high]] = meta.box, [w] = this.pointer ?? []
    if (!(w >= low && w <= high)) this.pointer = [(meta.barriers[0] ?? low + 0.62 * (high - low)), 0]
    this.fill("noise-at", {x: [[this.pointer[0], this.pointer[0]]], y: [this.tall]})
  }

  // where B Sigma is vy H and where H < 0, as the server found it; null: not yet known
  proportion(found) {
    if (!found && this.proportional === null) return
    this.proportional = found
    const within = found?.within ?? [], negative = found?.negative ?? [], [bottom, top] = this.tall ?? [0, 1]
    const bands = (name, spans) => this.fill(name, {left: spans.map(s => s[0]), right: spans.map(s => s[1]), bottom: spans.map(() => bottom), top: spans.map(() => top)})
    bands("noise-within", within)
    bands("noise-negative", negative)
  }

  // what noise and curvature are at the pointer, in lines of words
  at(x, y) {
    const {meta} = this, {G, H, S} = matrices(meta, x, y), {vy} = meta.data
    const ratio = vy === 1 ? "BΣ/H" : "BΣ/(vy H)", over = (sigma, hessian) => hessian ? few(sigma / (vy * hessian), 1) : sigma ? "∞" : "0/0"
    const few = (value, beside = 0) => Math.abs(value) < 1e-12 * Math.abs(beside) ? "0" : short(+value.toPrecision(3)) // else rounding
    if (meta.of === "K") return ["K alone is given: no model, so neither Fisher matrix nor noise"]
    if (meta.dim === 1) return [`at ${few(x)}: H ${few(H[0], G[0])}, BΣ ${few(S[0], H[0])}, G ${few(G[0], H[0])}${vy && H[0] ? `, ${ratio} = ${over(S[0], H[0])}` : ""}`]
    const values = matrix => { const [a, b] = eigen(matrix).values; return `${few(a)}, ${Math.abs(b) < 1e-9 * Math.abs(a) ? 0 : few(b)}` }
    const lines = [`eigenvalues H ${values(H)} · BΣ ${values(S)} · G ${values(G)}`]
    const {values: [most], angle} = eigen(S), [c, s] = [Math.cos(angle), Math.sin(angle)]
    const along = ([a, b, d]) => a * c * c + 2 * b * c * s + d * s * s, across = ([a, b, d]) => a * s * s - 2 * b * c * s + d * c * c
    if (most > 0 && vy && along(H)) lines.push(`${ratio} = ${over(along(S), along(H))} along the noise, ${over(Math.abs(across(S)) < 1e-9 * most ? 0 : across(S), across(H))} across (H ${few(across(H))})`)
    return lines
  }

  // the exact law, if the one at hand belongs to this picture
  law() {
    const data = this.model("law")?.data, text = data?.meta?.[0], meta = text && JSON.parse(text)
    const fits = meta && this.meta && meta.key === this.meta.key
    this.exact = fits ? {...meta, get: name => data[name]?.[0]} : null
    for (const rule of RULES) {
      const share = this.exact?.get(`exact-${rule}`)
      const rows = share ? [...Array(share.shape[0]).keys()].map(i => part(share, i * share.shape[1], (i + 1) * share.shape[1])) : []
      this.fill(`exact-${rule}`, {x: rows.map(() => this.get("share-x")), y: rows})
    }
    return this.exact
  }

  geometry() {
    const store = this.model("geometry"), text = store?.data.meta?.[0]
    if (!text) return
    const get = name => store.data[name]?.[0], rows = array => [0, 1].map(i => array ? part(array, i * array.shape[1], (i + 1) * array.shape[1]) : [])
    const meta = JSON.parse(text), done = part => meta.complete || meta.parts.includes(part) // what is still to come stays as it was
    if (done("noise") && meta.noise) this.proportion(meta.noise)
    if (!done("point")) return meta
    const [x, y] = rows(get("edge")), reach = get("leaves")?.[1] ?? 1, d = get("leaves")?.[0]
    this.fill("newton-edge", {x, y})
    this.fill("newton-region", x.length ? {x: [...x, reach, x[0]], y: [...y, reach, reach]} : {x: [], y: []})
    for (const [name, key] of [["newton-points", "points"], ["newton-diagonal", "diagonal"]]) { const [px, py] = rows(get(key)); this.fill(name, {x: px, y: py}) }
    this.fill("newton-leaves", d === undefined ? {x: [], y: []} : {x: [d], y: [d]})
    const names = meta.polygon?.includes("change") ? ["x", "y"] : ["w₁", "w₂"]
    for (const [i, axis] of ["x", "y"].entries()) { this.range("newton", axis, -0.3, reach); this.label("newton", axis, `power of ${names[i]}`) }
    const line = (name, across, up) => this.fill(name, get(up) ? {x: get(across), y: get(up)} : {x: [], y: []})
    if (!done("volume")) return meta
    line("volume-measured", "eps", "volume"); line("volume-law", "eps", "law")
    const span = (figure, name) => { // all of a positive array, in whole decades
      const values = get(name)
      if (values) this.range(figure, "y", 10 ** Math.floor(Math.log10(Math.max(values[0], 1e-14))), 10 ** Math.ceil(Math.log10(values[values.length - 1])))
    }
    this.range("volume", "x", 1e-14, 0.1)
    span("volume", "volume")
    if (!done("energy")) return meta
    const energy = get("energy"), n = get("samples")
    let top = 1, whole = 0
    for (let i = 0; i < 4; i++) {
      const here = energy && i < energy.shape[0], values = here ? part(energy, i * energy.shape[1], (i + 1) * energy.shape[1]) : []
      this.fill(`energy-${i}`, here ? {x: n, y: values} : {x: [], y: []})
      const most = here ? Math.max(...[...values].filter(Number.isFinite)) : 0
      if (i === 0) whole = most
      top = Math.max(top, Math.min(most, 2.5 * whole)) // a basin that Bayes leaves costs ever more: its curve may leave the picture
    }
    if (energy) this.range("energy", "y", 0, 1.3 * top)
    line("energy-law", "samples", "asymptote")
    const crossings = [...(get("crossings") ?? [])]
    this.fill("energy-crossing", {x: crossings.map(at => [at, at]), y: crossings.map(() => [0, 1.3 * top])})
    this.range("energy", "x", 1, 1e7)
    if (!done("finite")) return meta
    for (const name of ["mean", "wbic"]) line(`finite-${name}`, "few", name)
    line("finite-generalisation", "rare", "generalisation")
    line("finite-bias", "few", meta.finite?.biasWords ? "bias" : "none")
    const limit = meta.finite?.limit
    this.fill("finite-limit", limit ? {x: [1, 1e7], y: [limit, limit]} : {x: [], y: []})
    this.range("finite", "x", 1, 1e6)
    if (limit) this.range("finite", "y", 0, 1.8 * limit)
    return meta
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

  height(pixels, widths = {}) {
    for (const name of Object.keys(CELLS)) {
      const figure = this.model(name), width = widths[name]
      if (!figure) continue
      figure.setv({height: name === "map" && width ? Math.min(pixels, Math.round(1.3 * width)) : pixels}, {sync: false}) // the map's terrain is no higher
      if (width) sparse(figure, width)
    }
  }

  paint(dark, scale) {
    this.dark = dark
    for (const name of Object.keys(CELLS)) {
      const figure = this.model(name)
      if (!figure) continue
      paintFigure(figure, dark, scale)
      if (name === "map") figure.renderers[0].glyph.setv({global_alpha: dark ? 0.35 : 0.7}, {sync: false})
    }
  }
}
