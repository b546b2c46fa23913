// What the front page's picture shows, in numbers: its networks' features and where they are drawn.
(() => {
  const data = window.ctlHeroData;
  if (!data) return;
  const { decoded, mixed, features, dot } = window.ctlNetwork;
  const STEPS = 40; // of a path from α = 0 to 1
  const [WIDTH, HEIGHT, MARGIN] = [320, 205, 40];

  const first = decoded(data.first);
  const rest = decoded(data.rest);
  const units = data.shapes[0][1]; // of the first layer
  const count = first.i.length / units;
  const between = (a, b) => data.lengths[`${a} ${b}`] ?? data.lengths[`${b} ${a}`];

  // One image's features in the mixed network: of the first layer its products are mixed.
  const products = Array.from({ length: count }, (_, n) =>
    Object.fromEntries(
      Object.entries(first).map(([name, all]) => [name, all.subarray(n * units, (n + 1) * units)]),
    ),
  );
  const featuresOf = (j, alpha, digits) => {
    const mix = [["i", alpha], [j, 1 - alpha]];
    const weights = mixed(rest, mix);
    return digits.map((digit) => {
      const hidden = mixed(products[digit], mix).map((value) => Math.max(value, 0));
      return [hidden, ...features(data.shapes, weights, hidden)];
    });
  };
  const everyDigit = [...Array(count).keys()];
  const known = {};
  const ends = (j) => (known[j] ??= [0, 1].map((alpha) => featuresOf(j, alpha, everyDigit)));
  const path = (j, digit) =>
    (known[`${j} ${digit}`] ??= Array.from(
      { length: STEPS + 1 },
      (_, n) => featuresOf(j, n / STEPS, [digit])[0],
    ));

  const minus = (a, b) => a.map((value, n) => value - b[n]);
  const scaled = (a, factor) => a.map((value) => factor * value);
  const norm = (a) => Math.sqrt(dot(a, a));
  const chord = (from, to, alpha) => mixed({ from, to }, [["to", alpha], ["from", 1 - alpha]]);

  // Both sides of CTL for some digits: ε over them together, and the first one's vectors.
  const compared = ({ j, alpha, layer }, digits) => {
    const whole = featuresOf(j, alpha, digits).map((layers) => layers[layer]);
    const [from, to] = ends(j).map((all) => digits.map((digit) => all[digit][layer]));
    const mean = from.map((one, n) => chord(one, to[n], alpha));
    const sum = (vectors) => vectors.reduce((total, one) => total + dot(one, one), 0);
    const gaps = sum(whole.map((one, n) => minus(one, mean[n])));
    const spread = alpha * (1 - alpha) * sum(to.map((one, n) => minus(one, from[n])));
    return { whole: whole[0], mean: mean[0], epsilon: Math.sqrt(gaps / spread) };
  };

  // The plane of the picture: along the line between the two ends, and where the path leaves it most.
  const planeOf = ({ j, layer, digit }) => {
    const [from, to] = ends(j).map((all) => all[digit][layer]);
    const across = scaled(minus(to, from), 1 / norm(minus(to, from)));
    const off = path(j, digit).map((layers, n) => {
      const gap = minus(layers[layer], chord(from, to, n / STEPS));
      return minus(gap, scaled(across, dot(gap, across)));
    });
    const most = off.reduce((a, b) => (norm(b) > norm(a) ? b : a));
    const up = scaled(most, 1 / norm(most));
    return (feature) => [across, up].map((axis) => dot(minus(feature, from), axis));
  };

  // Points in the units of their space become points of the drawing, at one scale for both axes.
  const fitted = (points, framing) => {
    const shown = framing.map((name) => points[name]);
    const [low, high] = [Math.min, Math.max].map((extreme) =>
      [0, 1].map((axis) => extreme(...shown.map((point) => point[axis]))),
    );
    const room = [WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN];
    const scale = Math.min(...room.map((size, axis) => size / (high[axis] - low[axis] || 1e-9)));
    const place = ([x, y]) => [
      WIDTH / 2 + scale * (x - (low[0] + high[0]) / 2),
      HEIGHT / 2 - scale * (y - (low[1] + high[1]) / 2),
    ];
    return Object.fromEntries(Object.entries(points).map(([name, point]) => [name, place(point)]));
  };

  // The point below the line from a to b that has these distances from them.
  const below = (a, b, fromA, fromB) => {
    const way = [b[0] - a[0], b[1] - a[1]];
    const length = Math.hypot(...way);
    const along = (fromA ** 2 + length ** 2 - fromB ** 2) / (2 * length);
    const down = Math.sqrt(Math.max(fromA ** 2 - along ** 2, 0));
    const [x, y] = way.map((part) => part / length);
    return [a[0] + along * x + down * y, a[1] + along * y - down * x];
  };
  const weightPoints = ({ j, alpha }) => {
    const length = between("i", j);
    const points = { j: [0, 0], i: [length, 0], mix: [alpha * length, 0] };
    points.PT = below(points.j, points.i, between("PT", j), between("PT", "i"));
    points.own = points.PT; // the network that θ_j was fine-tuned from
    if (j !== "j") {
      points.own = below(points.j, points.PT, between("PT-apart", j), between("PT", "PT-apart"));
    }
    return fitted(points, ["j", "i", "PT", "own"]);
  };
  const featurePoints = (now, whole, mean) => {
    const project = planeOf(now);
    const [from, to] = ends(now.j).map((all) => project(all[now.digit][now.layer]));
    const points = { j: from, i: to, ring: project(mean), dot: project(whole) };
    path(now.j, now.digit).forEach((layers, n) => {
      points[`path${n}`] = project(layers[now.layer]);
    });
    const framing = Object.keys(points).filter((name) => name !== "ring" && name !== "dot");
    return { points: fitted(points, framing), plane: points };
  };

  window.ctlHeroGeometry = { WIDTH, HEIGHT, everyDigit, between, compared, minus, norm, weightPoints, featurePoints };
})();
