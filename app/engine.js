// The mathematics of a run in the browser: the kernels of dynamics/ and landscapes/polynomial.py in plain JavaScript, in the same order of
// operations, so that a seed gives the same numbers as in Python (tests/test_standalone.py). No page is touched here.
//
// A run: {dim, of, products, rule: {name, ...fields}, data, start: {low, high, at}, seed, n, steps}; weights are NaN where diverged.

const Engine = (() => {
  // 64-bit integers are pairs of 32 bits (high, low). S: the state of the open stream, two words; then the last word drawn; then a product.
  const S = new Int32Array(8), H = 4, L = 5, PH = 6, PL = 7
  const TO_UNIT = 2 ** -53, GH = 0x9E3779B9 | 0, GL = 0x7F4A7C15 | 0, M1H = 0xBF58476D | 0, M1L = 0x1CE4E5B9 | 0, M2H = 0x94D049BB | 0, M2L = 0x133111EB | 0
  const DIVERGED = 1e3 // as in dynamics/rule.py
  let X, F, R // the ziggurat: right edges of its layers, heights there; from Python, as Math.exp may differ in the last bit

  const doubles = text => new Float64Array(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer)
  const setup = ({x, f}) => { X = doubles(x); F = doubles(f); R = X[1] }

  const times = (ah, al, bh, bl) => { // the low 64 bits of a product
    const a0 = al & 0xffff, a1 = al >>> 16, b0 = bl & 0xffff, b1 = bl >>> 16
    const low = a0 * b0, m1 = a1 * b0 + (low >>> 16), m2 = a0 * b1 + (m1 & 0xffff)
    S[PL] = Math.imul(al, bl)
    S[PH] = a1 * b1 + Math.floor(m1 / 65536) + Math.floor(m2 / 65536) + Math.imul(al, bh) + Math.imul(ah, bl) // ToInt32 wraps
  }
  const fold = k => { // x ^= x >> k of the last product, 0 < k < 32
    const h = S[PH]
    S[PL] ^= (S[PL] >>> k) | (h << (32 - k))
    S[PH] = h ^ (h >>> k)
  }
  const mix = (h, l) => { // splitmix64's finaliser
    S[PH] = h; S[PL] = l
    fold(30); times(S[PH], S[PL], M1H, M1L)
    fold(27); times(S[PH], S[PL], M2H, M2L)
    fold(31)
  }
  // the stream of a trajectory; the third word is the key of its permutations
  const key = new Int32Array(2)
  const open = (seed, index) => {
    const sum = (seed >>> 0) + (GL >>> 0)
    mix((Math.floor(seed / 4294967296) + GH + (sum > 4294967295 ? 1 : 0)) | 0, sum | 0)
    const h = S[PH], l = S[PL]
    times(0, index | 0, GH, GL)
    mix(h ^ S[PH], l ^ S[PL])
    let bh = S[PH], bl = S[PL]
    for (let word = 0; word < 3; word++) {
      const low = (bl >>> 0) + (GL >>> 0)
      bh = (bh + GH + (low > 4294967295 ? 1 : 0)) | 0; bl = low | 0
      mix(bh, bl)
      if (word < 2) { S[2 * word] = S[PH]; S[2 * word + 1] = S[PL] } else { key[0] = S[PH]; key[1] = S[PL] }
    }
  }

  const word = () => { // xoroshiro128++
    const ah = S[0], al = S[1], bh = S[2], bl = S[3]
    const low = (al >>> 0) + (bl >>> 0), sl = low | 0, sh = (ah + bh + (low > 4294967295 ? 1 : 0)) | 0
    const out = (((sl << 17) | (sh >>> 15)) >>> 0) + (al >>> 0)
    S[L] = out
    S[H] = ((sh << 17) | (sl >>> 15)) + ah + (out > 4294967295 ? 1 : 0)
    const ch = bh ^ ah, cl = bl ^ al
    S[0] = ((al << 17) | (ah >>> 15)) ^ ch ^ ((ch << 21) | (cl >>> 11))
    S[1] = ((ah << 17) | (al >>> 15)) ^ cl ^ (cl << 21)
    S[2] = (ch << 28) | (cl >>> 4)
    S[3] = (cl << 28) | (ch >>> 4)
  }
  const uniform = () => { word(); return ((S[H] >>> 0) * 2097152 + (S[L] >>> 11)) * TO_UNIT }
  const exponential = () => -Math.log(1 - uniform())
  const normal = () => {
    for (;;) {
      word()
      const layer = S[L] & 255
      const x = (S[H] * 4194304 + (S[L] >>> 10)) * TO_UNIT * X[layer]
      if (Math.abs(x) < X[layer + 1]) return x
      if (layer === 0) { // beyond the base: Marsaglia's tail
        for (;;) {
          const a = exponential(), b = exponential()
          if (2 * b > (a / R) * (a / R)) return x < 0 || Object.is(x, -0) ? -(R + a / R) : R + a / R
        }
      }
      if (F[layer] + uniform() * (F[layer + 1] - F[layer]) < Math.exp(-0.5 * x * x)) return x
    }
  }
  const chi2 = (d, c) => { // degrees = 2 d + 2/3; d = 0 stands for one degree
    if (d === 0) { const x = normal(); return x * x }
    for (;;) {
      const x = normal(), u = uniform(), b = 1 + c * x, v = b * (b * b)
      if (v > 0 && (0.0331 * x * x * x * x < u || Math.log(1 - u) < 0.5 * x * x + d * (1 - v + Math.log(v)))) return 2 * d * v
    }
  }
  const stable = a => { // positive stable, Kanter 1975
    const u = uniform(), e = exponential(), angle = Math.PI * (1 - u)
    return Math.sin(a * angle) / Math.sin(angle) ** (1 / a) * (Math.sin((1 - a) * angle) / e) ** ((1 - a) / a)
  }

  const below = (kh, kl, x, limit) => { // a hash of (key, x) in 0 ... limit - 1
    times(kh, kl ^ x, GH, GL)
    fold(29); times(S[PH], S[PL], M1H, M1L)
    return Math.floor((S[PH] >>> 0) * limit / 4294967296)
  }
  const permuted = (kh, kl, position, n, bits) => { // entry `position` of a permutation of 0 ... n - 1
    const rounds = bits === 1 ? 12 : bits < 4 ? 4 : 3, a = 2 ** bits, b = Math.floor((n + a - 1) / a)
    let x = position
    for (;;) {
      let left = x & (a - 1), right = x >> bits, h = kh, l = kl
      const turn = () => { const old = h; h = (h << 13) | (l >>> 19); l = (l << 13) | (old >>> 19) }
      for (let round = 0; round < rounds; round++) {
        left = (left + below(h, l, right, a)) & (a - 1); turn()
        right += below(h, l, left, b); turn()
        if (right >= b) right -= b
      }
      x = (right << bits) | left
      if (x < n) return x
    }
  }

  // The polynomial: O[0 .. 2] takes (Q_k, dQ_k/dw1, dQ_k/dw2), or (value, g1, g2) of the potential
  const O = new Float64Array(3)
  const isRoot = ({terms}) => terms.length <= 2 && terms.every(([c, i, j]) => j === 0 && (i === 0 || (i === 1 && c === 1))) && terms.some(([, i]) => i === 1)
  const power = (base, exponent) => { let value = 1; for (let i = 0; i < exponent; i++) value *= base; return value }

  const evaluator = ({products, dim, of}) => {
    const own = products.map(({scale, factors}) => ({scale, factors: factors.filter(factor => factor.power > 0)}))
    if (of === "Q" && dim === 1 && own.length === 1 && own[0].factors.every(isRoot)) {
      const {scale, factors} = own[0]
      const at = Float64Array.from(factors, ({terms}) => -terms.reduce((sum, [c, i]) => sum + (i === 0 ? c : 0), 0)), degree = Int32Array.from(factors, ({power}) => power)
      return (k, w) => {
        let low = scale, product = 1, slope = 0
        for (let f = 0; f < at.length; f++) {
          const u = w - at[f], d = degree[f]
          for (let i = 1; i < d; i++) low *= u
          slope = slope * u + d * product
          product *= u
        }
        O[0] = low * product; O[1] = low * slope; O[2] = 0
      }
    }
    const outputs = own.map(({scale, factors}) => ({scale, factors: factors.map(({power, terms}) => ({power, terms: Float64Array.from(terms.flat())}))}))
    return (k, w1, w2) => {
      const {scale, factors} = outputs[k]
      let low = scale, product = 1, slope1 = 0, slope2 = 0
      for (const {power: d, terms} of factors) {
        let u = 0, du1 = 0, du2 = 0
        for (let t = 0; t < terms.length; t += 3) {
          const c = terms[t], i = terms[t + 1], j = terms[t + 2], a = power(w1, i - 1), b = power(w2, j - 1)
          const x = i ? a * w1 : 1, y = j ? b * w2 : 1
          du1 += c * i * a * y
          du2 += c * j * b * x
          u += c * x * y
        }
        low *= power(u, d - 1)
        slope1 = slope1 * u + d * product * du1
        slope2 = slope2 * u + d * product * du2
        product *= u
      }
      O[0] = low * product; O[1] = low * slope1; O[2] = low * slope2
    }
  }

  // What the rules share: the potential, batches, and the noise shaped like theirs
  const model = run => {
    const {data, dim} = run, evaluate = evaluator(run), outputs = run.products.length, whole = run.of !== "Q"
    const moments = Float64Array.from(data.moments ?? [data.vx, ...run.products.map(() => 0)]), means = moments.slice()
    const potential = (w1, w2) => {
      if (whole) { evaluate(0, w1, w2); O[0] *= moments[0]; O[1] *= moments[0]; O[2] *= moments[0]; return }
      let value = 0, g1 = 0, g2 = 0
      for (let k = 0; k < outputs; k++) {
        evaluate(k, w1, w2)
        const r = O[0] - data.slope, pull = moments[0] * r - moments[1 + k]
        value += 0.5 * moments[0] * r * r - moments[1 + k] * r
        g1 += pull * O[1]; g2 += pull * O[2]
      }
      O[0] = value; O[1] = g1; O[2] = g2
    }
    const batches = batch => { // a function that draws the means (S_xx, S_xe_1, ..)/B of the batch at this step
      if (data.size) {
        const {size, xx, xe} = data, bits = Math.max(1, Math.floor(Math.log2(size) / 2)), steps = Math.ceil(size / batch)
        return step => {
          const epoch = Math.floor(step / steps), first = (step % steps) * batch, last = Math.min(first + batch, size)
          times(0, epoch | 0, 0xA0761D64 | 0, 0x78BD642F | 0)
          const low = (key[1] >>> 0) + (S[PL] >>> 0), kh = (key[0] + S[PH] + (low > 4294967295 ? 1 : 0)) | 0, kl = low | 0
          means.fill(0)
          for (let position = first; position < last; position++) {
            const index = permuted(kh, kl, position, size, bits)
            means[0] += xx[index]
            for (let k = 1; k < means.length; k++) means[k] += xe[k - 1][index]
          }
          for (let k = 0; k < means.length; k++) means[k] /= last - first
        }
      }
      const d = batch > 1 ? 0.5 * batch - 1 / 3 : 0, c = d ? 1 / Math.sqrt(9 * d) : 0, inputs = data.vx / batch, noise = Math.sqrt(data.vy / batch)
      return () => {
        means[0] = inputs * chi2(d, c)
        const scale = noise * Math.sqrt(means[0])
        for (let k = 1; k < means.length; k++) means[k] = scale * normal()
      }
    }
    const batchGradient = (w1, w2) => {
      let g1 = 0, g2 = 0
      for (let k = 0; k < outputs; k++) {
        evaluate(k, w1, w2)
        const r = means[0] * (O[0] - data.slope) - means[1 + k]
        g1 += r * O[1]; g2 += r * O[2]
      }
      O[1] = g1; O[2] = g2
    }
    const thinned = batch => (data.size ? Math.max(data.size - batch, 0) / Math.max(data.size - 1, 1) : 1) / batch
    const N = new Float64Array(4) // grad K, and a draw of N(0, Sigma)
    const diffusion = (thin, w1, w2) => {
      if (outputs === 1) {
        evaluate(0, w1, w2)
        const r = O[0] - data.slope, pull = moments[0] * r - moments[1], a = O[1], b = O[2]
        const z = normal() * Math.sqrt(thin * data.vx * (data.vy + 2 * data.vx * r * r))
        N[0] = pull * a; N[1] = pull * b; N[2] = z * a; N[3] = z * b
        return
      }
      const inputs = normal() * (Math.sqrt(2 * thin) * data.vx), labels = Math.sqrt(thin * data.vx * data.vy)
      N.fill(0)
      for (let k = 0; k < outputs; k++) {
        evaluate(k, w1, w2)
        const r = O[0] - data.slope, pull = moments[0] * r - moments[1 + k], a = O[1], b = O[2], z = labels * normal() + inputs * r
        N[0] += pull * a; N[1] += pull * b; N[2] += z * a; N[3] += z * b
      }
    }
    return {dim, data, outputs, moments, means, evaluate, potential, batches, batchGradient, thinned, diffusion, N}
  }

  const heat = rule => rule.noise === "isotropic" ? Math.sqrt(2 * rule.temperature / rule.lr) : -1
  const alive = (w1, w2) => Math.abs(w1) < DIVERGED && Math.abs(w2) < DIVERGED

  // One factory a rule: advance(s, steps, first) moves s = [w1, w2, memory 1, memory 2] in place; false once it has diverged
  const RULES = {
    GD: ({lr, momentum}, {potential}) => (s, steps) => {
      let [w1, w2, v1, v2] = s
      for (let t = 0; t < steps; t++) {
        potential(w1, w2)
        v1 = momentum * v1 - lr * O[1]; v2 = momentum * v2 - lr * O[2]
        w1 += v1; w2 += v2
        if (!alive(w1, w2)) return false
      }
      s[0] = w1; s[1] = w2; s[2] = v1; s[3] = v2
      return true
    },
    SGD: (rule, {dim, batches, batchGradient, potential}) => {
      const {lr, batch, momentum} = rule, warmth = heat(rule), draw = batches(batch)
      return (s, steps, first) => {
        let [w1, w2, v1, v2] = s
        for (let t = 0; t < steps; t++) {
          let g1, g2
          if (warmth < 0) { draw(first + t); batchGradient(w1, w2); g1 = O[1]; g2 = O[2] }
          else {
            potential(w1, w2)
            g1 = O[1] + warmth * normal()
            g2 = O[2] + (dim === 2 ? warmth * normal() : 0)
          }
          v1 = momentum * v1 - lr * g1; v2 = momentum * v2 - lr * g2
          w1 += v1; w2 += v2
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2; s[2] = v1; s[3] = v2
        return true
      }
    },
    NGD: (rule, {dim, data, outputs, means, evaluate, batches}) => {
      const {lr, batch, damping, momentum} = rule, warmth = heat(rule), draw = batches(batch), smoothing = rule.alpha / dim, {slope, vx} = data
      return (s, steps, first) => {
        let [w1, w2, v1, v2] = s, h1 = 0, h2 = 0
        for (let t = 0; t < steps; t++) {
          if (warmth < 0) draw(first + t)
          else { h1 = warmth * normal(); h2 = dim === 2 ? warmth * normal() : 0 }
          let g1 = 0, g2 = 0, trace = 0
          for (let k = 0; k < outputs; k++) {
            evaluate(k, w1, w2)
            const a = O[1], b = O[2], r = means[0] * (O[0] - slope) - means[1 + k]
            g1 += r * a; g2 += r * b
            trace += vx * (a * a + b * b)
          }
          const rho = Math.max(smoothing * trace, damping)
          let x1 = rho * (g1 + h1), x2 = rho * (g2 + h2), minors = 0
          if (outputs > 1 || h1 !== 0 || h2 !== 0) { // see natural() in dynamics/ngd.py
            for (let k = 0; k < outputs; k++) {
              evaluate(k, w1, w2)
              const a = O[1], b = O[2]
              let across = b * h1 - a * h2
              for (let j = 0; j < outputs; j++) {
                evaluate(j, w1, w2)
                const minor = b * O[1] - a * O[2]
                across += (means[0] * (O[0] - slope) - means[1 + j]) * minor
                minors += 0.5 * ((vx * minor) * (vx * minor))
              }
              x1 += vx * across * b; x2 -= vx * across * a
            }
          }
          const det = rho * (rho + trace) + minors
          v1 = momentum * v1 - lr * (x1 / det); v2 = momentum * v2 - lr * (x2 / det)
          w1 += v1; w2 += v2
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2; s[2] = v1; s[3] = v2
        return true
      }
    },
    Langevin: ({eps, nbeta, gamma, batch}, {dim, batches, batchGradient, potential}) => {
      const half = 0.5 * eps, noise = Math.sqrt(eps), draw = batches(Math.max(batch, 1))
      return (s, steps, first) => {
        let [w1, w2, c1, c2] = s
        for (let t = 0; t < steps; t++) {
          if (batch) { draw(first + t); batchGradient(w1, w2) } else potential(w1, w2)
          const g1 = O[1], g2 = O[2], z1 = normal(), z2 = dim === 2 ? normal() : 0
          w1 += noise * z1 - half * (nbeta * g1 + gamma * (w1 - c1))
          w2 += noise * z2 - half * (nbeta * g2 + gamma * (w2 - c2))
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2
        return true
      }
    },
    MALA: ({eps, nbeta, gamma}, {dim, potential}) => {
      const noise = Math.sqrt(eps), E = new Float64Array(3)
      const energy = (w1, w2, d1, d2) => {
        potential(w1, w2)
        E[0] = nbeta * O[0] + 0.5 * gamma * (d1 * d1 + d2 * d2); E[1] = nbeta * O[1] + gamma * d1; E[2] = nbeta * O[2] + gamma * d2
      }
      return (s, steps) => {
        let [w1, w2, c1, c2] = s
        energy(w1, w2, w1 - c1, w2 - c2)
        let [u, g1, g2] = E
        for (let t = 0; t < steps; t++) {
          const z1 = normal(), z2 = dim === 2 ? normal() : 0
          const p1 = w1 - 0.5 * eps * g1 + noise * z1, p2 = w2 - 0.5 * eps * g2 + noise * z2, patience = exponential()
          if (!alive(p1, p2)) continue
          energy(p1, p2, p1 - c1, p2 - c2)
          const v = E[0], f1 = E[1], f2 = E[2], b1 = w1 - p1 + 0.5 * eps * f1, b2 = w2 - p2 + 0.5 * eps * f2
          const gain = u - v + 0.5 * (z1 * z1 + z2 * z2) - (b1 * b1 + b2 * b2) / (2 * eps)
          if (-patience < gain) { w1 = p1; w2 = p2; u = v; g1 = f1; g2 = f2 }
        }
        s[0] = w1; s[1] = w2
        return alive(w1, w2)
      }
    },
    SDE: ({lr, batch, substeps}, {diffusion, thinned, N}) => {
      const drift = lr / substeps, noise = lr / Math.sqrt(substeps), thin = thinned(batch)
      return (s, steps) => {
        let [w1, w2] = s
        for (let t = 0; t < steps; t++) {
          for (let i = 0; i < substeps; i++) {
            diffusion(thin, w1, w2)
            w1 += noise * N[2] - drift * N[0]; w2 += noise * N[3] - drift * N[1]
          }
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2
        return true
      }
    },
    UnderdampedSDE: ({lr, batch, momentum, substeps}, {diffusion, thinned, N}) => {
      const h = 1 / substeps, keep = 1 - h * (1 - momentum), drift = h * lr, noise = Math.sqrt(h) * lr, thin = thinned(batch)
      return (s, steps) => {
        let [w1, w2, u1, u2] = s
        for (let t = 0; t < steps; t++) {
          for (let i = 0; i < substeps; i++) {
            diffusion(thin, w1, w2)
            u1 = keep * u1 - drift * N[0] + noise * N[2]; u2 = keep * u2 - drift * N[1] + noise * N[3]
            w1 += h * u1; w2 += h * u2
          }
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2; s[2] = u1; s[3] = u2
        return true
      }
    },
    HeavyTailedSGD: (rule, {dim, potential, diffusion, thinned, N}) => {
      const {lr, batch} = rule, warmth = heat(rule), thin = thinned(batch), index = 0.5 * rule.alpha
      return (s, steps) => {
        let [w1, w2] = s
        for (let t = 0; t < steps; t++) {
          if (warmth < 0) diffusion(thin, w1, w2)
          else {
            potential(w1, w2)
            N[0] = O[1]; N[1] = O[2]
            N[2] = warmth * normal(); N[3] = dim === 2 ? warmth * normal() : 0
          }
          const a = Math.sqrt(stable(index))
          w1 -= lr * (N[0] + a * N[2]); w2 -= lr * (N[1] + a * N[3])
          if (!alive(w1, w2)) return false
        }
        s[0] = w1; s[1] = w2
        return true
      }
    },
  }
  const TETHERED = ["Langevin", "MALA"] // their memory is where a trajectory started

  const FRAMES = 200
  const BINS = 120

  // Many trajectories, one after the other, as far as there is time: the picture sharpens while it is looked at.
  // view: {axis, low, high} of the histogram, barriers, kept (how many trajectories are kept whole)
  class Ensemble {
    constructor(run, view) {
      this.run = run; this.view = view
      const {steps, dim} = run, every = Math.max(1, Math.ceil(steps / FRAMES)), frames = 1 + Math.ceil(steps / every)
      this.steps = Array.from({length: frames}, (_, j) => Math.min(j * every, steps))
      this.done = 0; this.frame = 0
      this.kept = new Float32Array(frames * view.kept * dim) // (frames, kept, dim)
      this.counts = new Uint32Array(frames * BINS)
      this.among = new Uint32Array(frames * (view.barriers.length + 1)) // of those that never diverge
      this.lost = new Uint32Array(frames)
      this.survivors = 0
      this.path = new Float64Array(frames * 2) // of the trajectory at work
      this.s = new Float64Array(4)
      this.S = new Int32Array(4)
      this.key = new Int32Array(2)
      this.advance = RULES[run.rule.name](run.rule, model(run))
    }

    get over() { return this.done >= this.run.n }

    begin() {
      const {seed, start, dim, rule} = this.run, {s} = this
      open(seed, this.done)
      s.fill(0)
      for (let axis = 0; axis < dim; axis++) s[axis] = start.at ? start.low[axis] : start.low[axis] + uniform() * (start.high[axis] - start.low[axis])
      if (TETHERED.includes(rule.name)) { s[2] = s[0]; s[3] = s[1] }
      this.path[0] = s[0]; this.path[1] = s[1]
      this.frame = 1
    }

    work(until) { // until this time of performance.now(); a trajectory may be left half-way
      const {steps, s, path} = this, frames = steps.length
      S.set(this.S); key.set(this.key)
      do {
        if (this.over) break
        if (this.frame === 0) this.begin()
        for (let clock = 0; this.frame < frames; this.frame++) {
          const from = steps[this.frame - 1], count = steps[this.frame] - from
          if (!this.advance(s, count, from)) { path.fill(NaN, 2 * this.frame); this.frame = frames; break }
          path[2 * this.frame] = s[0]; path[2 * this.frame + 1] = s[1]
          if ((clock += count) > 2000) { // a long run: look at the time
            clock = 0
            if (performance.now() >= until && this.frame < frames - 1) { this.frame++; this.S.set(S.subarray(0, 4)); this.key.set(key); return this }
          }
        }
        this.count()
        this.done++; this.frame = 0
      } while (performance.now() < until)
      this.S.set(S.subarray(0, 4)); this.key.set(key)
      return this
    }

    count() {
      const {path, view, run, counts, among, lost, kept} = this, {low, high, axis, barriers} = view, frames = this.steps.length
      const scale = BINS / (high - low), basins = barriers.length + 1, survives = path[2 * frames - 2] === path[2 * frames - 2]
      if (survives) this.survivors++
      for (let t = 0; t < frames; t++) {
        const w = path[2 * t], place = Math.floor((path[2 * t + axis] - low) * scale)
        if (place >= 0 && place < BINS) counts[t * BINS + place]++
        if (w !== w) lost[t]++
        if (survives) {
          let basin = 0
          while (basin < barriers.length && w >= barriers[basin]) basin++
          among[t * basins + basin]++
        }
        if (this.done < view.kept) for (let k = 0; k < run.dim; k++) kept[(t * view.kept + this.done) * run.dim + k] = path[2 * t + k]
      }
    }
  }

  // All last weights, for tests: rows of dim numbers
  const last = run => {
    const ensemble = new Ensemble(run, {axis: 0, low: 0, high: 1, barriers: [], kept: 0}), rows = []
    const keep = ensemble.count
    ensemble.count = function () { keep.call(this); const end = 2 * this.steps.length - 2; rows.push(Array.from(this.path.subarray(end, end + run.dim))) }
    ensemble.work(Infinity)
    return rows
  }

  // nodes and weights of Gauss and Legendre on [-1, 1], by Newton's method
  const gauss = count => Array.from({length: count}, (_, i) => {
    let x = Math.cos(Math.PI * (i + 0.75) / (count + 0.5)), slope
    for (let round = 0; round < 20; round++) {
      let p = 1, before = 0
      for (let k = 1; k <= count; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p]
      slope = count * (x * p - before) / (x * x - 1)
      x -= p / slope
    }
    return [x, 2 / ((1 - x * x) * slope * slope)]
  })
  const NODES = gauss(16)

  // The exact posterior mass of each basin in one dimension, exp(-strength |Q - ahat|^2 / 2) on a box, cut at the barriers: quadrature on panels
  // that shrink by the factor sqrt 2 towards every minimum, so that peaks of any width are met. `minima`: where they are known.
  const masses = (run, {samples, beta}, [low, high], barriers, minima) => {
    const evaluate = evaluator(run), {data, products} = run
    let strength = beta * samples * data.vx, ahat = products.map(() => data.slope)
    if (data.size) {
      const n = Math.min(samples, data.size), sum = values => { let total = 0; for (let i = 0; i < n; i++) total += values[i]; return total }
      strength = sum(data.xx)
      ahat = data.xe.map(values => data.slope + sum(values) / strength)
      strength *= beta
    }
    const energy = w => {
      let sum = 0
      for (let k = 0; k < products.length; k++) { evaluate(k, w, 0); sum += run.of === "Q" ? 0.5 * (O[0] - ahat[k]) ** 2 : O[0] }
      return strength * sum
    }
    const cuts = [low, ...barriers.filter(b => b > low && b < high), high], found = []
    for (let basin = 0; basin + 1 < cuts.length; basin++) {
      const [a, b] = [cuts[basin], cuts[basin + 1]], count = 1000, step = (b - a) / count, centres = []
      for (let i = 0; i <= count; i++) { // local minima on a grid, refined by golden sections
        const w = a + i * step, here = energy(w)
        if ((i > 0 && energy(w - step) < here) || (i < count && energy(w + step) <= here)) continue
        let l = Math.max(a, w - step), r = Math.min(b, w + step)
        for (let round = 0; round < 80; round++) {
          const p = r - 0.6180339887498949 * (r - l), q = l + 0.6180339887498949 * (r - l)
          if (energy(p) < energy(q)) r = q; else l = p
        }
        const exact = ahat.every(value => value === 0) ? minima.find(m => Math.abs(m - w) <= step) : undefined
        centres.push(exact ?? (l + r) / 2)
      }
      found.push({a, b, centres})
    }
    const least = Math.min(...found.flatMap(({centres}) => centres.map(energy)))
    const total = found.map(({a, b, centres}) => {
      let sum = 0
      centres.forEach((centre, i) => {
        const ends = [i ? (centres[i - 1] + centre) / 2 : a, i + 1 < centres.length ? (centre + centres[i + 1]) / 2 : b]
        for (const end of ends) for (let reach = end - centre, panel = 0; panel < 120; panel++, reach *= Math.SQRT1_2) {
          const inner = panel === 119 ? 0 : reach * Math.SQRT1_2, middle = (reach + inner) / 2, half = (reach - inner) / 2
          for (const [x, weight] of NODES) sum += Math.abs(half) * weight * Math.exp(least - energy(centre + middle + half * x))
        }
      })
      return sum
    })
    const all = total.reduce((x, y) => x + y, 0)
    return total.map(value => value / all)
  }

  return {setup, Ensemble, RULES, BINS, FRAMES, model, evaluator, last, masses, O}
})()
