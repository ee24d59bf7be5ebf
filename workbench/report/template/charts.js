"use strict";

// Unpacks plotly.js, then draws each chart from the JSON beside its place. Needs no network and no eval.
(async () => {
  const plots = [...document.querySelectorAll(".plot")];
  try {
    const packed = document.getElementById("plotly-packed").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
    for (const plot of plots) {
      const figure = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
      await Plotly.newPlot(plot, figure.data, figure.layout, { responsive: true, displaylogo: false });
    }
    document.documentElement.dataset.charts = "drawn";
  } catch (error) {
    for (const plot of plots.filter((each) => !each.classList.contains("js-plotly-plot"))) {
      plot.textContent = "This browser cannot draw the chart. Its data are in the table below.";
    }
    console.error("charts cannot be drawn:", error);
  }
})();
