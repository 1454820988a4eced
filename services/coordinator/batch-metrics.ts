import type { Metrics } from '@rondo/chassis';

/** What a coordinator counts about batches. */
export class BatchMetrics {
  readonly open;
  readonly linesRunning;
  readonly lines;
  readonly ended;

  constructor(metrics: Metrics) {
    this.open = metrics.gauge('rondo_batch_open', 'Batches that have not ended, of all coordinators');
    this.linesRunning = metrics.gauge('rondo_batch_lines_running', 'Lines of batches that run here');
    this.lines = metrics.counter('rondo_batch_lines_total', 'Lines of batches by what came of them here', [
      'outcome',
    ]);
    this.ended = metrics.counter('rondo_batch_ended_total', 'Batches that came to an end here', ['status']);
  }
}
