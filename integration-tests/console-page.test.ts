import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { accessibilityFaults, BROWSER_MISSING, openBrowser } from './browser.ts';
import { freePort } from './free-port.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';
import { ToldStream } from './told-stream.ts';

const LOOPS = 3;
/** Tokens of each answer. */
const ANSWER = 40;
const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 900 } };
const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 740 }, hasTouch: true };

/** In the page: whether a row is drawn on the ring. */
const DRAWN = `(() => {
  const canvas = document.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value) => value > 0);
})()`;

/** Asked from here again and again: the page's policy lets nothing in it evaluate code, which waiting there would do. */
async function untilDrawn(page: Page): Promise<void> {
  while (!(await page.evaluate(DRAWN))) await page.waitForTimeout(20);
}

describe('the console in a browser', { skip: BROWSER_MISSING }, () => {
  let bundle: TinyBundle;
  let browser: Browser;
  let port: number;
  let cluster: RondoProcess;

  const startCluster = (model = bundle.directory) =>
    RondoProcess.start(
      ...['run', '--model', model, '--listen', `127.0.0.1:${port}`, '--placement', 'homed'],
      ...['--workers', '2', '--threads', '1', '--kv-mb', '16'],
    );
  const url = () => `http://127.0.0.1:${port}`;

  before(async () => {
    [bundle, browser, port] = await Promise.all([TinyBundle.make(LOOPS), openBrowser(), freePort()]);
    cluster = await startCluster();
  });
  after(async () => {
    await browser.close();
    await cluster.stop();
    await bundle[Symbol.asyncDispose]();
  });

  /** Opens the page, closes it after `look`, and holds it to being without faults of its own and without assets from elsewhere. */
  async function visit(options: BrowserContextOptions, look: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', ({ message }) => faults.push(message));
    page.on('request', (request) => {
      if (!/^data:/.test(request.url()) && !request.url().startsWith(url())) faults.push(request.url());
    });
    page.on('console', (message) => {
      if (/policy/i.test(message.text())) faults.push(message.text());
    });
    try {
      await page.goto(`${url()}/console`);
      await page.locator('#status[data-state="live"]').waitFor();
      await look(page);
      assert.deepEqual(faults, []);
    } finally {
      await context.close();
    }
  }

  /** Sends a message and returns the id of its request; what is answered is the same each time, and its tokens leave after `passes`, one after the other. */
  async function chat(page: Page, passes: readonly number[] = [LOOPS]): Promise<string> {
    const dictated = { seed: 7, ignore_eos: true, max_tokens: ANSWER, exit_depths: passes };
    await page.route('**/v1/chat/completions', (route) =>
      route.continue({ postData: { ...route.request().postDataJSON(), ...dictated } }),
    );
    const answered = page.waitForResponse('**/v1/chat/completions');
    await page.keyboard.press('/');
    await page.keyboard.type('What goes around?');
    await page.keyboard.press('Enter');
    await page.locator(`#answer[aria-busy="false"] span:nth-child(${ANSWER})`).waitFor({ state: 'attached' });
    return (await (await answered).allHeaders())['x-request-id']!;
  }

  test('it streams a chat whose tokens have the colour of the depth at which they left', async () => {
    await visit(DESKTOP, async (page) => {
      await chat(page, [1, 3, 2]);
      const tokens = await page.evaluate<[passes: number, colour: string][]>(
        `[...document.querySelectorAll('#answer span')].map((token) =>
          [Number(token.dataset.passes), getComputedStyle(token).borderBottomColor])`,
      );
      assert.equal(tokens.length, ANSWER);
      const colours = new Map(tokens);
      assert.deepEqual([...colours.keys()].sort(), [1, 2, 3]);
      assert.equal(new Set(colours.values()).size, 3);
      for (const [passes, colour] of tokens) assert.equal(colour, colours.get(passes));
    });
  });

  test('it shows where rows leave the loop, and rows move round it', async () => {
    await visit(DESKTOP, async (page) => {
      const stream = new ToldStream(url(), { prompt: [5, 6], max_tokens: 400, exit_depths: [1, 2] });
      await stream.ended;
      const share = (depth: number) => page.locator('.depths li').nth(depth).locator('.exits').innerText();
      await untilDrawn(page);
      assert.notEqual(await share(0), '0 % left');
      assert.notEqual(await share(1), '0 % left');
    });
  });

  /** Opens a request once it has ended, as a keyboard does. */
  const openRequest = async (page: Page, id: string) => {
    await page.locator(`tr:has([data-state="finished"]) button[title="${id}"]`).focus();
    await page.keyboard.press('Enter');
    await page.locator('.scroll:focus').waitFor();
  };

  test('a request opens into its passes by worker and depth, and the keyboard walks through them', async () => {
    await visit(DESKTOP, async (page) => {
      await openRequest(page, await chat(page, [1, 3, 2]));
      // The prompt's pass at each depth, and those of every token but the first, which the prompt's last row gives.
      const taken = Array.from({ length: ANSWER - 1 }, (_, index) => [1, 3, 2][(index + 1) % 3]!);
      const passes = LOOPS + taken.reduce((sum, count) => sum + count, 0);
      assert.equal(await page.locator('.pass').count(), passes);
      const lanes = await page.locator('.lane-names li').allInnerTexts();
      assert.deepEqual(
        lanes.map((lane) => lane.replace(/^worker-\d\s+/, 'depth ')),
        ['queue', 'place', 'prefill', 'decode', 'depth 0', 'depth 1', 'depth 2'],
      );
      const told = () => page.locator('#chosen-pass').innerText();
      assert.match(
        await told(),
        /^\d+ prompt rows from position \d+, depth 0 on worker-\d: waited .* ms, ran/,
      );
      await page.keyboard.press('ArrowDown');
      assert.match(await told(), /^\d+ prompt rows from position \d+, depth 1 on/);
      await page.keyboard.press('End');
      assert.match(await told(), new RegExp(`^token ${ANSWER - 1}, depth .*left the loop here`));
      const [, slowest] = /^slowest token (\d+)/.exec(await page.locator('.times button').innerText())!;
      await page.keyboard.press('s');
      assert.match(await told(), new RegExp(`^token ${slowest}, `));
      await page.keyboard.press('Escape');
      assert.equal(await page.locator('.waterfall').count(), 0);
      assert.equal(await page.evaluate('document.activeElement.ariaExpanded'), 'false');
    });
  });

  test('nothing moves for whoever prefers that', async () => {
    await visit({ ...DESKTOP, reducedMotion: 'reduce' }, async (page) => {
      let settled = false;
      const shown = page
        .locator('.rate', { hasNotText: /^0$/ })
        .waitFor()
        .finally(() => {
          settled = true;
        });
      // A rate is shown for the time of a frame only: streams go on until one was seen.
      while (!settled) await new ToldStream(url(), { prompt: [5, 6], max_tokens: 50 }).ended;
      await shown;
      assert.equal(await page.evaluate(DRAWN), false);
    });
  });

  test('it finds a coordinator that was restarted', async () => {
    await visit(DESKTOP, async (page) => {
      assert.equal(await cluster.stop(), 0);
      await page.locator('#status[data-state="reconnecting"]').waitFor();
      cluster = await startCluster();
      await page.locator('#status[data-state="live"]').waitFor();
      await chat(page);
      assert.ok((await page.locator('#answer').innerText()).length > 0);
    });
  });

  test('it asks the model that a restarted coordinator serves', async () => {
    await visit(DESKTOP, async (page) => {
      await chat(page);
      assert.equal(await cluster.stop(), 0);
      cluster = await startCluster(`other=${bundle.directory}`);
      await page.locator('.models', { hasText: 'other' }).waitFor();
      const answered = page.waitForResponse('**/v1/chat/completions');
      await page.getByRole('button', { name: 'Send' }).click();
      const answer = await answered;
      assert.equal(answer.status(), 200);
      assert.equal((answer.request().postDataJSON() as { model: string }).model, 'other');
    });
    assert.equal(await cluster.stop(), 0);
    cluster = await startCluster();
  });

  test('a key that cannot be sent is refused where it is typed, and the next one is taken', async () => {
    await visit(DESKTOP, async (page) => {
      await page.route('**/console/live', async (route) => {
        if ((await route.request().headerValue('authorization')) === 'Bearer good') await route.continue();
        else await route.fulfill({ status: 401, json: { error: { message: 'no' } } });
      });
      await page.reload();
      const key = page.getByLabel('API key');
      await key.fill('go\u200bod');
      await page.getByRole('button', { name: 'Use' }).click();
      await page.getByRole('alert').filter({ hasText: 'Character 3 of this key is U+200B' }).waitFor();
      await key.fill(' good ');
      await page.getByRole('button', { name: 'Use' }).click();
      await page.locator('#status[data-state="live"]').waitFor();
    });
  });

  for (const colorScheme of ['dark', 'light'] as const) {
    test(`axe has nothing against it in ${colorScheme}`, async () => {
      await visit({ ...DESKTOP, colorScheme }, async (page) => {
        await openRequest(page, await chat(page));
        assert.deepEqual(await accessibilityFaults(page), []);
      });
    });
  }

  test('on a phone nothing is wider than the screen, and axe has nothing against it', async () => {
    await visit(PHONE, async (page) => {
      await openRequest(page, await chat(page));
      assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')) <= 0);
      assert.deepEqual(await accessibilityFaults(page), []);
    });
  });

  test('the theme is chosen by a button, and stays', async () => {
    await visit({ ...DESKTOP, colorScheme: 'dark' }, async (page) => {
      const ground = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
      const dark = await ground();
      const button = page.getByRole('button', { name: /^Theme/ });
      await button.click();
      assert.equal(await ground(), dark);
      await button.click();
      const light = await ground();
      assert.notEqual(light, dark);
      await page.reload();
      assert.equal(await ground(), light);
    });
  });
});
