import { LIMITS, RondoError } from '@rondo/core';
import type { Kitchen } from './answer.ts';
import type { Model, NamedBundle } from './model.ts';

interface ModelsLoad {
  readonly draining: boolean;
  /** Requests in flight of all models, waiting ones included. */
  readonly interactive: number;
  /** Sequences that no worker had room for yet, at the model with the fewest. */
  readonly interactiveWaiting: number;
  /** Share of the KV positions that is spoken for at the model that has most left, 0 to 1. */
  readonly reservedShare: number;
}

/** All that one coordinator serves, each by its name. */
export class Models {
  /** In the order given; at least one. */
  readonly all: readonly Model[];

  constructor(all: readonly Model[]) {
    this.all = all;
  }

  /** Every name that may be asked for. */
  get names(): string[] {
    return this.all.map(({ name }) => name);
  }

  /**
   * What serves a request with this body. One that names no model gets the first: what it lacks is said where it is parsed.
   * @throws RondoError MODEL_NOT_FOUND for a name that is not served.
   */
  kitchen(body: unknown): Kitchen {
    const asked = (body as { readonly model?: unknown } | null | undefined)?.model;
    if (typeof asked !== 'string') return this.all[0]!.kitchen;
    const model = this.all.find(({ name }) => name === asked);
    if (model === undefined) throw this.unknown(asked);
    return model.kitchen;
  }

  unknown(asked: string): RondoError {
    const served = this.names.map((name) => `'${name}'`).join(', ');
    return new RondoError(
      'MODEL_NOT_FOUND',
      `the model '${asked}' does not exist; this server has ${served}`,
      { param: 'model' },
    );
  }

  /** Refuses every request from now on. */
  drain(): void {
    for (const { kitchen } of this.all) kitchen.admission.drain();
  }

  get draining(): boolean {
    return this.all[0]!.kitchen.admission.draining;
  }

  /** How busy they are, as work that can wait sees it: what is for one that has no room is refused there. */
  get load(): ModelsLoad {
    const least = (of: (kitchen: Kitchen) => number) =>
      Math.min(...this.all.map(({ kitchen }) => of(kitchen)));
    return {
      draining: this.draining,
      interactive: this.all.reduce((sum, { kitchen }) => sum + kitchen.admission.inFlight, 0),
      interactiveWaiting: least(({ generation }) => generation.waiting),
      reservedShare: least(({ generation }) => generation.reservedShare),
    };
  }

  close(): void {
    for (const { membership } of this.all) membership.close();
  }
}

/** The same models. @throws RondoError CONFIG_INVALID when there are none or too many, or a name or bundle is there twice. */
export function checkModels(models: readonly NamedBundle[]): readonly NamedBundle[] {
  const wrong = (message: string) => new RondoError('CONFIG_INVALID', message);
  if (models.length === 0) throw wrong('a coordinator needs at least one model, --model directory');
  if (models.length > LIMITS.modelsMax) {
    throw wrong(
      `--model is there ${models.length} times; one coordinator serves at most ${LIMITS.modelsMax}`,
    );
  }
  for (const [index, { name, bundle }] of models.entries()) {
    for (const other of models.slice(0, index)) {
      if (other.name === name) {
        throw wrong(
          `two models are named '${name}'; name one of them otherwise: --model other-name=directory`,
        );
      }
      // Their workers could not be told apart.
      if (other.bundle.digest === bundle.digest) {
        throw wrong(`models '${other.name}' and '${name}' are the same bundle; for another name use --route`);
      }
    }
  }
  return models;
}
