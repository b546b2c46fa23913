// The front page's picture: a mix of weights, and what it does to the features of one image.
(() => {
  const root = document.getElementById("hero");
  const data = window.ctlHeroData;
  if (!root || !data) return;
  const { SIDE, decoded, cosine, imageOf, paint, make, short } = window.ctlNetwork;
  const { WIDTH, HEIGHT, everyDigit, between, compared, minus, norm, weightPoints, featurePoints } =
    window.ctlHeroGeometry;
  const LAYERS = ["hidden layer 1", "hidden layer 2", "hidden layer 3", "the logits"];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const images = decoded({ all: data.images }).all;

  const SUB = (text, sub, after = "") =>
    `${text}<tspan class="sub" dy="4">${sub}</tspan>${after && `<tspan dy="-4">${after}</tspan>`}`;
  const gradient = (id) =>
    `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" y1="0" y2="0">` +
    `${[0, 25, 50, 75, 100].map((share) => `<stop offset="${share}%" style="--share: ${share}%"/>`).join("")}` +
    "</linearGradient>";
  const tip = (name) =>
    `<marker id="hero-tip-${name}" class="tip-${name}" viewBox="0 0 8 8" refX="15" refY="4" ` +
    'markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" orient="auto">' +
    '<path d="M0 0 8 4 0 8z"/></marker>';
  const at = (name, inside) => `<g data-at="${name}">${inside}</g>`;
  const point = (name, mark, label, y) =>
    at(name, `<circle class="end ${mark}" r="6"/><text y="${y}">${label}</text>`);
  const svg = (inside) => {
    const box = make("div", { class: "hero-picture" });
    box.innerHTML = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${inside}</svg>`;
    return box;
  };
  const weightPicture = svg(
    `<defs>${gradient("hero-weights")}${tip("i")}${tip("j")}</defs>` +
      '<line class="between-starts" data-ends="own PT"/>' +
      '<line class="tuned i" marker-end="url(#hero-tip-i)" data-ends="PT i"/>' +
      '<line class="tuned j" marker-end="url(#hero-tip-j)" data-ends="own j"/>' +
      '<line class="chord" stroke="url(#hero-weights)" data-ends="j i"/>' +
      '<text class="length" data-side="1" data-between="PT i"/>' +
      '<text class="length" data-side="-1" data-between="own j"/>' +
      '<text class="length" data-side="0" data-between="j i"/>' +
      '<text class="length apart" data-side="0" data-between="own PT"/>' +
      point("PT", "start", SUB("θ", "PT"), 24) +
      at("own", `<g class="apart"><circle class="end start" r="6"/><text y="24">${SUB("θ", "PT")}′</text></g>`) +
      point("j", "j", SUB("θ", "j"), -14) +
      point("i", "i", SUB("θ", "i"), -14) +
      at("mix", '<circle class="mix" r="9"/>'),
  );
  const featurePicture = svg(
    `<defs>${gradient("hero-features")}</defs>` +
      '<line class="chord" stroke="url(#hero-features)" data-ends="j i"/>' +
      '<polyline class="path" stroke="url(#hero-features)"/>' +
      '<line class="gap" data-ends="ring dot"/>' +
      point("j", "j", SUB("f(θ", "j", ")"), 24) +
      point("i", "i", SUB("f(θ", "i", ")"), 24) +
      at("ring", '<circle class="ring" r="10"/>') +
      at("dot", '<circle class="mix" r="6.5"/>'),
  );

  const draw = (picture, points) => {
    const set = (element, values) => {
      for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    };
    for (const element of picture.querySelectorAll("[data-at]")) {
      element.setAttribute("transform", `translate(${points[element.dataset.at]})`);
    }
    for (const line of picture.querySelectorAll("[data-ends]")) {
      const [[x1, y1], [x2, y2]] = line.dataset.ends.split(" ").map((name) => points[name]);
      set(line, { x1, y1, x2, y2 });
    }
    for (const text of picture.querySelectorAll("[data-between]")) {
      const [[x1, y1], [x2, y2]] = text.dataset.between.split(" ").map((name) => points[name]);
      const side = Number(text.dataset.side);
      set(text, { x: (x1 + x2) / 2 + 22 * side, y: (y1 + y2) / 2 + (side ? 5 : 25) });
    }
    set(picture.querySelector("linearGradient"), { x1: points.j[0], x2: points.i[0] });
    const way = Object.keys(points).filter((name) => name.startsWith("path"));
    picture.querySelector(".path")?.setAttribute("points", way.map((name) => points[name]).join(" "));
  };

  // Another layer, digit or pretraining: the pictures glide from what they show to what they shall.
  const shown = new Map();
  let gliding = 0;
  const glide = (targets, lasting) => {
    cancelAnimationFrame(gliding);
    const from = targets.map(([picture, points]) => shown.get(picture) ?? points);
    let start;
    const step = (time) => {
      start ??= time;
      const part = lasting ? Math.min((time - start) / lasting, 1) : 1;
      const eased = part * part * (3 - 2 * part);
      targets.forEach(([picture, points], n) => {
        const middle = Object.fromEntries(
          Object.entries(points).map(([name, point]) => [
            name,
            point.map((value, axis) => from[n][name][axis] * (1 - eased) + value * eased),
          ]),
        );
        shown.set(picture, middle);
        draw(picture, middle);
      });
      if (part < 1) gliding = requestAnimationFrame(step);
    };
    if (lasting) gliding = requestAnimationFrame(step);
    else step(0);
  };

  const choice = (legend, name, options) => {
    const inputs = Object.entries(options).map(([value, text]) =>
      make("label", {}, make("input", { type: "radio", name: `hero-${name}`, value }), make("span", {}, text)),
    );
    inputs[0].firstChild.checked = true;
    return make("fieldset", { class: `hero-choice hero-${name}` }, make("legend", {}, legend), ...inputs);
  };
  const chosen = (field) => field.querySelector("input:checked").value;
  const pretraining = choice("Networks", "pretraining", { j: "shared pretraining", "j-apart": "pretrained apart" });
  const layers = choice("Layer", "layer", { 0: "hidden 1", 1: "hidden 2", 2: "hidden 3", 3: "logits" });
  const digits = choice(`Image, turned by ${data.tasks.i}`, "digit", Object.fromEntries(everyDigit.map((digit) => [digit, ""])));
  digits.querySelectorAll("label").forEach((label, digit) => {
    const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    paint(canvas, imageOf(images, digit));
    label.firstChild.setAttribute("aria-label", `Digit ${digit}`);
    label.lastChild.append(canvas);
  });
  const slider = make("input", { type: "range", id: "hero-alpha", min: 0, max: 1, step: 0.02, value: 0.5 });
  const value = make("output", { for: "hero-alpha" });
  const featureTitle = make("b");
  const weightWords = make("figcaption");
  const featureWords = make("figcaption");
  const summary = make("p", { class: "hero-numbers" });
  let alpha = Number(slider.value);

  const state = () => ({
    alpha,
    j: chosen(pretraining),
    layer: Number(chosen(layers)),
    digit: Number(chosen(digits)),
  });
  const T = (sub) => `<i>θ</i><sub>${sub}</sub>`;

  const update = (lasting = 0) => {
    const now = state();
    const { whole, mean, epsilon } = compared(now, [now.digit]);
    const all = compared(now, everyDigit).epsilon;
    const feature = featurePoints(now, whole, mean);
    const { ring, dot: spot } = feature.plane;
    const gap = norm(minus(whole, mean));
    const seen = Math.hypot(ring[0] - spot[0], ring[1] - spot[1]) / gap;
    const weight = weightPoints(now);
    const distance = 1 - cosine(whole, mean);
    const apart = now.j !== "j";
    const inside = now.alpha > 0 && now.alpha < 1;

    root.style.setProperty("--share", `${100 * now.alpha}%`);
    root.classList.toggle("hero-apart", apart);
    for (const text of weightPicture.querySelectorAll("[data-between]")) {
      const names = text.dataset.between.split(" ");
      const [a, b] = names.map((name) => ({ j: now.j, own: apart ? "PT-apart" : "PT" })[name] ?? name);
      text.textContent = a === b ? "" : between(a, b).toPrecision(3);
    }
    glide([[weightPicture, weight], [featurePicture, feature.points]], still ? 0 : lasting);

    value.textContent = now.alpha.toFixed(2);
    const error = inside ? `ε = ${epsilon.toFixed(2)}` : "dot and ring are the same";
    slider.setAttribute("aria-valuetext", `α = ${now.alpha.toFixed(2)}, ${error}`);
    weightPicture.firstChild.setAttribute(
      "aria-label",
      `Weight space: two networks, ${apart ? "each with a pretrained network of its own" : "one pretrained network"}, ` +
        `and the mix between them at α = ${now.alpha.toFixed(2)}.`,
    );
    featurePicture.firstChild.setAttribute(
      "aria-label",
      `Feature space, ${LAYERS[now.layer]}, digit ${now.digit}: ${error}.`,
    );
    featureTitle.textContent = `Feature space: ${LAYERS[now.layer]}`;
    weightWords.innerHTML =
      `<span class="key dot"></span> = <i>α</i>${T("i")} + (1 − <i>α</i>)${T("j")}. ` +
      (apart
        ? `${T("PT")} and ${T("PT")}′ learned upright digits from two random starts; from them `
        : `${T("PT")} learned upright digits; from it `) +
      `${T("i")} learned those turned by ${data.tasks.i}, ${T("j")} by ${data.tasks.j}. Lengths are true.`;
    featureWords.innerHTML =
      '<span class="key ring"></span> the mix of features, <span class="key dot"></span> the mixed ' +
      "network’s feature, with its path. Across: along the line. Up: where the path leaves it most. " +
      `One scale.${inside ? ` The plane has ${(100 * seen).toFixed(0)}% of the gap.` : ""}`;
    summary.innerHTML = inside
      ? `<b>ε = ${epsilon.toFixed(2)}</b> and 1 − cosine = ${short(distance)} for this ${now.digit}; ` +
        `ε = ${all.toFixed(2)} for all ten digits. At ε = 0 the dot is in the ring; at 1 it is no nearer ` +
        "to the ring than the two ends are."
      : "At an end the mixed network is one of the two: the dot is in the ring by definition.";
    window.ctlHero = { ...now, epsilon, all, distance, seen, whole: [...whole], mean: [...mean], plane: feature.plane };
  };

  // The digit that shows no more and no less than all ten do.
  const opening = () => {
    const now = state();
    const { epsilon: all } = compared(now, everyDigit);
    const off = everyDigit.map((digit) => Math.abs(compared(now, [digit]).epsilon - all));
    return off.indexOf(Math.min(...off));
  };

  const name = make("span", { class: "hero-alpha" }, make("label", { for: slider.id }, "α"), " = ", value);
  const [from, to] = ["j", "i"].map((end) => {
    const label = make("span", { "aria-hidden": "true" });
    label.innerHTML = T(end);
    return label;
  });
  layers.querySelectorAll("input")[2].checked = true;
  digits.querySelectorAll("input")[opening()].checked = true;
  for (const field of [pretraining, layers, digits]) field.addEventListener("input", () => update(450));
  root.replaceChildren(
    make("p", { class: "hero-question" }),
    make(
      "div",
      { class: "hero-pictures" },
      make("figure", {}, make("b", {}, "Weight space"), weightPicture, weightWords),
      make("figure", {}, featureTitle, featurePicture, featureWords),
    ),
    make("div", { class: "hero-slider" }, name, from, slider, to),
    make("div", { class: "hero-choices" }, pretraining, layers, digits),
    summary,
  );
  root.firstChild.innerHTML =
    "Mix the <b>weights</b> of two networks. Is the mixed network’s feature the mix of their " +
    "<b>features</b>? Move <i>α</i>, then try <i>pretrained apart</i>.";

  // α goes to the middle once, to show that it moves both pictures.
  let showing = !still;
  slider.addEventListener("input", () => {
    showing = false;
    alpha = Number(slider.value);
    update();
  });
  // What the page does by itself is not read out.
  root.addEventListener("input", () => summary.setAttribute("aria-live", "polite"), { once: true });
  const sweep = (time, start = time) => {
    if (!showing) return;
    const part = Math.min((time - start) / 2000, 1);
    alpha = 0.5 * part * part * (3 - 2 * part);
    slider.value = alpha;
    update();
    if (part < 1) requestAnimationFrame((later) => sweep(later, start));
  };
  addEventListener("beforeprint", () => {
    if (!showing) return;
    showing = false;
    slider.value = alpha = 0.5;
    update();
  });
  update();
  if (showing) requestAnimationFrame((time) => sweep(time));
})();
