// The escape lab in the browser: two maps of escape rates as SVG, a word for each cell, and a link from each to the landscape lab.

const VIRIDIS = "440154 481467 482576 453781 404688 39558c 33638d 2d718e 287d8e 238a8d 1f968b 20a386 29af7f 3cbb75 55c667 73d055 95d840 b8de29 dce319 fde725"
  .split(" ").map(text => [0, 2, 4].map(at => parseInt(text.slice(at, at + 2), 16)))
// colour-blind safe, from blue over white to orange (ColorBrewer's RdBu and PuOr)
const DIVERGING = "2166ac 4393c3 92c5de d1e5f0 f7f7f7 fee0b6 fdb863 e08214 b35806".split(" ").map(text => [0, 2, 4].map(at => parseInt(text.slice(at, at + 2), 16)))
const FAR = 4 // standard errors at the ends of its scale
const INK = {
  light: {paper: "#ffffff", text: "#1d2733", soft: "#4d5966", line: "#aab3bc", none: "#e9edf1", dot: "#aab3bc"},
  dark: {paper: "#14191f", text: "#eef2f6", soft: "#b4bec8", line: "#4a5663", none: "#232b34", dot: "#586573"},
}
const LETTERS = {lr: "η", batch: "B", w0: "w₀", momentum: "μ", damping: "ρ"}
const MAPS = {
  rate: {title: "Sampled", help: "Trajectories that have never left the leftmost basin leave it at this rate: log of the share that stays, per step, once the start is forgotten. Crossing the barrier and diverging both count. Grey: nobody left. Solid line: from here on gradient descent leaves without any noise (started close to the minimum; none drawn where a rule’s noise cannot be taken away)."},
  exact: {title: "Exact", help: "The same rate without sampling: −log of the leading eigenvalue of the step's Markov matrix, restricted to the basin. Grey: below the scale, which ends at one leaving in all sampled steps."},
  z: {title: "Sampled − exact", help: "Leavings counted less leavings expected from the exact rate, in standard errors: blue where fewer left than the law says, orange where more. Within ±2 for 95 of 100 cells by chance; all cells share their noise, so neighbours go together. Hatched: no exact rate, or one of 0."},
}
const VIEWS = {both: {text: "sampled and exact", maps: ["rate", "exact"]}, difference: {text: "their difference", maps: ["z"]}, all: {text: "all three", maps: ["rate", "exact", "z"]}}
const LINES = {stable: {dash: "7 5"}, crisis: {text: "GD crisis", dash: null}}
const ALL = 99 // stands for: all in one step

const drawn = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) if (name === "text") node.textContent = value; else if (value != null) node.setAttribute(name, value)
  node.append(...children.filter(Boolean))
  return node
}
const between = (colours, share) => {
  const at = Math.min(Math.max(share, 0), 1) * (colours.length - 1), i = Math.min(Math.floor(at), colours.length - 2), part = at - i
  return `rgb(${colours[i].map((low, k) => Math.round(low + part * (colours[i + 1][k] - low)))})`
}
const viridis = share => between(VIRIDIS, share), diverging = z => between(DIVERGING, 0.5 + z / (2 * FAR))
const figures3 = value => value === 0 ? "0" : short(+value.toPrecision(3))
const whole = value => value.toLocaleString("en")
const duration = seconds => seconds < 1.5 ? "a second" : seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
const power10 = exponent => exponent === 0 ? "1" : exponent > -4 ? String(10 ** exponent).replace(/0+$/, "") : `10${superscript(String(exponent))}`

class RateMap {
  // One map: cells, axes and lines in an svg of any size and of any palette.
  constructor(name, fixed, numbers, ink) { Object.assign(this, {name, fixed, numbers, ink}) }

  // colour and strength of a cell; while it is not known, those of the nearest coarser one that is
  look(i, j) {
    const {done} = this.numbers, values = this.numbers[this.name]
    for (const stride of [1, 2, 4, 8]) {
      const [a, b] = [i - i % stride, j - j % stride]
      if (!done[b][a]) continue
      const value = values[b][a], [low, high] = this.fixed.scale
      const fill = value == null ? "url(#unknown)" : this.name === "z" ? diverging(value) : value < 10 ** low ? "url(#none)" : viridis((Math.log10(value) - low) / (high - low))
      return {fill, opacity: stride === 1 ? 1 : 0.4}
    }
    return {fill: "none", opacity: 1}
  }

