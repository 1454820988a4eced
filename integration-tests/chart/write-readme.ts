import { writeFileSync } from 'node:fs';
import { chartReadme, README } from './chart-readme.ts';

writeFileSync(README, chartReadme());
