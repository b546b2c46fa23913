// Draws the page's figures from the JSON beside them, in the colours of the page's theme.
(() => {
  const root = document.documentElement;
  const figures = [...document.querySelectorAll(".plotly-figure")];
  const specs = new Map(
    figures.map((figure) => [figure, JSON.parse(figure.nextElementSibling.textContent)]),
  );
  const drawn = new Map();

  // The page's look goes in as template values: what a figure sets itself still wins.
  const themed = ({ template = {}, title }) => {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    const text = colour("--pst-color-text-base");
    const grid = colour("--ctl-figure-grid");
    const line = colour("--ctl-figure-line");
    const axis = {
      automargin: true,
      color: text,
      gridcolor: grid,
      linecolor: line,
      zerolinecolor: line,
    };
    const layout = template.layout ?? {};
    return {
      ...template,
      layout: {
        ...layout,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { ...layout.font, color: text, family: getComputedStyle(document.body).fontFamily },
        xaxis: { ...layout.xaxis, ...axis },
        yaxis: { ...layout.yaxis, ...axis },
        shapedefaults: { ...layout.shapedefaults, line: { color: line } },
        annotationdefaults: { ...layout.annotationdefaults, arrowcolor: text },
        margin: { l: 56, r: 16, t: title ? 80 : 32, b: 48 },
        hoverlabel: {
          ...layout.hoverlabel,
          bgcolor: colour("--pst-color-surface"),
          bordercolor: line,
          font: { color: text },
        },
      },
    };
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.offsetWidth > 0) Plotly.Plots.resize(target);
    }
  });

  const draw = (figure) => {
    if (drawn.has(figure)) return drawn.get(figure);
    const { data, layout } = specs.get(figure);
    const { updatemenus, ...rest } = layout; // stand above the figure instead
    const fluid = { ...rest, autosize: true, template: themed(layout) };
    delete fluid.width;
    // Under a finger, dragging scrolls the page; a figure that zoomed instead would trap it.
    if (matchMedia("(pointer: coarse)").matches) fluid.dragmode = false;
    const done = Plotly.newPlot(figure, data, fluid, { displayModeBar: false }).then(() => {
      resized.observe(figure);
    });
    drawn.set(figure, done);
    return done;
  };

  const make = (tag, attributes, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };

  // Native controls in place of Plotly's menus, which neither keys nor screen readers reach.
  const control = (figure, { buttons, active = 0 }, id) => {
    const labels = buttons.map(({ label }) => label);
    const apply = async (number) => {
      await draw(figure);
      const { method, args } = buttons[number];
      await Plotly[method](figure, ...structuredClone(args));
    };
    const [, every] = labels[0].match(/^every (.+)$/) ?? [];
    const [, unit] = labels[0].match(/mean over (.+)s$/) ?? [];
    const label = make("label", { htmlFor: id }, every ?? unit ?? "show");
    if (every) {
      const shown = make("output", {});
      const range = make("input", { type: "range", id, min: 0, max: labels.length - 1 });
      range.value = active;
      const tell = () => {
        shown.textContent = labels[range.value];
        range.setAttribute("aria-valuetext", labels[range.value]);
      };
      range.addEventListener("input", () => {
        tell();
        apply(range.value);
      });
      tell();
      return make("span", {}, label, " ", range, " ", shown);
    }
    const options = labels.map((text, number) => make("option", { value: number }, text));
    const select = make("select", { id }, ...options);
    select.selectedIndex = active;
    select.addEventListener("input", () => apply(select.value));
    return make("span", {}, label, " ", select);
  };

  // A heat map of pairs, whose cells choose a pair in the menu.
  const grid = ({ pairs, joint }, select) => {
    const names = [...new Set(Object.keys(pairs).flatMap((pair) => pair.split(joint)))];
    const most = Math.max(...Object.values(pairs));
    const labels = [...select.options].map((option) => option.text);
    const cell = (row, column) => {
      const pair = [`${row}${joint}${column}`, `${column}${joint}${row}`].find((p) => p in pairs);
      if (!pair || !labels.includes(pair)) return make("td", {});
      const button = make("button", { type: "button" }, String(pairs[pair]));
      button.setAttribute("aria-label", `Show ${pair}: ${pairs[pair]}`);
      button.style.setProperty("--share", pairs[pair] / most);
      const mark = () => button.setAttribute("aria-pressed", labels[select.selectedIndex] === pair);
      select.addEventListener("input", mark);
      mark();
      button.addEventListener("click", () => {
        select.selectedIndex = labels.indexOf(pair);
        select.dispatchEvent(new Event("input"));
      });
      return make("td", {}, button);
    };
    const heading = (text, scope) => make("th", { scope }, text);
    const rows = names.slice(1).map((row, n) =>
      make("tr", {}, heading(row, "row"), ...names.slice(0, n + 1).map((column) => cell(row, column))),
    );
    const head = make("tr", {}, make("td", {}), ...names.slice(0, -1).map((n) => heading(n, "col")));
    const caption = make("caption", {}, "Mean over layers, each pair; choose one");
    const table = make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
    const opened = make("summary", {}, "Choose a pair in a heat map");
    return make("details", { className: "figure-pairs" }, opened, table);
  };

  figures.forEach((figure, place) => {
    const { layout } = specs.get(figure);
    const menus = layout.updatemenus ?? [];
    if (!menus.length) return;
    const freed = layout.meta?.menus_height ?? 0;
    layout.height -= freed;
    layout.margin = { ...layout.margin, t: Math.max(layout.margin.t - freed, 0) };
    figure.style.height = `${layout.height}px`;
    const controls = menus.map((menu, n) => control(figure, menu, `figure-${place}-${n}`));
    const { pairs } = layout.meta ?? {};
    if (pairs) controls.push(grid(layout.meta, controls[0].querySelector("select")));
    const group = make("div", { className: "figure-controls" }, ...controls);
    const takeaway = figure.parentElement.previousElementSibling;
    // A page has many menus of pairs: whose is this?
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", takeaway?.textContent ?? "Figure");
    figure.parentElement.before(group);
  });

  const near = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => draw(e.target)),
    { rootMargin: "400px" },
  );
  figures.forEach((figure) => near.observe(figure));

  // The rest follows while the browser is idle, so that a screenshot is complete.
  const idle = window.requestIdleCallback ?? ((callback) => setTimeout(callback, 100));
  const drawNext = () => {
    const figure = figures.find((f) => !drawn.has(f));
    if (!figure) return;
    draw(figure);
    idle(drawNext);
  };
  addEventListener("load", () => idle(drawNext));

  new MutationObserver(() => {
    for (const figure of drawn.keys()) {
      Plotly.relayout(figure, { template: themed(specs.get(figure).layout) });
    }
  }).observe(root, { attributeFilter: ["data-theme"] });
})();
