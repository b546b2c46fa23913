// The page of the live network: both sides of CTL for an image, computed here from the weights.
(() => {
  const root = document.getElementById("live");
  const data = window.ctlLiveData;
  if (!root || !data) return;
  const SIDE = 28;
  const LAYERS = ["relu1", "relu2", "relu3", "head"];

  const halves = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 2 }, (_, n) => {
      const bits = view.getUint16(2 * n, true);
      const sign = bits >> 15 ? -1 : 1;
      const exponent = (bits >> 10) & 31;
      const fraction = (bits & 1023) / 1024;
      return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
    });
  };
  const decoded = (texts) =>
    Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, halves(text)]));
  const networks = decoded(data.networks);
  const digits = decoded(data.digits);
  const tasks = Object.keys(networks).filter((name) => name !== "PT");

  // The weights of a mix: name → coefficient, as everywhere in the book.
  const mixed = (mix) => {
    const found = new Float64Array(networks.PT.length);
    for (const [name, weight] of mix) {
      const values = networks[name];
      for (let n = 0; n < found.length; n++) found[n] += weight * values[n];
    }
    return found;
  };

  const features = (weights, image) => {
    const found = [];
    let at = 0;
    let input = image;
    for (let n = 0; n < data.shapes.length; n += 2) {
      const [rows, columns] = data.shapes[n];
      const bias = at + rows * columns;
      const output = new Float64Array(rows);
      for (let row = 0; row < rows; row++) {
        let sum = weights[bias + row];
        for (let column = 0; column < columns; column++) {
          sum += weights[at + row * columns + column] * input[column];
        }
        output[row] = n + 2 < data.shapes.length ? Math.max(sum, 0) : sum;
      }
      at = bias + rows;
      found.push(output);
      input = output;
    }
    return found;
  };

  const dot = (a, b) => a.reduce((sum, value, n) => sum + value * b[n], 0);
  const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const softmax = (logits) => {
    const most = Math.max(...logits);
    const powers = [...logits].map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((value) => value / sum);
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
    const whole = features(mixed(left), image);
    const parts = right.map(([, mix]) => features(mixed(mix), image));
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

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
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
  const shown = make("output");
  slider.id = "live-factor";
  const sliderLabel = make("label", { for: slider.id });
  const turn = select(Object.keys(digits), Object.keys(digits)[2]);
  const strip = make("div", { class: "live-digits", role: "group", "aria-label": "Test images" });
  const drawing = make("canvas", {
    width: SIDE, height: SIDE, class: "live-drawing", role: "img",
    "aria-label": "The image that the networks see; draw here with a mouse or a finger",
  });
  const clear = make("button", { type: "button" }, "Clear the drawing");
  const summary = make("p", { class: "live-summary", "aria-live": "polite" });
  const table = make("div", { class: "live-layers" });
  const outcome = make("div", { class: "live-classes" });

  let image = new Float64Array(SIDE * SIDE);

  const paint = (canvas, values) => {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(SIDE, SIDE);
    values.forEach((value, n) => {
      pixels.data.set([255, 255, 255, 255].map((c, k) => (k < 3 ? c * (1 - value) : c)), 4 * n);
    });
    context.putImageData(pixels, 0, 0);
  };

  const stripOf = (values, most, label) => {
    const canvas = make("canvas", {
      width: values.length, height: 1, class: "live-strip", role: "img", "aria-label": label,
    });
    const context = canvas.getContext("2d");
    values.forEach((value, n) => {
      const depth = Math.min(Math.abs(value) / most, 1);
      context.fillStyle = value < 0 ? `rgba(213,94,0,${depth})` : `rgba(0,114,178,${depth})`;
      context.fillRect(n, 0, 1, 1);
    });
    return canvas;
  };

  const short = (value) =>
    Math.abs(value) < 5e-5 ? "0" : Number(value.toPrecision(2)).toString().replace("-", "−");

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
      : [`θPT + 2λτ, ${now.i}`, `θPT + 2λτ, ${now.j}`];
    const labels = [...names, "mixed weights", "mixed features"];
    const found = compare(now, image);
    table.replaceChildren(
      ...found.layers.map((layer) => {
        const most = Math.max(...layer.strips.flatMap((values) => [...values].map(Math.abs)), 1e-9);
        const rows = layer.strips.map((values, n) =>
          make(
            "div",
            { class: "live-row" },
            make("span", {}, labels[n]),
            stripOf(values, most, `${layer.name}: features of ${labels[n]}`),
          ),
        );
        const numbers = `1 − cosine ${short(layer.distance)} (the two networks: ` +
          `${short(layer.baseline)}), coef ${short(layer.coef)}`;
        return make("section", {}, make("h3", {}, layer.name), make("p", {}, numbers), ...rows);
      }),
    );
    const [own, mean] = [softmax(found.logits), softmax(found.mean)];
    outcome.replaceChildren(
      make("h3", {}, "What it says"),
      ...own.map((share, digit) =>
        make(
          "div",
          { class: "live-row" },
          make("span", {}, `${digit}: ${(100 * share).toFixed(0)}% (${(100 * mean[digit]).toFixed(0)}%)`),
          make("div", { class: "live-bar", style: `--share:${share}; --mean:${mean[digit]}` }),
        ),
      ),
    );
    const best = own.indexOf(Math.max(...own));
    const worst = Math.max(...found.layers.map((layer) => layer.distance));
    const apart = Math.max(...found.layers.map((layer) => layer.baseline));
    summary.textContent =
      `At ${symbol} = ${now.factor.toFixed(2)} both sides differ by at most ${short(worst)} ` +
      `(1 − cosine, over layers); the two networks by up to ${short(apart)}. The mixed network ` +
      `reads the image as ${best} (${(100 * own[best]).toFixed(0)}%).`;
    window.ctlLive = { ...now, image: [...image], ...found };
  };

  const show = (values) => {
    image = values;
    paint(drawing, image);
    update();
  };

  const offer = () => {
    const all = digits[turn.value];
    strip.replaceChildren(
      ...Array.from({ length: all.length / SIDE ** 2 }, (_, digit) => {
        const values = all.slice(digit * SIDE ** 2, (digit + 1) * SIDE ** 2);
        const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
        paint(canvas, values);
        const button = make("button", { type: "button", "aria-label": `Digit ${digit}` }, canvas);
        button.addEventListener("click", () => show(values));
        return button;
      }),
    );
    strip.children[3].click();
  };

  // A soft brush, since the training images are 8×8 pixels made larger.
  let pen = null;
  const stroke = (event) => {
    const box = drawing.getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - box.left) / box.width) * SIDE,
      ((event.clientY - box.top) / box.height) * SIDE,
    ];
    const steps = pen ? Math.ceil(Math.hypot(x - pen[0], y - pen[1])) || 1 : 1;
    const next = Float64Array.from(image);
    for (let step = 1; step <= steps; step++) {
      const part = step / steps;
      const [px, py] = pen ? [pen[0] + part * (x - pen[0]), pen[1] + part * (y - pen[1])] : [x, y];
      for (let n = 0; n < next.length; n++) {
        const far = Math.hypot((n % SIDE) + 0.5 - px, Math.floor(n / SIDE) + 0.5 - py);
        next[n] = Math.max(next[n], Math.exp(-((far / 2.2) ** 2)));
      }
    }
    pen = [x, y];
    show(next);
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    pen = null;
    stroke(event);
  });
  drawing.addEventListener("pointermove", (event) => {
    if (event.buttons) stroke(event);
  });
  clear.addEventListener("click", () => show(new Float64Array(SIDE * SIDE)));
  for (const control of [mode, first, second, slider]) control.addEventListener("input", update);
  turn.addEventListener("input", offer);

  root.replaceChildren(
    make(
      "div",
      { class: "live-controls" },
      labelled("Walk", mode),
      labelled("Network i", first),
      labelled("Network j", second),
      make("span", {}, sliderLabel, " = ", shown, " ", slider),
    ),
    make(
      "div",
      { class: "live-image" },
      drawing,
      make("div", {}, labelled("Test images turned by", turn), strip, clear),
    ),
    summary,
    table,
    outcome,
  );
  offer();
})();
