// What the pages share that run networks in the browser: their weights, a mix, its features.
window.ctlNetwork = (() => {
  const SIDE = 28; // pixels of an image

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

  // A mix is name → coefficient, as everywhere in the book; of weights or of features.
  const mixed = (values, mix) => {
    const sum = new Float64Array(values[mix[0][0]].length);
    for (const [name, weight] of mix) {
      const part = values[name];
      for (let n = 0; n < sum.length; n++) sum[n] += weight * part[n];
    }
    return sum;
  };

  // Each layer's, after its ReLU, and the last one's without; `shapes` are of weight, bias, weight, …
  const features = (shapes, weights, image) => {
    const layers = [];
    let at = 0;
    let input = image;
    for (let n = 0; n < shapes.length; n += 2) {
      const [rows, columns] = shapes[n];
      const bias = at + rows * columns;
      const output = new Float64Array(rows);
      for (let row = 0; row < rows; row++) {
        let sum = weights[bias + row];
        for (let column = 0; column < columns; column++) {
          sum += weights[at + row * columns + column] * input[column];
        }
        output[row] = n + 2 < shapes.length ? Math.max(sum, 0) : sum;
      }
      at = bias + rows;
      layers.push(output);
      input = output;
    }
    return layers;
  };

  const dot = (a, b) => a.reduce((sum, value, n) => sum + value * b[n], 0);
  const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

  const imageOf = (images, n) => images.slice(n * SIDE ** 2, (n + 1) * SIDE ** 2);
  const paint = (canvas, values) => {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(SIDE, SIDE);
    values.forEach((value, n) => {
      pixels.data.set([255, 255, 255, 255].map((c, k) => (k < 3 ? c * (1 - value) : c)), 4 * n);
    });
    context.putImageData(pixels, 0, 0);
  };

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const signed = (text) => text.replace("-", "−");
  // Two digits; the rounding of 16-bit weights is nothing.
  const short = (value) =>
    Math.abs(value) < 5e-5 ? "0" : signed(Number(value.toPrecision(2)).toString());

  return { SIDE, decoded, mixed, features, dot, cosine, imageOf, paint, make, signed, short };
})();
