/** Figures as a picture: SVG, drawn by echarts without a browser. */
import * as echarts from 'echarts';
import { NODES } from '../../simulator/aws/calls.ts';
import type { SteadyFigure } from './steady.ts';
import type { StormFigure } from './storm.ts';

const WIDTH = 1100;
const HEIGHT = 460;

/** Left: messages for each second of CPU. Right: how much of each API's lasting rate a quiet fleet uses. */
export function plot(storms: readonly StormFigure[], steadies: readonly SteadyFigure[]): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  const axis = { nameLocation: 'middle', nameGap: 30 } as const;
  // Without a browser widths of texts are guessed.
  const legend = { itemGap: 34, itemWidth: 14, textStyle: { fontSize: 10 } } as const;
  const apis = [...new Set(steadies.flatMap((f) => f.uses.filter((u) => u.share !== null).map((u) => u.api)))];
  const kinds = [...new Set(storms.map(titleOf))];
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: [
      { text: 'Messages a second of CPU', left: '5%', top: 0, textStyle: { fontSize: 14 } },
      { text: "Quiet fleet: share of each API's lasting rate", left: '55%', top: 0, textStyle: { fontSize: 14 } },
    ],
    grid: [
      { left: '6%', width: '38%', top: 104, bottom: 50 },
      { left: '56%', width: '40%', top: 104, bottom: 50 },
    ],
    legend: [
      { ...legend, data: kinds, left: '5%', top: 24, width: '42%' },
      { ...legend, data: apis, left: '53%', top: 24, width: '46%' },
    ],
    xAxis: [
      { ...axis, type: 'log', name: 'messages', gridIndex: 0 },
      { ...axis, type: 'log', name: 'clusters', gridIndex: 1 },
    ],
    yAxis: [
      { type: 'log', gridIndex: 0 },
      { type: 'log', gridIndex: 1, axisLabel: { formatter: (share: number) => `${+(share * 100).toPrecision(2)} %` } },
    ],
    series: [
      ...kinds.map((name) => ({
        ...{ name, type: 'line' as const, xAxisIndex: 0, yAxisIndex: 0 },
        data: storms.filter((s) => titleOf(s) === name).map((s) => [s.messages, Math.round(s.messagesPerCpuSecond)]),
      })),
      ...apis.map((name, n) => ({
        ...{ name, type: 'line' as const, xAxisIndex: 1, yAxisIndex: 1 },
        data: steadies.map((f) => [f.clusters, f.uses.find((u) => u.api === name)?.share ?? null]),
        ...(n === 0 && {
          markLine: {
            symbol: 'none',
            lineStyle: { color: '#c00' },
            data: [{ yAxis: 1, label: { formatter: 'quota' } }],
          },
        }),
      })),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

const titleOf = ({ messages, clusters, meeting }: StormFigure): string =>
  `${clusters === Math.ceil(messages / NODES) ? 'a message for each node' : `${clusters} clusters`}, ${meeting}`;
