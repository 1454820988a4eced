/**
 * `make screenshots`: takes the pictures of the console that docs/ shows, of a cluster of its own under a little load.
 * Arguments: the bundle to serve, and where the pictures go.
 */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { BROWSER_MISSING, openBrowser } from './browser.ts';
import { RondoProcess } from './rondo-process.ts';

const QUESTION = 'What is the capital of France, and what is it known for?';
const OTHERS = ['Tell me about the sea.', 'Why is the sky blue?', 'Write a short poem about a clock.'];
/** Long enough that the plots have something to show. */
const LOAD_MS = 20_000;
/** A whole answer on a busy machine. */
const SLOW_MS = 180_000;

if (BROWSER_MISSING !== false) throw new Error(BROWSER_MISSING);
const [bundle = '', directory = ''] = process.argv.slice(2);
await using cluster = await RondoProcess.start(
  ...[
    'run',
    '--model',
    bundle,
    '--listen',
    '127.0.0.1:0',
    '--workers',
    '2',
    '--threads',
    '1',
    '--kv-mb',
    '256',
  ],
);
const url = cluster.ready;
const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };

let busy = true;
const load = OTHERS.map(async (content, index) => {
  for (let turn = 0; busy; turn++) {
    const body = {
      model: data[0]!.id,
      messages: [{ role: 'user', content }],
      max_tokens: 60,
      seed: turn + index,
    };
    const headers = { 'content-type': 'application/json' };
    await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(body) }).then(
      (response) => response.text(),
    );
  }
});

const browser = await openBrowser();

/** Opens the page, asks, and takes a picture once the answer is there. */
async function picture(name: string, scheme: 'dark' | 'light', size: { width: number; height: number }) {
  const page = await browser.newPage({ colorScheme: scheme, viewport: size });
  page.setDefaultTimeout(SLOW_MS);
  await page.goto(`${url}/console`);
  await page.locator('#status[data-state="live"]').waitFor();
  await page.waitForTimeout(LOAD_MS);
  await page.fill('#prompt', QUESTION);
  await page.press('#prompt', 'Enter');
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await page.getByRole('button', { name: 'Send' }).waitFor();
  await openRequest(page);
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
  await page.close();
}

/** The newest request that has ended, at its slowest token; nothing where requests are not kept. */
async function openRequest(page: Page): Promise<void> {
  const ended = page.locator('tr:has([data-state="finished"]) button').first();
  if ((await ended.count()) === 0) return;
  await ended.click();
  await page.locator('.waterfall').waitFor();
  await page.keyboard.press('s');
}

await picture('console', 'dark', { width: 1280, height: 900 });
await picture('console-light', 'light', { width: 1280, height: 900 });
await picture('console-phone', 'dark', { width: 390, height: 844 });
busy = false;
await Promise.all(load);
await browser.close();
