// Bokeh's figures in the colours of the page.

const LIGHT = {text: "#1d2733", axis: "#5b6672", grid: "#c9d0d7"}
const DARK = {text: "#eef2f6", axis: "#a9b4bf", grid: "#46515c"}
// the figures' colours (Okabe & Ito) and what they become on black
const ON_BLACK = {"#0072b2": "#56b4e9", "#d55e00": "#f08a4b", "#009e73": "#3ccf9f", "#7a7a7a": "#a9b4bf", "#cc79a7": "#e58fc2", "#222222": "#f4f4f4"}

// Bokeh asks the style sheet for every visual property of every glyph at every paint, half of a slider's time; ours sets none
Bokeh.require("core/visuals/visual").VisualProperties.prototype._get_css_value = () => ""
// ... and for the size of the letters around a figure, by which those in em would go; ours are in pixels
const {PlotView} = Bokeh.require("models/plots/plot_canvas")
Object.defineProperty(PlotView.prototype, "base_font_size", {get: () => null, configurable: true})
// Bokeh lays out and paints all figures of a page whenever one of them changes its size or its ticks. Ours stand in the page's own grid and never
// move each other: each lays out itself, and the page leaves them out
Object.assign(PlotView.prototype, {
  compute_layout() {
    if (!this.el.isConnected) return // it is being made, and will hear of its size
    if (!this.layout) this.update_layout()
    this.measure_layout()
    this.update_bbox()
    this._compute_layout()
    this.after_layout()
    this._layout_computed = true
  },
  invalidate_layout() {
    this.update_layout()
    this.compute_layout()
  },
})
// ... and keeps its size to itself: nobody at the server asks for it, and it changes with every label
const {Plot} = Bokeh.require("models/plots/plot"), {setv} = Plot.prototype
Plot.prototype.setv = function (changes, options) {
  return setv.call(this, changes, "inner_width" in changes ? {...options, sync: false} : options)
}
const alone = view => Object.defineProperty(view, "layoutable_views", {
  get: () => Reflect.get(Object.getPrototypeOf(view), "layoutable_views", view).filter(child => !(child instanceof PlotView)),
})

const paintFigure = (figure, dark, scale) => {
  const tone = dark ? DARK : LIGHT, size = `${Math.round(12 * scale)}px`
  for (const axis of [...figure.below, ...figure.left]) axis.setv({axis_label_text_color: tone.text, major_label_text_color: tone.text, axis_line_color: tone.axis,
    major_tick_line_color: tone.axis, axis_label_text_font_size: size, major_label_text_font_size: size}, {sync: false})
  for (const grid of figure.center) if ("grid_line_color" in grid.attributes) grid.setv({grid_line_color: tone.grid}, {sync: false})
  for (const painted of [...figure.renderers.map(renderer => renderer.glyph), ...figure.center.filter(part => part.text_color !== undefined && part.source)]) {
    painted.own ??= Object.fromEntries(["line_color", "fill_color", "text_color"].map(key => [key, painted[key]?.value]).filter(([, value]) => ON_BLACK[value]))
    const type = painted.ownType ??= parseFloat(painted.text_font_size?.value) // in pixels, as it was made
    if (type) painted.setv({text_font_size: {value: `${Math.round(type * scale)}px`}}, {sync: false})
    if (painted.background_fill_color?.value) painted.setv({background_fill_color: {value: dark ? "#14191f" : "#ffffff"}}, {sync: false})
    for (const [key, value] of Object.entries(painted.own)) painted.setv({[key]: {value: dark ? ON_BLACK[value] : value}}, {sync: false})
  }
}

// a narrow figure's ticks: only as many as its labels have room for
const sparse = (figure, width) => {
  for (const axis of figure.below) {
    const {ticker} = axis, wide = 3.6 * parseFloat(axis.major_label_text_font_size || 12)
    if (ticker.type === "BasicTicker") {
      const few = Math.max(2, Math.min(5, Math.floor((width - 70) / (1.2 * wide))))
      if (ticker.desired_num_ticks !== few) ticker.setv({desired_num_ticks: few}, {sync: false})
    }
    if (ticker.type !== "FixedTicker" || !figure.x_range || !ticker.ticks?.length) continue
    if (ticker.ticks !== ticker.thinned) ticker.own = ticker.ticks // new ones from the server
    const ends = [figure.x_range.start, figure.x_range.end], inside = ticker.own.filter(tick => tick >= Math.min(...ends) && tick <= Math.max(...ends))
    const every = Math.max(1, Math.ceil(inside.length * wide / Math.max(width - 70, 60)))
    const last = ticker.own.indexOf(inside[inside.length - 1]), ticks = ticker.own.filter((_, i) => Math.abs(last - i) % every === 0)
    if (!inside.length || ticks.join() === ticker.ticks.join()) continue
    ticker.setv({ticks}, {sync: false})
    ticker.thinned = ticker.ticks
  }
}
