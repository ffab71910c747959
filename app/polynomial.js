// The polynomial in the browser: Q, its derivatives, and from them K, H, G and B Sigma at a point.

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
  if (meta.of === "K") { // K itself: no model, so neither Fisher matrix nor noise
    const [{v, h}] = jets(meta.products, x, y), none = [NaN, NaN, NaN]
    return {K: vx * v, G: none, H: h.map(value => vx * value), S: none}
  }
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
