// The landscape lab in the browser: draws the store's arrays into the figures, plays them, and turns controls into messages.
// The server sends arrays once per computation; playing, scrubbing and the pointer cost it nothing.

const FRAMES_A_SECOND = 30
const LATE = {lambda: "", newton: "point", volume: "volume", energy: "energy", finite: "finite"} // what comes after the picture, and with which part of the geometry
const POSTERIOR = ["shares", "ending", "energy", "finite"]
const MOST = ["potential", "map", "shares", "near", "far", "density"] // what shows most, where there is no room for all

const CELLS = {
  potential: {title: "Landscape and trajectories", help: "K(w) = vx (Q(w) − a)² / 2, in nats per sample. Dots are trajectories at the moment shown. Pink strip: curvature above the stability line, ηH > 2. Dashed: the barrier. Triangles: minima with their exact λ."},
  map: {title: "Landscape from above, and trajectories", help: "Level lines of log K, dark where K is small. Dots are trajectories with short tails. Triangles: minima with their exact λ. Move the pointer over the map to see noise and curvature there."},
  density: {title: "Density of w over time", help: "How many trajectories are where, at every moment (log scale). Blue is A, orange is B. Dashed: the noise-free law of approach to a degenerate minimum."},
  far: {title: "Distance to O over time", help: "Median and 10–90 % band of the Euclidean distance (of the first 1,000 trajectories). Dashed: the drift law where there is one."},
  shares: {title: "Who is still left of the barrier", help: "Share per basin among the trajectories that never diverge, on a log axis. The rates, sampled and exact: per step, of those still alive in the left basin, how many leave it, across the barrier or by diverging. Dashed: the sampled rate. Dash-dotted: the share that the Bayesian posterior gives this basin."},
  near: {title: "Distance to the line over time", help: "Median and 10–90 % band, log axis: sticky directions show as a flat band, absorbing ones as a straight decline."},
  ending: {title: "Where they are, over the posterior", help: "Histogram of the ensemble at the moment shown (diverged ones left out, and counted above), over the normalised Bayesian posterior at n samples (grey)."},
  lambda: {title: "λ̂ converging", help: "n·β·(E[L] − L(w*)) from Markov chains tethered at the chosen minimum: running mean and ±2 Monte-Carlo standard errors. Orange: its exact value at this nβ and γ, by quadrature. Green: the exact learning coefficient λ, its limit as nβ grows."},
  noise: {title: "Is noise proportional to curvature?", help: "Hessian H of K, Gauss–Newton = Fisher G, and B·Σ, the covariance of a batch gradient times the batch size. They agree exactly only where Q = a, up to the labels' variance vy; beside a minimum BΣ/(vy H) tends to 1/(2(1 − λ)). Green: they agree within 10 %. Pink: H < 0, which no covariance can be. Move the pointer, or press ← and → here, to read them off."},
  ellipse: {title: "Noise, curvature and Fisher at the pointer", help: "Axes: square roots of |eigenvalues|, each ellipse scaled to its own largest. For one output Σ has rank one: noise lives on a line, along ∇Q. Move the pointer over the map, or press the arrow keys here."},
  newton: {title: "Why λ: the Newton polygon", help: "Dots: the exponents (i, j) of the terms w₁^i w₂^j of Q around the chosen point; of x and y once the steps below have changed coordinates. The diagonal leaves the polygon at (d, d), and λ = 1/(2d) unless the face polynomial there has a real root of high multiplicity."},
  volume: {title: "The volume law that defines λ and m", help: "V(ε): length or area of {K < ε} within 0.3 of the chosen point, by quadrature (dots). Green: c ε^λ (−log ε)^(m−1) with the exact λ and m."},
  energy: {title: "Free energy against n", help: "F = −log of the prior mean of exp(−n K), exact: of the whole box, and of each basin alone (in one dimension). The lower a basin's curve, the more posterior mass it has; where curves cross, Bayes changes its minimum. Try a slope a ≠ 0. Green: λ log n − (m − 1) log log n, shifted to agree at the largest n."},
  finite: {title: "What stands for λ at finite n", help: "Exact, by quadrature: n·E[K] under the posterior; WBIC / log n, the same at β = 1/log n; and n times the Bayes generalisation error averaged over data sets. All tend to λ, with m = 2 only like 1/log n."},
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

  const button = (text, help, onclick, extra = {}) => {
    const node = element("button", {type: "button", title: help, "aria-label": help, onclick, ...extra})
    node.append(ICONS[text] ? icon(text) : text)
    return node
  }
  const story = element("select", {class: "story-choice", title: "Figures of the literature, and what became of their claims", "aria-label": "Preset", onchange: event => { first = true; model.send_msg({preset: event.target.value}) }})
  side.prepend(element("div", {class: "tools"}, story, element("div", {class: "row"},
    button("Surprise me", "Surprise me: another interesting setting", () => { first = true; model.send_msg({action: "surprise"}) }),
    button("New noise", "New noise: same settings, next seed", () => model.send_msg({action: "noise"})),
    button("Reset", "Reset: back to the start (r)", () => reset()))))
  const header = topBar("landscape")

  // player
  const scrub = element("input", {type: "range", min: 0, max: 1, value: 0, class: "scrub", "aria-label": "Time", title: "Drag through the run"})
  const clock = element("output", {class: "clock"})
  const play = button("play", "Play or pause (space)", () => toggle(), {class: "play"})
  const speed = element("select", {class: "speed", title: "Speed of playing", "aria-label": "Speed"}, ...[["0.25", "¼×"], ["0.5", "½×"], ["1", "1×"], ["2", "2×"], ["4", "4×"], ["end", "to the end"]]
    .map(([value, text]) => element("option", {value, text, selected: value === "1"})))
  const player = element("div", {class: "player"},
    button("start", "To the start", () => { pause(); stage.draw(0) }), button("back", "One frame back (,)", () => { pause(); go(-1) }), play,
    button("next", "One frame on (.)", () => { pause(); go(1) }), scrub, clock, speed, saveMenu(model, model.kinds))

  const says = element("p", {class: "says", "aria-live": "polite"})
  const card = element("section", {class: "card", hidden: true})
  const grid = element("div", {class: "grid"})
  const cells = {}
  const named = (new URLSearchParams(window.location.search).get("figures") ?? "").split(",").filter(name => name in CELLS)
  const order = model.widget ? Object.keys(CELLS) : [...new Set([...named, ...Object.keys(CELLS)])] // those that a link names come first
  const adopt = () => { // the figures that are new, at their places
    const children = model.get_child("figures")
    model.names.forEach(([name, dim], i) => {
      if (cells[name]) return
      const {title, help} = CELLS[name]
      const legend = element("div", {class: "legend"})
      const caption = element("figcaption", {}, element("h2", {text: title, "data-help": help, tabindex: 0}), legend)
      const figure = element("figure", {class: `cell ${name}`, "data-name": name, hidden: Boolean(stage.meta && dim && dim !== stage.meta.dim)}, caption, children[i])
      if (name === "noise" || name === "ellipse") figure.append(element("p", {class: "below", "aria-live": "off", tabindex: 0}))
      figure.classList.toggle("waiting-cell", name in LATE)
      cells[name] = {figure, legend, dim, title: caption.firstChild, below: figure.querySelector(".below")}
      const next = order.slice(order.indexOf(name) + 1).find(later => cells[later])
      grid.insertBefore(figure, next ? cells[next].figure : why)
    })
  }
  const why = element("section", {class: "why"}, element("h2", {text: "How λ is found, step by step", "data-help": "Exact, in rational arithmetic: of all real zeros of K in the box together, and step by step for the point chosen under “Estimate λ”."}), ...[].concat(model.get_child("steps")))
  const main = element("main", {}, card, says, player, grid)
  grid.append(why)
  root.append(header, element("div", {class: "body"}, side, main), noticeBoard(model), helpBubble(root))

  const reset = () => { first = true; model.send_msg({action: "reset"}) } // what is another run altogether is played from its start

  // playing
  let playing = false, last = 0, loose = 0, first = true
  const stage = new Stage(view, model.widget, (step, time, meta) => {
    scrub.max = stage.frames - 1
    scrub.value = step
    const rules = RULES.filter(rule => meta.rules[rule]), count = rule => meta.diverged[rule][step]
    const lost = rules.map(rule => `${rules.length > 1 ? `${rule.toUpperCase()} ` : ""}${count(rule).toLocaleString("en")}`)
    const text = `step ${time.toLocaleString("en")} of ${meta.steps[meta.steps.length - 1].toLocaleString("en")}${rules.some(count) ? ` · diverged ${lost.join(", ")} of ${meta.n.toLocaleString("en")}` : ""}`
    if (clock.textContent !== text) clock.textContent = text
  })
  alone(view)
  adopt()
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
  const keys = model.widget ? document : root // in a frame nothing else listens
  keys.addEventListener("keydown", event => {
    const tag = event.composedPath()[0].tagName
    if (event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT" || (tag === "INPUT" && event.composedPath()[0].type !== "range")) return
    const act = {" ": toggle, ",": () => { pause(); go(-1) }, ".": () => { pause(); go(1) }, r: reset, ...(model.widget && tag !== "INPUT" ? {Home: () => { pause(); stage.draw(0) }, End: () => { pause(); stage.draw(stage.frames - 1) }} : {})}[event.key]
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
    const fits = rules.map(([rule, text]) => chip(`${rule} line`, meta.share ? [`${text}: ${meta.share.words[rule]}`, stage.exact?.words[rule]?.startsWith("exact") && stage.exact.words[rule]].filter(Boolean).join(", ") : text))
    show("potential", ...names.map(n => n.cloneNode(true)), meta.steep?.length ? chip("steep", "ηH > 2") : null)
    show("map", ...names.map(n => n.cloneNode(true)))
    show("density", ...names.map(n => n.cloneNode(true)), meta.theory?.length ? chip("exact dash", meta.theory[0].name) : null)
    show("far", ...names.map(n => n.cloneNode(true)), meta.far?.theory?.length ? chip("exact dash", meta.far.theory[0].name) : null)
    const flat = RULES.some(rule => { const band = stage.get(`near-${rule}`); return band && stage.row(`near-${rule}`, 2).every(value => value === 0) })
    show("near", ...names.map(n => n.cloneNode(true)), flat && element("span", {class: "words", text: "0 throughout: below the axis"}))
    show("shares", ...fits, meta.share?.bayes.some(Boolean) && chip("bayes dash", `Bayes ${meta.share.bayes.map(mass => (100 * mass).toPrecision(3)).join(" | ")} %`))
    show("ending", ...names.map(n => n.cloneNode(true)), RULES.some(rule => stage.exact?.get(`law-${rule}`)) && chip("ink dots", "exact law"), chip("bayes", meta.bayes))
    if (cells.near && meta.near) cells.near.title.textContent = meta.near.title
    if (cells.far && meta.far) cells.far.title.textContent = meta.far.title
    if (cells.shares && meta.share) cells.shares.title.textContent = meta.share.title
  }
  const pointed = () => { // noise and curvature at the pointer, and where they are proportional
    const {meta, pointer, proportional: found} = stage
    if (!meta || !pointer) return
    const words = stage.at(...pointer).map(text => element("span", {class: "words", text: text.replace(/-(?=\d)/g, "−")}))
    const kinds = [chip("h line", "H"), chip("bayes line", "BΣ"), chip("g dash", "G")]
    const bands = [found?.within.length && chip("exact", "within 10 %"), found?.negative.length && chip("steep", "H < 0")]
    legend(meta.dim === 1 ? "noise" : "ellipse", [...kinds, ...bands, ...words])
    for (const {below} of [cells.noise, cells.ellipse].filter(Boolean)) if (below.textContent !== (found?.words ?? "")) below.textContent = found?.words ?? ""
  }
  const fresh = () => {
    const before = stage.meta?.dim
    if (!stage.spread()) return
    for (const cell of Object.values(cells)) cell.figure.hidden = cell.dim && cell.dim !== stage.meta.dim
    if (before !== stage.meta.dim) fit()
    legends()
    mature()
    if (stage.meta.dim === 2 || !stage.meta.draft) pointed() // words cost the browser a layout
    tell()
    if (!stage.meta.draft) remember(stage.meta.query)
    root.dataset.drawn = stage.meta.drawn
    root.dataset.draft = stage.meta.draft
    if (wanted === null || answers(stage.meta.query, wanted)) { wanted = null; settle() }
    root.dataset.law = stage.exact?.complete ? stage.exact.key : ""
    // the next picture is sent once this one is on the screen
    requestAnimationFrame(() => setTimeout(() => model.send_msg({drawn: stage.meta.drawn})))
    if (first) {
      first = false
      const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches
      stage.draw(still ? stage.frames - 1 : 0)
      if (!still && !playing) toggle()
    }
  }
  // another run that a page around the frame has asked for is played; another posterior of the same run is not
  const runOf = query => [...new URLSearchParams(query)].filter(([name]) => !FRAME.includes(name) && !/^(bayes|llc)\./.test(name)).map(String).sort().join()
  let asked = runOf(window.location.search), wanted = null
  root.addEventListener("opened", ({detail}) => {
    const run = runOf(detail)
    first ||= run !== asked
    asked = run
    wanted = detail
    proven = guessed = null
    ripe = {}
    for (const name of Object.keys(LATE)) cells[name]?.figure.classList.add("waiting-cell")
  })
  // what comes after the picture is dimmed while it is that of another family
  let proven = null, guessed = null, ripe = {}
  const mature = () => {
    const ground = stage.meta?.ground, geometry = proven?.ground === ground && proven
    for (const [name, part] of Object.entries(LATE)) {
      if (part ? geometry?.complete || geometry?.parts?.includes(part) : guessed?.ground === ground) ripe[name] = ground
      cells[name]?.figure.classList.toggle("waiting-cell", ripe[name] !== ground)
    }
    if (geometry?.parts?.includes("point")) ripe.why = ground
    why.classList.toggle("stale", ripe.why !== ground)
  }
  const estimated = () => {
    const meta = stage.estimate()
    if (!meta) return
    guessed = meta
    mature()
    legend("lambda", [meta.words && chip("a line", meta.words), meta.nbeta == null ? null : chip("b dash", meta.nbetaWords), meta.exact == null ? null : chip("exact line", meta.exactWords),
      meta.reason && element("span", {class: "words", text: meta.reason})])
    root.dataset.estimated = meta.drawn
  }
  // a sentence on the posterior belongs to the figures that show it
  let posterior = true
  const tell = () => {
    const text = (stage.meta?.says ?? []).filter(([, bayes]) => !bayes || posterior).map(([text]) => text).join(" ")
    if (says.textContent !== text) says.textContent = text
  }
  const fit = () => {
    posterior = POSTERIOR.some(name => cells[name] && getComputedStyle(cells[name].figure).display !== "none")
    tell()
    const height = heightOf(root, main, grid, MOST)
    stage.height(height, Object.fromEntries(Object.entries(cells).map(([name, {figure}]) => [name, figure.clientWidth])))
  }
  const watcher = new ResizeObserver(fit)
  for (const node of [root, ...(model.widget ? [says, ...grid.querySelectorAll("figcaption")] : [])]) watcher.observe(node) // in a frame there is no room to spare
  const reasoned = () => {
    const meta = stage.geometry()
    if (!meta) return
    proven = meta
    pointed()
    mature()
    if (!meta.complete && !meta.parts.includes("volume")) return
    legend("newton", [meta.result && chip("exact", `${meta.point}: ${meta.result}`), meta.polygon && chip("b", meta.polygon), meta.reason && element("span", {class: "words", text: meta.reason})])
    legend("volume", [meta.fit && chip("a", meta.fit), meta.level && element("span", {class: "words", text: meta.level}), meta.result && chip("exact line", `${meta.point}: ${meta.result}`)])
    if (!meta.complete && !meta.parts.includes("energy")) return
    const lines = (meta.energy?.lines ?? []).map((text, i, all) => all.length === 3 && i ? ["left valley", "right valley"][i - 1] : text), kinds = ["a line", "b dash", "steep dash", "bayes dots"]
    legend("energy", [...lines.map((text, i) => chip(kinds[i], text)), meta.energy?.law && chip("exact dash", meta.energy.law), meta.energy?.crossing && element("span", {class: "words", text: meta.energy.crossing})])
    const {finite} = meta
    if (meta.complete) legend("finite", finite ? [chip("a line", "n E[K]"), chip("b line", "WBIC / log n"), finite.without ? null : chip("steep line", "n × generalisation error"), finite.biasWords && chip("exact dash", finite.biasWords),
      chip("exact line", finite.limitWords), finite.without && element("span", {class: "words", text: finite.without})] : [element("span", {class: "words", text: "for fresh data and a = 0"})])
    if (meta.complete) root.dataset.geometry = meta.point
  }
  const paint = () => {
    stage.paint(root.dataset.theme === "dark", root.classList.contains("projector") ? 1.4 : 1)
    if (stage.meta?.dim === 1) stage.spread() // the density is an image of the theme's colours
  }
  const showControls = () => controls.show(model.controls.groups)
  const showStory = () => {
    const {choices, chosen, cite, claim, verdict, ok, note, figure} = model.story
    story.replaceChildren(...choices.map(([value, text]) => element("option", {value, text, selected: value === chosen})))
    card.hidden = !claim
    if (!claim) return fit()
    card.className = `card ${ok == null ? "" : ok ? "holds" : "fails"} ${figure && !model.widget ? "pictured" : ""}`
    const said = verdict == null ? "Computing …" : ok == null ? "Cannot be told. " : ok ? "✓ Holds in this run. " : "✗ Does not hold in this run. "
    if (model.widget) {
      const open = card.querySelector("details")?.open || Boolean(figure && !card.querySelector("img")) // what is new in it is shown
      return card.replaceChildren(element("details", {open, ontoggle: fit}, element("summary", {}, element("b", {text: verdict == null ? said : said.replace(/\. $/, "")}), element("span", {class: "cite", text: `· ${cite}`})),
        element("p", {class: "claim", text: `“${claim}”`}), element("p", {class: "verdict", text: verdict ?? ""}), ...(note ? [element("p", {class: "note", text: note})] : []),
        ...(figure ? [element("div", {class: "whole"}, element("img", {src: figure, alt: `${verdict}`}))] : []))), fit()
    }
    card.replaceChildren(element("p", {class: "claim"}, element("span", {class: "cite", text: cite}), element("span", {text: `“${claim}”`})),
      element("p", {class: "verdict"}, element("b", {text: said}), element("span", {text: verdict ?? ""})),
      ...(note ? [element("p", {class: "note", text: note})] : []),
      ...(figure ? [element("details", {class: "whole", open: true, ontoggle: () => fit()}, element("summary", {text: "All runs of this preset in one figure (below: one of them)"}), element("img", {src: figure, alt: `${verdict}`}))] : []))
    fit()
  }
  stage.model("law").properties.data.change.connect(() => { if (stage.law()) { stage.draw(stage.step); legends() } root.dataset.law = stage.exact?.complete ? stage.exact.key : "" })
  const store = stage.model("store"), estimate = stage.model("estimate")
  store.properties.data.change.connect(fresh)
  stage.model("geometry").properties.data.change.connect(reasoned)
  estimate.properties.data.change.connect(estimated)
  model.on("controls", showControls)
  model.on("story", showStory)

  // the pointer on a figure: Bokeh reports it in data coordinates
  const point = (x, y) => { stage.pointer = [x, y]; stage.noise(); pointed() }
  const followed = new Set()
  const follow = () => {
    for (const [name, dim] of [["map", 2], ["potential", 1], ["noise", 1]]) {
      if (!cells[name] || followed.has(name)) continue
      followed.add(name)
      stage.model(name).on_event("mousemove", event => { if (stage.meta?.dim === dim && Number.isFinite(event.x)) point(event.x, dim === 1 ? 0 : event.y) })
      const title = cells[name === "map" ? "ellipse" : name]?.title // and from the keyboard, a hundredth of the box at a time
      if (name !== "potential") title?.addEventListener("keydown", event => {
        const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key]
        if (!move || stage.meta?.dim !== dim) return
        event.preventDefault()
        point(...move.map((by, axis) => { const [low, high] = stage.meta.box[axis] ?? [0, 0]; return Math.max(low, Math.min(high, (stage.pointer[axis] ?? 0) + by * (high - low) / 100)) }))
      })
    }
  }
  follow()
  model.on("figures", () => {
    adopt()
    follow()
    paint()
    fit()
    fresh()
    estimated()
    reasoned()
  })

  header.append(...looks(root, model, paint, fit))
  showControls()
  showStory()
  fresh()
  estimated()
  reasoned()
  model.on("after_render", () => {
    paint()
    fresh()
    worded(formula, i => model.tex[i] ?? "formula")
    worded(why, () => "the same as a formula")
  })
  return root
}
