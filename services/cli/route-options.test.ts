import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routesOption, shadowsOption } from './route-options.ts';

const refuses = (parse: (value: string) => unknown, option: string, values: readonly string[]): void => {
  for (const value of values) {
    assert.throws(
      () => parse(value),
      (error: Error) => error.message.startsWith(`${option} ${value || "''"}: expected name=model:`),
      `took '${value}'`,
    );
  }
};

test('a route names models and whole weights', () => {
  const parse = routesOption('--route');
  const first = parse('chat=orig:90,looped:10');
  assert.deepEqual(parse('org/x=a:0,b:1000000', first), [
    {
      name: 'chat',
      variants: [
        { model: 'orig', weight: 90 },
        { model: 'looped', weight: 10 },
      ],
    },
    {
      name: 'org/x',
      variants: [
        { model: 'a', weight: 0 },
        { model: 'b', weight: 1_000_000 },
      ],
    },
  ]);
  const wrong = [
    '',
    'chat',
    'chat=',
    '=a:1',
    'chat=a',
    'chat=a:',
    'chat=a:1,',
    'chat=a:-1',
    'chat=a:1.5',
    'chat=a:1e3',
  ];
  refuses(parse, '--route', [
    ...wrong,
    'chat=a:1=b',
    'chat=a:1:2',
    'chat=a:1000001',
    'chat=a:NaN',
    'ch at=a:1',
    'chat=:1',
  ]);
});

test('a shadow names one model and a percentage', () => {
  const parse = shadowsOption('--shadow');
  assert.deepEqual(parse('chat=looped:5', parse('chat=x:0.5')), [
    { of: 'chat', model: 'x', share: 0.005 },
    { of: 'chat', model: 'looped', share: 0.05 },
  ]);
  refuses(parse, '--shadow', [
    '',
    'chat',
    'chat=a',
    'chat=a:0',
    'chat=a:101',
    'chat=a:-1',
    'chat=a:5%',
    'chat=a:5,b:5',
  ]);
});
