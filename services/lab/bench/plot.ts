import type { Plot, Row } from './suite.ts';

/**
 * Draws `plot` over `rows` as an SVG document.
 * @throws whatever vega says about a specification that it cannot draw.
 */
export async function drawPlot(plot: Plot, rows: readonly Row[]): Promise<string> {
  // Loaded here: no other command should wait for it.
  const { compile } = await import('vega-lite');
  const { parse, View } = await import('vega');
  const spec = { data: { values: rows.map((row) => ({ ...row })) }, title: plot.title, ...plot.spec };
  const compiled = compile(spec as Parameters<typeof compile>[0]).spec;
  const view = new View(parse(compiled), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
