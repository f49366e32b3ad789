// Charts over the pictures that the server has drawn: axes, a tooltip, the width at hand.

import { use, init } from "echarts/core";
import { LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";

use([LineChart, AriaComponent, GridComponent, TooltipComponent, CanvasRenderer]);

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Formats values: counts, or minor units of a currency. */
function formats(money) {
  if (!money) {
    const whole = new Intl.NumberFormat("en-GB");
    const axis = new Intl.NumberFormat("en-GB", { notation: "compact" });
    return { value: (v) => whole.format(v), axis: (v) => (Number.isInteger(v) ? axis.format(v) : "") };
  }
  const scale = 10 ** money.digits;
  const currency = { style: "currency", currency: money.code, currencyDisplay: "narrowSymbol" };
  const exact = new Intl.NumberFormat("en-GB", currency);
  const axis = new Intl.NumberFormat("en-GB", { ...currency, notation: "compact", maximumFractionDigits: 1 });
  return { value: (v) => exact.format(v / scale), axis: (v) => axis.format(v / scale) };
}

function lineOption(data) {
  const { value, axis } = formats(data.money);
  const [now, before] = data.series;
  const font = getComputedStyle(document.body).fontFamily;
  const quiet = { color: token("--ink-3"), fontFamily: font, fontSize: 11 };
  const point = (item) => {
    const series = data.series[item.seriesIndex];
    return `${item.marker}${(series.labels ?? data.labels)[item.dataIndex] ?? ""}   ${value(item.value)}`;
  };
  return {
    animation: !still.matches,
    animationDuration: 250,
    aria: { enabled: false },
    grid: { left: 4, right: 8, top: 12, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      // Drawn into the canvas: the page's policy allows no inline style.
      renderMode: "richText",
      backgroundColor: token("--card"),
      borderColor: token("--line-2"),
      textStyle: {
        color: token("--ink"),
        fontFamily: font,
        fontSize: 12,
        lineHeight: 18,
      },
      axisPointer: { lineStyle: { color: token("--line-2") } },
      formatter: (items) => items.map(point).join("\n"),
    },
    xAxis: {
      type: "category",
      data: data.labels,
      boundaryGap: data.labels.length < 2,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: token("--line-2") } },
      axisLabel: { ...quiet, hideOverlap: true, margin: 10 },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      minInterval: data.money ? 0 : 1,
      axisLabel: { ...quiet, formatter: axis },
      splitLine: { lineStyle: { color: token("--line") } },
    },
    series: [
      {
        name: now.name,
        type: "line",
        data: now.values,
        z: 3,
        showSymbol: now.values.length < 2,
        lineStyle: { width: 2, color: token("--c1") },
        itemStyle: { color: token("--c1") },
        areaStyle: { color: token("--c1"), opacity: 0.1 },
      },
      before && {
        name: before.name,
        type: "line",
        data: before.values.slice(0, now.values.length),
        showSymbol: false,
        lineStyle: { width: 1.5, type: [4, 4], color: token("--ink-3") },
        itemStyle: { color: token("--ink-3") },
      },
    ].filter(Boolean),
  };
}

const drawn = new Map();

function draw(plot) {
  const data = JSON.parse(plot.dataset.line);
  drawn.get(plot)?.dispose();
  plot.replaceChildren();
  const chart = init(plot, null, { renderer: "canvas" });
  chart.setOption(lineOption(data));
  drawn.set(plot, chart);
  resize.observe(plot);
}

const resize = new ResizeObserver((entries) => {
  for (const { target } of entries) drawn.get(target)?.resize();
});

function drawAll() {
  for (const plot of drawn.keys()) {
    if (plot.isConnected) continue;
    resize.unobserve(plot);
    drawn.get(plot).dispose();
    drawn.delete(plot);
  }
  for (const plot of document.querySelectorAll("[data-line]")) if (!drawn.has(plot)) draw(plot);
}

dark.addEventListener("change", () => [...drawn.keys()].forEach(draw));
document.addEventListener("htmx:afterSettle", drawAll);
drawAll();
