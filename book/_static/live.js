// The page of the live network: both sides of CTL for an image, computed here from the weights.
(() => {
  const root = document.getElementById("live");
  const data = window.ctlLiveData;
  if (!root || !data) return;
  const { SIDE, decoded, dot, cosine, imageOf, paint, make, signed } = window.ctlNetwork;
  const LAYERS = ["relu1", "relu2", "relu3", "head"];
  const TITLES = [
    ...[1, 2, 3].map((n) => `relu${n}: hidden layer ${n}, after its ReLU`),
    "head: the logits of the digits 0 to 9",
  ];

  const networks = decoded(data.networks);
  const digits = decoded(data.digits);
  const tasks = Object.keys(networks).filter((name) => name !== "PT");

  const features = (mix, image) =>
    window.ctlNetwork.features(data.shapes, window.ctlNetwork.mixed(networks, mix), image);
  const softmax = (logits) => {
    const most = Math.max(...logits);
    const powers = [...logits].map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((value) => value / sum);
  };

  // A drawing becomes an image as the data set's did: ink on 32×32 points is counted in blocks of
  // 4×4, and those 8×8 pixels are enlarged as `data/digits.py` does, by PyTorch's bicubic kernel.
  const INK = 32;
  const SMALL = 8;
  const cubic = (x) => {
    const [far, a] = [Math.abs(x), -0.75];
    if (far <= 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
    return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
  };
  const enlarging = Array.from({ length: SIDE }, (_, n) => {
    const weights = new Float64Array(SMALL);
    const at = ((n + 0.5) * SMALL) / SIDE - 0.5;
    for (let tap = Math.floor(at) - 1; tap <= Math.floor(at) + 2; tap++) {
      weights[Math.min(Math.max(tap, 0), SMALL - 1)] += cubic(at - tap);
    }
    return weights;
  });
  const read = (ink) => {
    const small = new Float64Array(SMALL * SMALL);
    ink.forEach((dot, n) => {
      small[Math.floor(n / INK / 4) * SMALL + Math.floor((n % INK) / 4)] += dot / 16;
    });
    return Float64Array.from({ length: SIDE * SIDE }, (_, n) => {
      const [down, across] = [enlarging[Math.floor(n / SIDE)], enlarging[n % SIDE]];
      let sum = 0;
      small.forEach((value, m) => {
        sum += down[Math.floor(m / SMALL)] * across[m % SMALL] * value;
      });
      return Math.min(Math.max(sum, 0), 1);
    });
  };

  // What stands on the two sides, in either mode.
  const sides = ({ mode, i, j, factor }) =>
    mode === "alpha"
      ? {
          left: [[i, factor], [j, 1 - factor]],
          right: [[factor, [[i, 1]]], [1 - factor, [[j, 1]]]],
        }
      : {
          left: [["PT", 1 - 2 * factor], [i, factor], [j, factor]],
          right: [i, j].map((name) => [0.5, [["PT", 1 - 2 * factor], [name, 2 * factor]]]),
        };

  const compare = (choice, image) => {
    const { left, right } = sides(choice);
    const whole = features(left, image);
    const parts = right.map(([, mix]) => features(mix, image));
    const layers = LAYERS.map((name, layer) => {
      const own = parts.map((part) => part[layer]);
      const mean = own[0].map((_, n) => right[0][0] * own[0][n] + right[1][0] * own[1][n]);
      const similar = cosine(whole[layer], mean);
      const length = Math.sqrt(dot(whole[layer], whole[layer]) / dot(mean, mean));
      return {
        name,
        strips: [own[0], own[1], whole[layer], mean],
        distance: 1 - similar,
        coef: length * similar,
        baseline: 1 - cosine(own[0], own[1]),
      };
    });
    return { layers, logits: [...whole.at(-1)], mean: [...layers.at(-1).strips[3]] };
  };

  const labelled = (text, control) => {
    control.id = `live-${text.toLowerCase().replaceAll(" ", "-")}`;
    return make("span", {}, make("label", { for: control.id }, text), " ", control);
  };
  const select = (names, value) => {
    const control = make("select", {}, ...names.map((name) => make("option", {}, name)));
    control.value = value;
    return control;
  };

  const mode = make("select");
  mode.append(make("option", { value: "alpha" }, "between two networks (α)"));
  mode.append(make("option", { value: "lambda" }, "along two task vectors (λ)"));
  const first = select(tasks, tasks[0]);
  const second = select(tasks, tasks.at(-1));
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.5 });
  const shown = make("span");
  slider.id = "live-factor";
  const sliderLabel = make("label", { for: slider.id });
  const turn = select(Object.keys(digits), Object.keys(digits)[2]);
  const strip = make("div", { class: "live-digits", role: "group", "aria-label": "Test images, one of each digit" });
  const drawing = make("canvas", {
    width: SIDE, height: SIDE, class: "live-drawing", role: "img",
    "aria-label": "The image that the networks see; draw here with a mouse or a finger",
  });
  const clear = make("button", { type: "button" }, "Clear and draw");
  const summary = make("p", { class: "live-summary", "aria-live": "polite" });
  const table = make("div", { class: "live-layers" });
  const outcome = make("div", { class: "live-classes" });

  let image;
  let digit; // of the test image, or null for a drawing
  const ink = new Uint8Array(INK * INK);

  // A bar a unit, upwards for positive and downwards for negative, on the scale of its layer.
  const stripOf = (values, low, high, label) => {
    const span = high - low || 1;
    const bars = [...values].map((value, n) => {
      const height = ((100 * value) / span).toFixed(1);
      return `M${n} 0h.8v${-height}h-.8z`;
    });
    const box = `0 ${(-100 * high) / span} ${values.length} 100`;
    const strip = make("div", { class: "live-strip", role: "img", "aria-label": label });
    strip.innerHTML =
      `<svg viewBox="${box}" preserveAspectRatio="none">` +
      `<path class="zero" d="M0 0H${values.length}"/><path d="${bars.join("")}"/></svg>`;
    return strip;
  };

  const short = (value) =>
    Number.isNaN(value) ? "not defined (a feature is zero)" : window.ctlNetwork.short(value);
  const percent = (share) => `${(100 * share).toFixed(0)}%`;
  const most = (values) => values.indexOf(Math.max(...values));
  const named = (shares) => {
    const label = most(shares);
    return `${label} (${percent(shares[label])})`;
  };

  const choice = () => ({
    mode: mode.value, i: first.value, j: second.value, factor: Number(slider.value),
  });

  const update = () => {
    const now = choice();
    const between = now.mode === "alpha";
    const symbol = between ? "α" : "λ";
    sliderLabel.textContent = symbol;
    shown.textContent = now.factor.toFixed(2);
    slider.setAttribute("aria-valuetext", `${symbol} = ${now.factor}`);
    const names = between
      ? [`network ${now.i}`, `network ${now.j}`]
      : [`PT + 2λτ, ${now.i}`, `PT + 2λτ, ${now.j}`];
    const labels = [...names, "mixed weights", "mixed features"];
    const found = compare(now, image);
    table.replaceChildren(
      ...found.layers.map((layer, depth) => {
        const values = layer.strips.flatMap((strip) => [...strip]);
        const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
        const rows = layer.strips.map((strip, n) =>
          make(
            "div",
            { class: n < 2 ? "live-row" : "live-row live-side" },
            make("span", {}, labels[n]),
            stripOf(strip, low, high, `${layer.name}, ${labels[n]}`),
          ),
        );
        const length = Number.isNaN(layer.coef) ? short(NaN) : signed(layer.coef.toFixed(3));
        const numbers = `1 − cosine ${short(layer.distance)} (baseline ` +
          `${short(layer.baseline)}), coef ${length}`;
        return make("section", {}, make("h3", {}, TITLES[depth]), make("p", {}, numbers), ...rows);
      }),
    );
    const [own, mean] = [softmax(found.logits), softmax(found.mean)];
    outcome.replaceChildren(
      make("h3", {}, "What it reads"),
      ...own.map((share, label) =>
        make(
          "div",
          { class: "live-row" },
          make("span", {}, `${label}: ${percent(share)} (${percent(mean[label])})`),
          make("div", { class: "live-bar", style: `--share:${share}; --mean:${mean[label]}` }),
        ),
      ),
    );
    const worst = Math.max(...found.layers.map((layer) => layer.distance));
    const apart = Math.max(...found.layers.map((layer) => layer.baseline));
    const ends = found.layers.at(-1).strips.slice(0, 2).map((logits) => named(softmax(logits)));
    summary.textContent =
      `At ${symbol} = ${now.factor.toFixed(2)} the two sides differ by at most ${short(worst)} ` +
      `(1 − cosine, over layers), the two networks by up to ${short(apart)}. ` +
      `${digit === null ? "Your drawing" : `This ${digit}`} is read as ${named(own)} by the mixed ` +
      `weights and as ${named(mean)} by the mixed features; the two networks read ` +
      `${ends.join(" and ")}.`;
    window.ctlLive = { ...now, digit, ink: [...ink], image: [...image], ...found };
  };

  const show = (values, label = null) => {
    image = values;
    digit = label;
    paint(drawing, image);
    [...strip.children].forEach((button, n) => button.setAttribute("aria-pressed", n === digit));
    update();
  };

  const offer = () => {
    const all = digits[turn.value];
    strip.replaceChildren(
      ...Array.from({ length: all.length / SIDE ** 2 }, (_, label) => {
        const values = imageOf(all, label);
        const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
        paint(canvas, values);
        const button = make("button", { type: "button", "aria-label": `Digit ${label}` }, canvas);
        button.addEventListener("click", () => show(values, label));
        return button;
      }),
    );
    strip.children[digit ?? opening(all)].click();
  };

  // A first look shows what is usual: a digit that both sides read as what it is.
  const opening = (all) => {
    const labels = [3, ...Array(all.length / SIDE ** 2).keys()];
    const isRead = (label) => {
      const { logits, mean } = compare(choice(), imageOf(all, label));
      return most(logits) === label && most(mean) === label;
    };
    return labels.find(isRead) ?? 3;
  };

  // The test image whose two sides are read as different digits, and are surest of it.
  const parting = () => {
    const found = [];
    for (const [turned, all] of Object.entries(digits)) {
      tasks.forEach((i, n) => tasks.slice(n + 1).forEach((j) => {
        for (let label = 0; label < all.length / SIDE ** 2; label++) {
          const pair = { mode: "alpha", i, j, factor: 0.5 };
          const { logits, mean } = compare(pair, imageOf(all, label));
          const [own, other] = [softmax(logits), softmax(mean)];
          if (most(own) !== most(other)) {
            found.push({ turned, label, i, j, own, other, sure: Math.min(Math.max(...own), Math.max(...other)) });
          }
        }
      }));
    }
    return found.sort((a, b) => b.sure - a.sure)[0];
  };
  const tellParting = (place) => {
    const one = parting();
    if (!one) {
      place.textContent = "Of the test images on this page none is.";
      return;
    }
    const look = make("button", { type: "button" }, "Look at it above");
    look.addEventListener("click", () => {
      [mode.value, first.value, second.value, slider.value] = ["alpha", one.i, one.j, 0.5];
      digit = one.label;
      turn.value = one.turned;
      offer();
      root.scrollIntoView();
    });
    const text = `A ${one.label}, turned by ${one.turned}, half way between the networks ${one.i} and ` +
      `${one.j}: mixed weights read ${named(one.own)}, mixed features ${named(one.other)}. `;
    place.replaceChildren(make("p", {}, text, look));
  };

  const BRUSH = 2.2; // in points of ink: strokes as wide as most in the data set
  let pen = null;
  const stroke = (event) => {
    const box = drawing.getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - box.left) / box.width) * INK,
      ((event.clientY - box.top) / box.height) * INK,
    ];
    const steps = pen ? Math.ceil(Math.hypot(x - pen[0], y - pen[1])) || 1 : 1;
    for (let step = 1; step <= steps; step++) {
      const part = step / steps;
      const [px, py] = pen ? [pen[0] + part * (x - pen[0]), pen[1] + part * (y - pen[1])] : [x, y];
      ink.forEach((_, n) => {
        const far = Math.hypot((n % INK) + 0.5 - px, Math.floor(n / INK) + 0.5 - py);
        if (far < BRUSH) ink[n] = 1;
      });
    }
    pen = [x, y];
    show(read(ink));
  };
  const erase = () => {
    ink.fill(0);
    show(read(ink));
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    pen = null;
    if (digit !== null) ink.fill(0);
    stroke(event);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (event.buttons) stroke(event);
  });
  clear.addEventListener("click", erase);
  for (const control of [mode, first, second, slider]) control.addEventListener("input", update);
  turn.addEventListener("input", offer);

  root.replaceChildren(
    make(
      "div",
      { class: "live-image" },
      drawing,
      make("div", {}, labelled("Test images turned by", turn), strip, clear),
    ),
    make(
      "div",
      { class: "live-controls" },
      labelled("Walk", mode),
      labelled("Network i", first),
      labelled("Network j", second),
    ),
    make("div", { class: "live-controls live-slider" }, sliderLabel, "=", shown, slider),
    summary,
    table,
    outcome,
  );
  offer();
  const apart = document.getElementById("live-apart");
  if (apart) tellParting(apart);
})();
