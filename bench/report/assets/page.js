"use strict";
(() => {
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: value("--line"), zerolinecolor: value("--line"), linecolor: value("--line") };
    return {
      "paper_bgcolor": "rgba(0,0,0,0)",
      "plot_bgcolor": "rgba(0,0,0,0)",
      "font.color": value("--text"),
      "hoverlabel.bgcolor": value("--panel"),
      "hoverlabel.font.color": value("--text"),
      ...Object.fromEntries(["xaxis", "yaxis"].flatMap((name) =>
        Object.entries(axis).map(([key, colour]) => [`${name}.${key}`, colour]))),
    };
  };
  const plots = [...document.querySelectorAll("script[data-plot]")].map((script) => {
    const element = document.getElementById(script.dataset.plot);
    const figure = JSON.parse(script.textContent);
    // On a phone there is no room for texts within a plot; touching a point shows them.
    if (element.clientWidth < 500) figure.data.forEach((trace) => {
      delete trace.texttemplate;
      if (trace.mode === "markers+text") trace.mode = "markers";
    });
    figure.layout.font = { size: element.clientWidth < 500 ? 10 : 12, family: getComputedStyle(document.body).fontFamily };
    Plotly.newPlot(element, figure.data, figure.layout, { responsive: true, displayModeBar: false });
    Plotly.relayout(element, colours());
    return element;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    plots.forEach((element) => Plotly.relayout(element, colours())));

  const key = (cell) => {
    const number = parseFloat(cell.textContent.replace("+", ""));
    return Number.isNaN(number) ? cell.textContent : number;
  };
  const order = (one, other) =>
    typeof one === typeof other ? (one > other) - (one < other) : typeof one === "number" ? -1 : 1;
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
      rows.sort((one, other) => (up ? 1 : -1) * order(one[0], other[0]));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    }));
  });
})();
