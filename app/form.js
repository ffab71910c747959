// Small tools and the form: one control a value, from its range.

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

  // fields that changed with others; the others, one of which is in the visitor's hand, stay as they are
  replace(items) {
    for (const item of items) this.root.querySelector(`[name="${item.name}"]`)?.closest(".field").replaceWith(this.field(item))
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
      ...item.choices.map(([value, text, reason]) => element("option", {value, text, selected: value === item.value, disabled: Boolean(reason), title: reason})))
    return element("div", {class: "field choice"}, this.label(item, id), select)
  }

  line(item) {
    const id = `field-${item.name}`
    const input = element("input", {id, name: item.name, title: item.help, value: item.value, spellcheck: "false", onchange: event => this.change(item.name, event.target.value)})
    return element("div", {class: item.name === "text" ? "field wide" : "field choice"}, this.label(item, id), input)
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