  into(svg, left, top, width, height, size) {
    const {fixed, numbers, ink} = this, {x, y} = fixed
    const [n, m] = [x.values.length, y.values.length]
    const place = {left: left + 4.4 * size, top, width: width - 4.8 * size, height: height - 3.6 * size}
    const [w, h] = [place.width / n, place.height / m]
    const at = (i, j) => [place.left + (i + 0.5) * w, place.top + place.height - (j + 0.5) * h]
    const cells = drawn("g")
    for (let j = 0; j < m; j++) for (let i = 0; i < n; i++) {
      const [cx, cy] = at(i, j)
      cells.append(drawn("rect", {x: (cx - w / 2).toFixed(2), y: (cy - h / 2).toFixed(2), width: (w + 0.3).toFixed(2), height: (h + 0.3).toFixed(2), ...this.look(i, j)}))
    }
    svg.append(cells)
    const label = (text, px, py, anchor, colour, extra = {}) => svg.append(drawn("text", {x: px, y: py, "text-anchor": anchor, "font-size": size, fill: colour, text, ...extra}))
    const every = (count, room, need) => Math.max(1, Math.ceil(count * need / room))
    for (let i = 0, step = every(n, place.width, 3.4 * size); i < n; i += step) {
      svg.append(drawn("line", {x1: at(i, 0)[0], x2: at(i, 0)[0], y1: place.top + place.height, y2: place.top + place.height + 4, stroke: ink.soft}))
      label(short(x.values[i]), at(i, 0)[0], place.top + place.height + 1.35 * size, "middle", ink.soft)
    }
    for (let j = 0, step = every(m, place.height, 1.5 * size); j < m; j += step) {
      svg.append(drawn("line", {x1: place.left - 4, x2: place.left, y1: at(0, j)[1], y2: at(0, j)[1], stroke: ink.soft}))
      label(short(y.values[j]), place.left - 6, at(0, j)[1] + 0.35 * size, "end", ink.soft)
    }
    label(x.label, place.left + place.width / 2, place.top + place.height + 2.9 * size, "middle", ink.text)
    label(y.label, left + 0.9 * size, place.top + place.height / 2, "middle", ink.text, {transform: `rotate(-90 ${left + 0.9 * size} ${place.top + place.height / 2})`})
    svg.append(drawn("rect", {x: place.left, y: place.top, width: place.width, height: place.height, fill: "none", stroke: ink.line}))
    const clip = drawn("clipPath", {id: `inside-${this.name}`}, drawn("rect", {x: place.left, y: place.top, width: place.width, height: place.height}))
    svg.append(clip)
    for (const [name, points] of Object.entries(numbers.lines)) this.line(svg, name, points, at, size)
    return place
  }

  line(svg, name, points, at, size) {
    const pieces = [[]]
    for (const point of points) point ? pieces[pieces.length - 1].push(at(...point)) : pieces.push([])
    const whole = pieces.filter(piece => piece.length > 1)
    if (!whole.length) return
    const d = whole.map(piece => "M" + piece.map(point => point.map(v => v.toFixed(1)).join(" ")).join("L")).join("")
    const common = {d, fill: "none", "clip-path": `url(#inside-${this.name})`, "stroke-linecap": "round"}
    svg.append(drawn("path", {...common, stroke: "#000000", "stroke-width": 4.5, "stroke-opacity": 0.75}),
      drawn("path", {...common, stroke: "#ffffff", "stroke-width": 2.2, "stroke-dasharray": LINES[name].dash}))
    const long = whole.reduce((a, b) => a.length >= b.length ? a : b), part = (long.length - 1) * (name === "stable" ? 0.25 : 0.75)
    const k = Math.min(Math.floor(part), long.length - 2), [px, py] = long[k].map((v, axis) => v + (part - k) * (long[k + 1][axis] - v))
    const text = this.word(name)
    svg.append(drawn("text", {x: px + 6, y: py - 6, "font-size": size, "font-weight": 600, fill: "#ffffff", stroke: "#000000", "stroke-width": 3, "paint-order": "stroke", "stroke-linejoin": "round",
      "clip-path": `url(#inside-${this.name})`, text}))
  }

