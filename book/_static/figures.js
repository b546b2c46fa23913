// Draws the page's figures from the JSON beside them, in the colours of the page's theme, with the
// controls that the JSON names above them, in the arrangement of the JSON's that fits the screen.
(() => {
  const root = document.documentElement;
  const figures = [...document.querySelectorAll(".plotly-figure")];
  const specs = new Map(
    figures.map((figure) => [figure, JSON.parse(figure.nextElementSibling.textContent)]),
  );
  const drawn = new Map();

  // The page's look goes in as template values: what a figure sets itself still wins.
  const themed = ({ template = {} }) => {
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
        // Names of rows stand inside their panel, over its lines.
        annotationdefaults: {
          ...layout.annotationdefaults,
          arrowcolor: text,
          bgcolor: colour("--pst-color-background"),
        },
        hoverlabel: {
          ...layout.hoverlabel,
          bgcolor: colour("--pst-color-surface"),
          bordercolor: line,
          font: { color: text },
        },
      },
    };
  };

  const phone = matchMedia("(max-width: 599px)");
  const arrangements = new Map();

  // The arrangement of the panels that fits, where it is not the one that the figure has.
  const fitting = (figure) => {
    const { arrangements: all = [] } = specs.get(figure);
    const width = figure.parentElement.clientWidth;
    const fits = (one) => one.width === 0 || (!phone.matches && one.width <= width);
    const chosen = all.find(fits);
    if (!width || !chosen || chosen === arrangements.get(figure)) return null;
    arrangements.set(figure, chosen);
    figure.style.height = `${chosen.layout.height}px`;
    figure.style.minWidth = 0;
    return chosen;
  };

  // Titles that axes take over from others, which a menu may have changed.
  const titles = (figure, layout) =>
    Object.fromEntries(
      Object.entries(arrangements.get(figure)?.titles ?? {}).map(([axis, from]) => [
        `${axis}.title.text`,
        layout[from]?.title?.text ?? "",
      ]),
    );

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.offsetWidth === 0) continue;
      const chosen = fitting(target);
      if (chosen) {
        const changed = { ...structuredClone(chosen.layout), ...titles(target, target.layout) };
        Plotly.relayout(target, changed);
      } else Plotly.Plots.resize(target);
    }
  });

  const put = (layout, path, value) => {
    const names = path.split(".");
    const last = names.pop();
    names.reduce((part, name) => (part[name] ??= {}), layout)[last] = value;
  };

  const draw = (figure) => {
    if (drawn.has(figure)) return drawn.get(figure);
    const { data, layout } = specs.get(figure);
    const fluid = { ...structuredClone(layout), autosize: true, template: themed(layout) };
    fitting(figure);
    const changed = { ...arrangements.get(figure)?.layout, ...titles(figure, layout) };
    for (const [path, value] of Object.entries(structuredClone(changed))) put(fluid, path, value);
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
  const slider = ({ label, buttons, active }, id, apply) => {
    const shown = make("output", {});
    const range = make("input", { type: "range", id, min: 0, max: buttons.length - 1 });
    range.value = active;
    const tell = () => {
      shown.textContent = buttons[range.value].label;
      range.setAttribute("aria-valuetext", buttons[range.value].label);
    };
    range.addEventListener("input", () => {
      tell();
      apply(range.value);
    });
    tell();
    return [make("span", {}, make("label", { htmlFor: id }, label), " ", range, " ", shown)];
  };

  const menu = ({ label, buttons, active }, id, apply) => {
    const options = buttons.map((button, n) => make("option", { value: n }, button.label));
    const select = make("select", { id }, ...options);
    select.selectedIndex = active;
    select.addEventListener("input", () => apply(select.value));
    return [make("span", {}, make("label", { htmlFor: id }, label), " ", select)];
  };

  // A menu of pairs, and for each setting a heat map whose cells choose in it.
  const pairs = (control, id, apply) => {
    const [chooser] = menu(control, id, apply);
    const select = chooser.querySelector("select");
    const { buttons, maps } = control;
    const entry = (most) => (cell) => {
      if (!cell) return make("td", {});
      const { option, mean } = cell;
      const button = make("button", { type: "button" }, String(mean));
      button.setAttribute("aria-label", `Show ${buttons[option].label}: ${mean}`);
      button.style.setProperty("--share", mean / most);
      const mark = () => button.setAttribute("aria-pressed", select.selectedIndex === option);
      select.addEventListener("input", mark);
      mark();
      button.addEventListener("click", () => {
        select.selectedIndex = option;
        select.dispatchEvent(new Event("input"));
      });
      return make("td", {}, button);
    };
    const heading = (scope) => (text) => make("th", { scope }, text);
    const map = ({ title, names, cells }) => {
      const most = Math.max(...cells.flat().map((cell) => cell?.mean ?? 0));
      const head = make("tr", {}, make("td", {}), ...names.slice(0, -1).map(heading("col")));
      const rows = cells.map((row, n) =>
        make("tr", {}, heading("row")(names[n + 1]), ...row.map(entry(most))),
      );
      const caption = make("caption", {}, `${title}: mean over layers, each pair`);
      return make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...rows));
    };
    const opened = make("summary", {}, "Choose a pair in a heat map");
    return [chooser, make("details", { className: "figure-pairs" }, opened, ...maps.map(map))];
  };

  const kinds = { menu, pairs, slider };
  figures.forEach((figure, place) => {
    const made = specs.get(figure).controls.map((control, n) => {
      const apply = async (number) => {
        await draw(figure);
        const { method, args } = control.buttons[number];
        await Plotly[method](figure, ...structuredClone(args));
        const taken = titles(figure, figure.layout);
        if (Object.keys(taken).length) await Plotly.relayout(figure, taken);
      };
      return kinds[control.kind](control, `figure-${place}-${n}`, apply);
    });
    // Heat maps come after all that stands in a row.
    const row = [...made.map(([first]) => first), ...made.flatMap(([, ...under]) => under)];
    if (row.length) figure.parentElement.previousElementSibling.append(...row);
  });

  // Heights first, so that the page does not move while figures are drawn.
  figures.forEach(fitting);

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
