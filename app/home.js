// The first page: three ways to learn on one landscape, simulated here (engine.js); nothing is asked of the server.

export function render({model}) {
  const root = element("div", {class: "lab home", tabindex: -1})
  root.append(element("style", {text: model.style}))
  const header = topBar("home", false)
  const {well, lessons} = model, {box: [[low, high]], barriers: [barrier], minima} = well.case
  const DOTS = 90, ALL = 600, HOLD = 3, calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches
  Engine.setup(well.ziggurat)

  // what is set, and what follows from it
  const values = {lr: well.rules.a.fields.lr, n: 1000}
  let seed = 1, ensembles = {}, masses = [0, 0], at = 0, last = 0, held = 0, playing = true
  const run = name => ({dim: 1, of: "Q", products: well.case.products, rule: {name: well.rules[name].name, ...well.rules[name].fields, ...(name === "a" ? {lr: values.lr} : {})},
    data: {slope: 0, vx: 1, vy: 1, size: 0}, start: {low: [well.start[0]], high: [well.start[1]], at: false}, seed, n: ALL, steps: well.steps})
  const simulate = name => { ensembles[name] = new Engine.Ensemble(run(name), {axis: 0, low, high, barriers: [barrier], kept: DOTS}).work(Infinity) }
  const potential = Engine.model({...run("a")}), K = w => { potential.potential(w, 0); return Engine.O[0] }
  const weigh = () => { masses = Engine.masses(run("a"), {samples: values.n, beta: 1}, [low, high], [barrier], minima.map(m => m.at[0])) }
  const ceiling = 1.45 * K(barrier)

  // the picture
  const canvas = element("canvas", {role: "img"})
  const colours = () => { const style = getComputedStyle(root); return Object.fromEntries(["paper", "ink", "soft", "line", "a", "b", "exact", "bayes"].map(name => [name, style.getPropertyValue(`--${name}`).trim()])) }
  const draw = () => {
    const {clientWidth: width, clientHeight: height} = canvas, dense = window.devicePixelRatio || 1
    if (!width) return
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) { canvas.width = Math.round(width * dense); canvas.height = Math.round(height * dense) }
    const g = canvas.getContext("2d"), colour = colours(), size = parseFloat(getComputedStyle(canvas).fontSize)
    g.setTransform(dense, 0, 0, dense, 0, 0)
    g.clearRect(0, 0, width, height)
    const left = -2.75, right = 2.75, base = height - 4.3 * size, top = 1.2 * size
    const px = w => (w - left) / (right - left) * width, py = k => base - Math.min(k / ceiling, 1.2) * (base - top)
    // the posterior's density; each basin's mass is exact
    // of each pixel its highest point, minima included: a peak may be narrower than a pixel, and both are equally high
    const count = 700, cell = (right - left) / count, density = Array.from({length: count}, (_, i) => Math.exp(-values.n * Math.min(...[.1, .3, .5, .7, .9].map(part => K(left + cell * (i + part))))))
    for (const m of minima) density[Math.floor((m.at[0] - left) / cell)] = Math.exp(-values.n * K(m.at[0]))
    const peak = Math.max(...density)
    g.fillStyle = colour.bayes; g.globalAlpha = .5; g.beginPath(); g.moveTo(0, base)
    density.forEach((value, i) => g.lineTo(width * (i + .5) / count, base - .34 * (base - top) * value / peak))
    g.lineTo(width, base); g.fill(); g.globalAlpha = 1
    g.strokeStyle = colour.soft; g.lineWidth = 1; g.setLineDash([4, 4]); g.beginPath(); g.moveTo(px(barrier), top); g.lineTo(px(barrier), base); g.stroke(); g.setLineDash([])
    g.strokeStyle = colour.ink; g.lineWidth = 2.5; g.lineJoin = "round"; g.beginPath()
    for (let i = 0; i <= 400; i++) { const w = left + (right - left) * i / 400; g.lineTo(px(w), py(K(w))) }
    g.stroke()
    const radius = Math.max(3, .27 * size), frame = Math.min(Math.round(at), well.steps)
    for (const [name, shift] of [["a", -radius], ["b", radius]]) {
      const {kept} = ensembles[name]
      g.fillStyle = colour[name]; g.strokeStyle = colour.paper; g.lineWidth = .8
      for (let i = 0; i < DOTS; i++) {
        const w = kept[frame * DOTS + i]
        if (!(w > left && w < right)) continue
        const x = px(w), y = py(K(w)) + shift
        g.beginPath()
        if (name === "a") g.arc(x, y, radius, 0, 7)
        else { const r = 1.25 * radius; g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.closePath() }
        g.fill(); g.stroke()
      }
    }
    g.textAlign = "center"; g.fillStyle = colour.exact
    for (const m of minima) {
      g.font = `650 ${size}px ${getComputedStyle(canvas).fontFamily}`
      g.fillStyle = colour.exact
      g.beginPath(); g.moveTo(px(m.at[0]), base + .5 * size); g.lineTo(px(m.at[0]) + .45 * size, base + 1.15 * size); g.lineTo(px(m.at[0]) - .45 * size, base + 1.15 * size); g.fill()
      g.fillText(`λ = ${m.lam}`, px(m.at[0]), base + 2.35 * size)
      g.font = `${.9 * size}px ${getComputedStyle(canvas).fontFamily}`
      g.fillStyle = colour.soft
      g.fillText(m.lam === "1/2" ? "sharp" : "flat: degenerate", px(m.at[0]), base + 3.6 * size)
    }
    bars(frame)
  }

  // who is where, in numbers
  const rows = Object.fromEntries([["a", "SGD"], ["b", "Natural gradient"], ["bayes", "Bayes, exact"]].map(([name, text]) => {
    const bar = element("span", {class: `fill ${name}`}), value = element("output", {"aria-live": "off"})
    return [name, {bar, value, node: element("li", {}, element("span", {class: `chip ${name}`, text}), element("span", {class: "meter"}, bar), value)}]
  }))
  const bars = frame => {
    const shares = {bayes: masses[1]}
    for (const name of ["a", "b"]) { const {among, survivors} = ensembles[name]; shares[name] = survivors ? among[frame * 2 + 1] / survivors : NaN }
    for (const [name, share] of Object.entries(shares)) {
      const text = Number.isNaN(share) ? "–" : share > .9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toPrecision(3)} %`
      if (rows[name].value.textContent === text) continue
      rows[name].value.textContent = text
      rows[name].bar.style.width = `${100 * (share || 0)}%`
    }
    canvas.dataset.step = frame
  }

  const restart = () => { simulate("a"); simulate("b"); weigh() }
  const slider = (name, label, [from, to], words, changed) => {
    const place = value => Math.round(300 * Math.log(value / from) / Math.log(to / from)), output = element("output", {})
    const input = element("input", {type: "range", min: 0, max: 300, value: place(values[name]), name, "aria-label": label, oninput: () => {
      values[name] = +(from * (to / from) ** (input.value / 300)).toPrecision(name === "n" ? 2 : 3)
      say()
      changed()
      if (!playing) draw()
    }})
    const say = () => { output.textContent = words(values[name]); input.setAttribute("aria-valuetext", output.textContent); follow() }
    return [element("label", {class: "knob"}, element("span", {text: label}), output, input), say]
  }
  const open = element("a", {class: "open", text: "Open this in the lab"})
  const follow = () => {
    const fields = (prefix, {name, fields}) => Object.entries({rule: name, ...fields}).map(([key, value]) => [prefix + key, value])
    const own = {...well.rules.a, fields: {...well.rules.a.fields, lr: values.lr}}
    const state = Object.fromEntries([["page", "landscape"], ["landscape", "DoubleWell"], ["w0", "1.8"], ["d1", 1], ["d2", 2], ...fields("", own), ...fields("b.", well.rules.b), ["start", well.start.join()], ["steps", well.steps], ["seed", seed], ["bayes.samples", values.n]])
    open.href = address(state).replaceAll("%2C", ",")
  }
  const [rate, sayRate] = slider("lr", "Step size of SGD", [.004, .024], value => `η = ${value}`, () => { simulate("a"); if (at >= well.steps) held = HOLD })
  const [samples, saySamples] = slider("n", "Data that Bayes has seen", [1, 1e6], value => `n = ${value.toLocaleString("en")}`, weigh)

  const play = element("button", {type: "button", class: "pause", "aria-label": "Pause", title: "Pause (space)", onclick: () => toggle()}, icon("pause"))
  const toggle = () => {
    playing = !playing
    play.replaceChildren(icon(playing ? "pause" : "play"))
    play.title = playing ? "Pause (space)" : "Play (space)"
    play.setAttribute("aria-label", playing ? "Pause" : "Play")
    if (playing) { last = performance.now(); requestAnimationFrame(tick) }
  }
  const tick = now => {
    if (!playing || !root.isConnected) return
    const passed = Math.min((now - last) / 1000, .2)
    last = now
    if (at < well.steps) at = Math.min(well.steps, at + passed * (7 + at / 4)) // slow at first, when most happens
    else if ((held += passed) > HOLD) { held = 0; at = 0; seed++; restart(); follow() }
    draw()
    requestAnimationFrame(tick)
  }

  // the ways on
  const LABS = [
    ["landscape", "Landscape", "SGD, natural gradient and Bayes on any polynomial; λ exact, step by step"],
    ["escape", "Escape", "How fast SGD leaves a well: a map, sampled beside exact"],
    ["llc", "Estimate λ", "Chains, their health, and the exact value they should find"],
    ["dln", "Deep linear", "Networks whose λ is known: depth, saddles, plateaus"],
    ["networks", "Networks", "Two optimisers race on digits; λ̂ at the same loss"],
  ]
  const labs = LABS.map(([page, title, words]) => element("li", {}, element("a", {class: "card", href: address({page})}, thumbnail(page), element("h3", {text: title}), element("p", {text: words}))))
  const stories = lessons.map(([name, title], i) => element("li", {}, element("a", {href: address({page: "lessons", lesson: name, step: 1})}, element("span", {class: "number", "aria-hidden": "true", text: i + 1}), element("span", {text: title}))))
  const main = element("main", {},
    element("section", {class: "hero"},
      element("div", {class: "picture"}, canvas, play),
      element("div", {class: "words"},
        element("h1", {text: "Two valleys fit the data equally well. Which one does learning find?"}),
        element("p", {class: "sub", text: "Each dot is a training run. In singular learning theory λ, the learning coefficient, measures the room in a valley: the smaller, the more."}),
        element("p", {class: "head", text: "Share in the flat valley"}),
        element("ul", {class: "rows"}, ...Object.values(rows).map(({node}) => node)),
        rate, samples,
        element("p", {class: "ways"}, open, ...(lessons.length ? [element("a", {class: "go", href: address({page: "lessons", lesson: lessons[0][0], step: 1}), text: "Start with lesson 1"})] : [])))),
    element("section", {}, element("h2", {text: "Labs"}), element("ul", {class: "labs"}, ...labs)),
    element("section", {hidden: !lessons.length}, element("h2", {}, element("a", {href: address({page: "lessons"}), text: "Lessons"})), element("ol", {class: "stories"}, ...stories)))
  root.append(header, main)
  header.append(...looks(root, model, () => { if (ensembles.b) draw() }))
  root.addEventListener("keydown", event => {
    const tag = event.composedPath()[0].tagName
    if (event.key === " " && !["BUTTON", "A", "SUMMARY"].includes(tag) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); toggle() }
  })
  canvas.setAttribute("aria-label", "A landscape with two minima of equal depth, a sharp one with λ = 1/2 and a flat one with λ = 1/4. Dots: SGD (round, blue) and natural gradient (diamonds, orange), moving. Grey: the Bayesian posterior. The shares beside it are the same in numbers.")
  restart()
  sayRate(); saySamples()
  if (calm) { playing = true; at = well.steps; toggle() }
  new ResizeObserver(draw).observe(canvas)
  requestAnimationFrame(now => { last = now; draw(); root.dataset.drawn = 1; if (playing) requestAnimationFrame(tick) })
  return root
}

// small drawings of the labs, in the colours of the page
const thumbnail = page => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  svg.setAttribute("viewBox", "0 0 120 56")
  svg.setAttribute("aria-hidden", "true")
  svg.setAttribute("class", "thumb")
  const add = (name, attributes) => { const node = document.createElementNS("http://www.w3.org/2000/svg", name); for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value); svg.append(node) }
  const path = (d, kind, width = 2, more = {}) => add("path", {d, class: `stroke ${kind}`, "stroke-width": width, ...more})
  const dot = (cx, cy, kind) => add("circle", {cx, cy, r: 2.6, class: `fill ${kind}`})
  if (page === "landscape") {
    path("M6 6 C14 50 20 50 26 40 C36 18 46 8 54 22 C66 48 78 50 92 49 C104 48 110 38 116 10", "ink")
    for (const [x, y, kind] of [[20, 44, "b"], [23, 42, "b"], [76, 47, "a"], [84, 48, "a"], [91, 48, "a"], [98, 47, "a"], [31, 28, "a"]]) dot(x, y, kind)
  } else if (page === "escape") {
    for (let i = 0; i < 10; i++) for (let j = 0; j < 5; j++) {
      const rate = Math.max(0, Math.min(1, (i + 1.4 * j - 5) / 8))
      add("rect", {x: 6 + 11 * i, y: 44 - 10 * j, width: 10.4, height: 9.4, class: "fill a", opacity: .1 + .85 * rate})
    }
    path("M28 54 C44 38 52 28 60 4", "exact", 2, {"stroke-dasharray": "4 3"})
  } else if (page === "llc") {
    path("M6 26 H116", "exact", 2)
    add("path", {d: "M6 50 C20 10 30 34 44 22 S80 24 116 24 L116 30 C90 32 60 34 44 36 S20 50 6 54 Z", class: "fill a", opacity: .25})
    path("M6 52 C18 24 28 38 42 29 S80 28 116 27", "a")
  } else if (page === "dln") {
    path("M6 6 C16 6 18 6 22 6 C27 6 27 20 32 20 L46 20 C51 20 51 31 56 31 L74 31 C79 31 79 40 84 40 L96 40 C102 40 102 50 116 50", "a")
    for (const y of [6, 20, 31, 40, 50]) path(`M6 ${y} H116`, "soft", 1, {"stroke-dasharray": "2 4"})
  } else {
    path("M8 8 C22 40 50 48 116 50", "a")
    path("M8 8 C16 20 30 34 60 38 S100 42 116 42", "b", 2, {"stroke-dasharray": "6 3"})
    path("M8 50 C30 40 50 22 116 16", "exact", 1.6)
  }
  return svg
}
