import { spawnSync } from 'node:child_process';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const found = NAMES.find((name) => spawnSync('which', [name]).status === 0);

/** For `test(name, { skip: BROWSER_MISSING }, …)`: false, or why there is no browser to test with. */
export const BROWSER_MISSING: string | false =
  found === undefined && 'there is no chromium (apt-get install chromium)';

/** The distribution's Chromium, without a window. */
export function openBrowser(): Promise<Browser> {
  const executablePath = spawnSync('which', [found!], { encoding: 'utf8' }).stdout.trim();
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}

/** What axe has against a page as it is shown now: rule, how bad, and where. */
export async function accessibilityFaults(page: Page): Promise<readonly string[]> {
  // Not as a script of the page, whose policy lets in none.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations.map(
    ({ id, impact, nodes }) =>
      `${id} (${impact}): ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`,
  );
}
