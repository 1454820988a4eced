import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Answers that wait behind another one on their connection. Node does not tell these when it closes. */
export class PipelinedAnswers {
  readonly #bySocket = new WeakMap<Socket, Set<ServerResponse>>();

  add(socket: Socket, response: ServerResponse): void {
    const answers = this.#bySocket.get(socket) ?? new Set();
    this.#bySocket.set(socket, answers.add(response));
    response.once('close', () => answers.delete(response));
  }

  /** `socket` has closed: what still waits there ends as if it had been written to. */
  abandon(socket: Socket): void {
    for (const response of this.#bySocket.get(socket) ?? []) {
      if (response.socket !== null) continue;
      response.destroy();
      response.emit('close');
    }
  }
}
