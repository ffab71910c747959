// Recorded pictures with a slider: for what is not simulated in the browser.

(() => {
  const {title, words, across, frames} = JSON.parse(document.getElementById("state").textContent)
  const query = new URLSearchParams(location.search)
  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name)
    for (const [key, value] of Object.entries(attributes)) key === "text" ? node.textContent = value : key.startsWith("on") ? node.addEventListener(key.slice(2), value) : node.setAttribute(key, value)
    node.append(...children)
    return node
  }
  let at = 0, timer = null
  const image = make("img", {class: "show"}), label = make("output", {class: "clock"})
  const go = to => {
    at = Math.max(0, Math.min(frames.length - 1, to))
    image.src = frames[at].image
    image.alt = `${title}: ${frames[at].label}`
    label.textContent = (across ? `${across} = ` : "") + frames[at].label
    scrub.value = at
  }
  const pause = () => { clearInterval(timer); timer = null; play.textContent = "▶" }
  const toggle = () => {
    if (timer) return pause()
    if (at >= frames.length - 1) go(0)
    play.textContent = "❚❚"
    timer = setInterval(() => { go(at + 1); if (at >= frames.length - 1) pause() }, 700)
  }
  const scrub = make("input", {type: "range", class: "scrub", min: 0, max: frames.length - 1, value: 0, step: 1, "aria-label": across || "frame", oninput: () => { pause(); go(+scrub.value) }})
  const play = make("button", {type: "button", class: "play", text: "▶", title: "Play or pause (space)", "aria-label": "Play or pause (space)", onclick: toggle})
  const footer = make("footer", {}, play, scrub, label)
  footer.hidden = frames.length < 2
  const root = make("div", {class: "widget", tabindex: -1}, make("div", {class: "frame"},
    make("header", {}, make("span", {class: "formula", text: title}), make("span", {class: "note", text: words})), make("div", {class: "stage"}, image), footer))
  const system = matchMedia("(prefers-color-scheme: dark)"), wanted = query.get("theme") ?? document.documentElement.dataset.theme
  root.dataset.theme = ["light", "dark"].includes(wanted) ? wanted : system.matches ? "dark" : "light"
  if (query.has("projector")) root.classList.add("projector")
  document.body.append(root)
  document.addEventListener("keydown", event => {
    const act = {" ": toggle, ",": () => { pause(); go(at - 1) }, ".": () => { pause(); go(at + 1) }, Home: () => { pause(); go(0) }}[event.key]
    if (act && !(event.key === " " && event.target.tagName === "BUTTON")) { event.preventDefault(); act() }
  })
  go(0)

})()
