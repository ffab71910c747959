// A figure of cells that is read and taken without a pointer, too: one link over it, always to the cell pointed at. Arrow keys move, Enter takes.

class Board {
  // model.board: {figure, across, up: {label, values: [{name: text}]}, at: [i, j], told: [[text]]}; `cells`: the page's figures by name
  constructor(model, view, cells) {
    Object.assign(this, {model, view, cells, chosen: null, known: ""})
    this.mark = element("span", {class: "mark-of"})
    this.link = element("a", {class: "over", draggable: "false"}, this.mark)
    this.told = element("p", {class: "told", "aria-live": "polite"})
    const point = event => {
      const box = this.link.getBoundingClientRect(), [n, m] = this.size
      this.choose(Math.floor((event.clientX - box.left) / box.width * n), Math.floor((box.bottom - event.clientY) / box.height * m))
    }
    this.link.addEventListener("pointermove", point)
    this.link.addEventListener("pointerdown", point)
    this.link.addEventListener("keydown", event => {
      const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key]
      if (move) this.choose(this.chosen[0] + move[0], this.chosen[1] + move[1])
      if (event.key === " ") this.link.click()
      if (move || event.key === " ") { event.preventDefault(); event.stopPropagation() }
    })
    this.link.addEventListener("click", event => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return // as any link
      event.preventDefault()
      model.send_msg({open: `?${this.query()}`})
    })
  }

  get size() { return [this.model.board.across.values.length, this.model.board.up.values.length] }

  show() {
    const {figure, across, up, at} = this.model.board, cell = this.cells[figure]
    if (!cell) return
    if (!this.link.isConnected) {
      cell.figure.append(this.link)
      cell.legend.after(this.told)
      const plot = this.view.model.document.get_model_by_name(figure)
      plot.connect(plot.properties.inner_width.change, () => this.place())
      plot.connect(plot.properties.inner_height.change, () => this.place())
      new ResizeObserver(() => this.place()).observe(cell.legend.parentNode) // as it grows it moves the figure
    }
    const known = JSON.stringify([across, up, at])
    if (known !== this.known) this.chosen = at
    this.known = known
    this.place()
    this.choose(...this.chosen)
  }

  // over the figure's frame, wherever its axes leave that
  place() {
    const plot = this.view.child_views.find(({model}) => model.name === this.model.board.figure), inner = plot?.frame?.bbox
    if (!inner?.width) return
    plot.canvas_view.events_el.tabIndex = -1 // one stop for the Tab key, which is the link
    const [own, whole] = [plot.el, this.link.parentNode].map(node => node.getBoundingClientRect())
    Object.assign(this.link.style, {left: `${own.left - whole.left + inner.left}px`, top: `${own.top - whole.top + inner.top}px`, width: `${inner.width}px`, height: `${inner.height}px`})
  }

  choose(i, j) {
    const {across, up, told} = this.model.board, [n, m] = this.size
    i = Math.max(0, Math.min(n - 1, i)); j = Math.max(0, Math.min(m - 1, j))
    this.chosen = [i, j]
    const where = [[across, i], [up, j]].map(([axis, k]) => `${axis.label} = ${short(+Object.values(axis.values[k])[0])}`).join(", ")
    Object.assign(this.mark.style, {left: `${100 * i / n}%`, bottom: `${100 * j / m}%`, width: `${100 / n}%`, height: `${100 / m}%`})
    const text = `${where}: ${told[i][j]}`
    if (this.told.textContent !== text) this.told.textContent = text
    this.link.setAttribute("href", address(this.query()))
    this.link.setAttribute("aria-label", `Map of ${n} by ${m} cells, arrow keys move. Set ${where}`)
    this.link.dataset.chosen = `${i},${j}`
  }

  // the state with the cell's values
  query() {
    const {across, up} = this.model.board, [i, j] = this.chosen, query = new URLSearchParams(this.model.query)
    for (const [name, text] of Object.entries({...across.values[i], ...up.values[j]})) query.set(name, text)
    return query
  }
}
