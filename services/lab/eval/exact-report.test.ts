import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactScore, exactText } from './exact-report.ts';

const columns = (byTask: Readonly<Record<string, number>>): string[][] =>
  exactText([{ exit: 'depth 2', meanPasses: 2, all: 0.4, byTask }])
    .split('\n')
    .slice(0, 2)
    .map((line) => line.split(/ {2,}/));

test('a task that is called as another column leaves that column alone', () => {
  assert.deepEqual(columns({ all: 0.5, exit: 0, passes: 1, sum: 0.25, 'task all': 0.75 }), [
    ['exit', 'passes', 'all', 'task all', 'task exit', 'task passes', 'sum', 'task task all'],
    ['depth 2', '2', '40', '50', '0', '100', '25', '75'],
  ]);
});

test('a task may be called as what every object has', () => {
  const names = ['__proto__', 'constructor', 'toString'];
  const questions = names.map((task) => ({ task, prompt: [1], answer: [], ends: [2] }));
  const answers = questions.map(() => ({ right: true, passes: [2] }));
  const { byTask } = exactScore(questions, { exit: { kind: 'depth', passes: 2 }, answers });
  assert.deepEqual(columns(byTask), [
    ['exit', 'passes', 'all', ...names],
    ['depth 2', '2', '40', '100', '100', '100'],
  ]);
});