  word(name) {
    const {momentum = "0.0", substeps = "1"} = this.fixed.link
    const heavy = momentum !== "0.0" || [this.fixed.x.name, this.fixed.y.name].includes("momentum")
    if (name !== "stable") return heavy ? "GD leaves" : LINES[name].text // momentum carries a start over the barrier: no crisis of an attractor
    return momentum !== "0.0" || [this.fixed.x.name, this.fixed.y.name].includes("momentum") ? "ηH = 2(1+μ)" : `ηH = ${2 * substeps}`
  }
}

const patterns = ink => drawn("defs", {},
  drawn("pattern", {id: "none", width: 7, height: 7, patternUnits: "userSpaceOnUse"}, drawn("rect", {width: 7, height: 7, fill: ink.none}), drawn("circle", {cx: 3.5, cy: 3.5, r: 0.9, fill: ink.dot})),
  drawn("pattern", {id: "unknown", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"}, drawn("rect", {width: 8, height: 8, fill: ink.paper}), drawn("rect", {width: 3, height: 8, fill: ink.none})))

const colourBar = (svg, fixed, ink, left, top, width, size) => {
  const [low, high] = fixed.scale, box = 2.6 * size, bar = width - box - 1.6 * size, from = left + box + 1.6 * size
  svg.append(drawn("rect", {x: left, y: top, width: box, height: 0.9 * size, fill: "url(#none)", stroke: ink.line}))
  const steps = 60
  for (let k = 0; k < steps; k++) svg.append(drawn("rect", {x: from + bar * k / steps, y: top, width: bar / steps + 0.5, height: 0.9 * size, fill: viridis((k + 0.5) / steps)}))
  const say = (text, x, anchor = "middle") => svg.append(drawn("text", {x, y: top + 2.05 * size, "font-size": 0.95 * size, "text-anchor": anchor, fill: ink.soft, text}))
  say("below", left, "start")
  for (let e = low; e <= high; e++) {
    const x = from + bar * (e - low) / (high - low)
    svg.append(drawn("line", {x1: x, x2: x, y1: top + 0.9 * size, y2: top + 1.15 * size, stroke: ink.soft}))
    if (e > low || bar / (high - low) > 3 * size) say(power10(e), x, e === high ? "end" : "middle")
  }
}

const differenceBar = (svg, ink, left, top, width, size) => {
  const steps = 60
  for (let k = 0; k < steps; k++) svg.append(drawn("rect", {x: left + width * k / steps, y: top, width: width / steps + 0.5, height: 0.9 * size, fill: between(DIVERGING, (k + 0.5) / steps)}))
  for (let z = -FAR; z <= FAR; z += 2) {
    const x = left + width * (z + FAR) / (2 * FAR), text = (z < 0 ? "−" : z > 0 ? "+" : "") + Math.abs(z)
    svg.append(drawn("line", {x1: x, x2: x, y1: top + 0.9 * size, y2: top + 1.15 * size, stroke: ink.soft}),
      drawn("text", {x, y: top + 2.05 * size, "font-size": 0.95 * size, "text-anchor": z === -FAR ? "start" : z === FAR ? "end" : "middle", fill: ink.soft, text}))
  }
}

export function render({model}) {
  const root = element("div", {class: "lab escape"})
  root.append(element("style", {text: model.style}))
  const send = action => model.send_msg({action})

  // frame
  const form = element("form", {class: "controls", onsubmit: event => event.preventDefault(), "aria-label": "Settings"})
  const controls = new Controls(form, values => model.send_msg({set: values}))
  const examples = element("select", {class: "story-choice", title: "Maps worth looking at", "aria-label": "Example", onchange: event => model.send_msg({example: event.target.value})})
  const tools = element("div", {class: "tools"}, examples, element("div", {class: "row"}, pushButton("Reset", "Reset: back to the first map (r)", () => send("reset"))))
  const header = topBar("escape")

  // the state of the computation
  const compute = pushButton("Compute", "Compute the map of these settings", () => send("run"), {class: "go"})
  const back = pushButton("Undo changes", "Set the controls to what the map shows", () => send("back"))
  const cancel = pushButton("Cancel", "Stop here; what is done stays", () => send("cancel"))
  const meter = element("progress", {max: 1, value: 0, "aria-label": "Progress"})
  const state = element("output", {class: "state"})
  const save = ["CSV", "SVG", "PNG"].map(kind => pushButton(kind, `Save the map as ${kind}`, () => saving[kind]()))
  const more = saveMenu(model, model.kinds ?? [], "More …")
  const bar = element("div", {class: "bar"}, compute, back, cancel, meter, state)
  const saves = element("span", {class: "saves"}, element("span", {class: "soft", text: "Save"}), ...save, more)

  // maps
  const says = element("p", {class: "says", "aria-live": "polite"})
  const readout = element("p", {class: "readout", "aria-live": "polite"})
  const scale = element("div", {class: "scale"})
  const wanted = new URLSearchParams(window.location.search).get("maps")
  let view = wanted in VIEWS ? wanted : "both"
  const views = element("select", {class: "view", id: "view", title: "Which maps are shown", onchange: event => { view = event.target.value; remember(model.status.query ?? window.location.search, {maps: view === "both" ? null : view}); redraw() }},
    ...Object.entries(VIEWS).map(([value, {text}]) => element("option", {value, text, selected: value === view})))
  bar.append(element("span", {class: "viewer"}, element("label", {for: "view", class: "soft", text: "Maps"}), views))
  const cells = Object.entries(MAPS).map(([name, {title, help}]) => {
    const legend = element("div", {class: "legend"})
    // one link over the map, always to the cell pointed at: so it opens in a new tab as any link does, and Enter follows it
    const link = element("a", {class: "over", draggable: "false"})
    const plot = element("div", {class: "plot"})
    const figure = element("figure", {class: "cell", "data-name": name}, element("figcaption", {}, element("h2", {text: title, "data-help": help, tabindex: 0}), legend), element("div", {class: "stack"}, plot, link))
    return {name, legend, link, plot, figure}
  })
  const grid = element("div", {class: "maps"}, ...cells.map(cell => cell.figure))
  const intro = element("p", {class: "intro"})
  const main = element("main", {}, intro, bar, grid, scale, readout, says)
  root.append(header, element("div", {class: "body"}, element("aside", {}, tools, form), main), noticeBoard(model), helpBubble(root))
  root.tabIndex = -1

  // drawing
  const ink = () => INK[root.dataset.theme === "dark" ? "dark" : "light"]
  const ready = () => model.fixed.x && model.numbers.done?.length === model.fixed.y.values.length && model.numbers.done[0].length === model.fixed.x.values.length
  let chosen = null, asked = 0
  const redraw = () => { if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw() }) }
  const draw = () => {
    const here = ready(), size = root.classList.contains("projector") ? 16 : 12
    grid.hidden = scale.hidden = readout.hidden = !here
    if (!here) return
    const {fixed, numbers} = model
    const room = main.clientHeight - (grid.getBoundingClientRect().top - main.getBoundingClientRect().top + main.scrollTop) - 14 * size - 46
    const shown = VIEWS[view].maps
    for (const cell of cells) cell.figure.hidden = !shown.includes(cell.name)
    legends()
    const caption = Math.max(...cells.map(cell => cell.legend.parentNode.offsetHeight))
    for (const cell of cells.filter(({name}) => shown.includes(name))) {
      const width = cell.figure.clientWidth, height = Math.max(240, Math.min(room - caption, 0.95 * width))
      const svg = drawn("svg", {width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", "font-family": "inherit"}, patterns(ink()))
      cell.place = new RateMap(cell.name, fixed, numbers, ink()).into(svg, 0, 6, width, height - 6, size)
      cell.mark = drawn("rect", {fill: "none", stroke: "#d55e00", "stroke-width": 3, visibility: "hidden"})
      svg.append(cell.mark)
      cell.plot.replaceChildren(svg)
      const {left, top, width: w, height: h} = cell.place
      Object.assign(cell.link.style, {left: `${left}px`, top: `${top}px`, width: `${w}px`, height: `${h}px`})
    }
    const bars = [shown.includes("rate") && ["rate", "escape rate per step"], shown.includes("z") && ["z", "difference in standard errors"]].filter(Boolean)
    const free = scale.clientWidth > 660 ? scale.clientWidth - 31 * size : scale.clientWidth, width = Math.min(bars.length > 1 ? Math.max(20 * size, free / 2 - 8 * size) : free, 560)
    const drawnBars = bars.flatMap(([name, text]) => {
      const svg = drawn("svg", {width, height: 2.5 * size, viewBox: `0 0 ${width} ${2.5 * size}`, role: "img", "aria-label": name === "z" ? "Colour scale of the difference, from blue (fewer left) to orange (more left)" : "Colour scale of the rates, logarithmic", "font-family": "inherit"}, patterns(ink()))
      if (name === "z") differenceBar(svg, ink(), 4, 2, width - 8, size)
      else colourBar(svg, fixed, ink(), 4, 2, width - 8, size)
      return [svg, element("span", {class: "soft", text})]
    })
    scale.replaceChildren(...drawnBars, element("span", {class: "spring"}), saves)
    choose(...(chosen ?? [Math.floor(fixed.x.values.length / 2), Math.floor(fixed.y.values.length / 2)]))
    const task = `Each cell is a run of its own: ${fixed.n === 1 ? "one trajectory" : `${whole(fixed.n)} trajectories`} of ${fixed.rule} start${fixed.n === 1 ? "s" : ""} in the leftmost well of K = Q²/2, Q = ${fixed.q}. Colour is the rate, per step, at which those that are still there leave.`
    if (intro.textContent !== task) intro.textContent = task
    if (says.textContent !== numbers.says) says.textContent = numbers.says
    root.dataset.drawn = numbers.step
    root.dataset.complete = numbers.complete
  }
  const legends = () => {
    const {numbers} = model, chip = (kind, text) => element("span", {class: `chip ${kind}`, text})
    const lines = Object.keys(LINES).filter(name => numbers.lines[name]?.some(Boolean))
    const words = {stable: "stability line", crisis: "gradient descent leaves without noise"}
    const common = lines.map(name => chip(name === "stable" ? "ink dash" : "ink line", words[name]))
    cells[0].legend.replaceChildren(...common)
    cells[2].legend.replaceChildren(...common.map(node => node.cloneNode(true)))
    cells[1].legend.replaceChildren(...(numbers.why ? [element("span", {class: "words", text: `No exact rate ${numbers.exact.some(row => row.some(v => v != null)) ? "in hatched cells" : "here"}: ${numbers.why}`})] : common.map(node => node.cloneNode(true))))
  }

  // one cell in words
  const words = (i, j) => {
    const {fixed, numbers} = model, {x, y} = fixed
    const name = axis => LETTERS[axis.name], where = `${name(x)} = ${short(x.values[i])}, ${name(y)} = ${short(y.values[j])}`
    const stiff = fixed.stiff ? ` (ηH = ${fixed.stiff[j][i].toPrecision(3)})` : ""
    if (!numbers.done[j][i]) return [where + stiff, "not computed yet."]
    const get = what => numbers[what][j][i], count = what => numbers.counts[what][j][i]
    const rate = get("rate"), exact = get("exact"), z = get("z")
    const sampled = !count("started") ? "nobody starts in the left basin"
      : rate == null ? "too few stay for a rate"
        : rate === ALL ? "all leave in one step"
          : rate === 0 ? `nobody left, so the rate is below ${figures3(3 * get("stderr"))} (95 %)`
            : `${figures3(rate)} ± ${short(+get("stderr").toPrecision(2))} per step`
    const parts = [`Sampled: ${sampled}; ${whole(count("held"))} of ${whole(count("started"))} never ${count("held") === 1 ? "leaves" : "leave"} the left basin in ${whole(fixed.steps)} step${fixed.steps === 1 ? "" : "s"}, ${whole(count("survivors"))} of ${whole(fixed.n)} never ${count("survivors") === 1 ? "diverges" : "diverge"}.`]
    parts.push(exact == null ? "Exact: none here." : `Exact: ${exact === ALL ? "all leave in one step" : exact < 1e-11 ? (fixed.stiff ? "below 10⁻¹¹ per step" : "0 in the end: what comes near the minimum rests there") : `${figures3(exact)} per step`}.`)
    if (z != null && count("started")) parts.push(`They differ by ${Math.abs(z).toFixed(1)} standard errors.`)
    return [where + stiff, parts.join(" ")]
  }
  const opened = (i, j) => {
    const {fixed} = model, query = new URLSearchParams(fixed.link), now = new URLSearchParams(window.location.search)
    for (const [axis, k] of [[fixed.x, i], [fixed.y, j]]) for (const [name, texts] of Object.entries(axis.set)) query.set(name, texts[k])
    for (const name of ["theme", "projector"]) if (now.has(name)) query.set(name, now.get(name))
    return `${window.location.pathname}?${query.toString().replaceAll("%2C", ",")}`
  }
  const choose = (i, j) => {
    const [n, m] = [model.fixed.x.values.length, model.fixed.y.values.length]
    i = Math.max(0, Math.min(n - 1, i)); j = Math.max(0, Math.min(m - 1, j))
    chosen = [i, j]
    const [where, text] = words(i, j), href = opened(i, j)
    for (const {link, mark, place} of cells.filter(({figure}) => !figure.hidden)) {
      link.setAttribute("href", href)
      link.setAttribute("aria-label", `Map of ${n} by ${m} cells, arrow keys move. Open ${where} in the landscape lab`)
      const [w, h] = [place.width / n, place.height / m]
      for (const [name, value] of Object.entries({x: place.left + i * w, y: place.top + place.height - (j + 1) * h, width: w, height: h, visibility: "visible"})) mark.setAttribute(name, value)
    }
    readout.replaceChildren(element("b", {text: where}), ` ${text} `, element("a", {href, text: "Open this run in the landscape lab"}), element("span", {class: "soft", text: " (or click the cell; arrow keys and Enter)"}))
    root.dataset.chosen = chosen.join()
  }
  for (const {link} of cells) {
    const point = event => {
      const box = link.getBoundingClientRect(), [n, m] = [model.fixed.x.values.length, model.fixed.y.values.length]
      const [i, j] = [Math.floor((event.clientX - box.left) / box.width * n), Math.floor((box.bottom - event.clientY) / box.height * m)]
      if (`${[i, j]}` !== `${chosen}`) choose(i, j)
    }
    link.addEventListener("pointermove", point)
    link.addEventListener("pointerdown", point)
    link.addEventListener("keydown", event => {
      const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key]
      if (!move || !chosen) return
      event.preventDefault()
      choose(chosen[0] + move[0], chosen[1] + move[1])
    })
  }

  // saving: a table by the server, pictures by the browser, always on white
  const keep = (content, type, suffix) => {
    const {fixed} = model, url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], {type}))
    const link = element("a", {href: url, download: `escape-${fixed.x.name}-${fixed.y.name}.${suffix}`})
    root.append(link)
    link.click()
    link.remove()
    setTimeout(() => URL.revokeObjectURL(url), 10000)
  }
  const composed = () => {
    const {fixed, numbers} = model, size = 14, names = VIEWS[view].maps, [width, height] = [20 + 610 * names.length, 600]
    const svg = drawn("svg", {xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "DejaVu Sans, Helvetica, Arial, sans-serif"}, patterns(INK.light))
    svg.append(drawn("rect", {width, height, fill: INK.light.paper}))
    names.forEach((name, k) => {
      svg.append(drawn("text", {x: 70 + k * 610, y: 30, "font-size": 18, "font-weight": 600, fill: INK.light.text, text: name === "z" ? "Sampled − exact, in standard errors" : `${MAPS[name].title} escape rate`}))
      new RateMap(name, fixed, numbers, INK.light).into(svg, 10 + k * 610, 46, 600, 470, size)
    })
    if (names.includes("rate")) colourBar(svg, fixed, INK.light, 70, 540, 530, size)
    if (names.includes("z")) differenceBar(svg, INK.light, 70 + 610 * (names.length - 1), 540, 530, size)
    svg.append(drawn("text", {x: names.length === 1 ? 70 : 620, y: names.length === 1 ? 592 : 552, "font-size": size, fill: INK.light.soft, text: `${names.length > 1 ? "per step · " : ""}${fixed.rule}, n = ${whole(fixed.n)}, ${whole(fixed.steps)} steps`}))
    return new XMLSerializer().serializeToString(svg)
  }
  const saving = {
    CSV: () => send("csv"),
    SVG: () => keep(composed(), "image/svg+xml", "svg"),
    PNG: () => {
      const image = new Image()
      image.onload = () => {
        const canvas = element("canvas", {width: 2 * image.naturalWidth, height: 2 * image.naturalHeight})
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
        canvas.toBlob(blob => keep(blob, "image/png", "png"))
      }
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(composed())}`
    },
  }

  // what the server sends
  const showStatus = () => {
    const {running, stale, estimate, problem, query} = model.status, {numbers} = model, here = ready()
    const unfinished = here && !numbers.complete
    compute.hidden = !(stale || (!running && unfinished))
    compute.disabled = Boolean(problem)
    compute.textContent = !here ? "Compute" : stale ? "Recompute" : "Go on"
    back.hidden = !(stale && here)
    cancel.hidden = !running
    meter.hidden = !running
    meter.value = here ? numbers.step / numbers.of : 0
    for (const button of [...save, more]) button.disabled = !here || !numbers.step || button.matches(".busy")
    const cells = here ? `${whole(numbers.step)} of ${whole(numbers.of)} cells` : ""
    const progress = running ? `${cells}${numbers.left == null ? "" : `, about ${duration(numbers.left)} left`}` : unfinished ? `stopped at ${cells}` : here ? cells.replace(/ of .* /, " ") : ""
    const changed = problem ? problem : stale ? here ? `Settings changed; the map is of those before. Recomputing takes about ${duration(estimate)}.` : `The map of these settings takes about ${duration(estimate)}.` : ""
    const text = [changed, progress].filter(Boolean).join(" ")
    if (state.textContent !== text) state.textContent = text
    root.classList.toggle("stale", Boolean(stale && here))
    root.dataset.running = Boolean(running)
    root.dataset.stale = Boolean(stale)
    if (query) remember(query)
    if (query && (sought === null || answers(query, sought))) { sought = null; settle() }
  }
  let sought = null
  root.addEventListener("opened", ({detail}) => { sought = detail })
  const showExamples = () => {
    const {names = [], chosen: name} = model.examples
    examples.replaceChildren(...["", ...names].map(value => element("option", {value, text: value || "Your own, or an example …", selected: value === name, disabled: !value})))
  }
  const showControls = () => controls.show(model.controls)
  const moved = () => { if (chosen && ready()) chosen = [Math.min(chosen[0], model.fixed.x.values.length - 1), Math.min(chosen[1], model.fixed.y.values.length - 1)]; redraw(); showStatus() }
  model.on("controls", showControls)
  model.on("examples", showExamples)
  model.on("fixed", moved)
  model.on("numbers", moved)
  model.on("status", showStatus)
  model.on("csv", () => { if (model.csv.text) keep(model.csv.text, "text/csv", "csv") })
  root.addEventListener("keydown", event => {
    const from = event.composedPath()[0].tagName
    if (event.key === "r" && !event.ctrlKey && !event.metaKey && !event.altKey && from !== "SELECT" && from !== "INPUT") send("reset")
  })
  header.append(...looks(root, model, redraw))
  new ResizeObserver(redraw).observe(main)
  showControls()
  showExamples()
  showStatus()
  redraw()
  return root
}
