import { LIMITS, RondoError } from '@rondo/core';
import type { Model, NamedBundle } from './model.ts';
import type { ModelService } from './model-service.ts';
import { type RequestMarks, type Split, stickyKey, variantOf } from './variant-policy.ts';

/** Who answers a request. */
export interface Served {
  /** The name that was asked for. */
  readonly asked: string;
  readonly model: Model;
  /** The model's, under the name that was asked for. */
  readonly service: ModelService;
}

/** What clients are told of a name that they may ask for. */
export interface Listed {
  readonly name: string;
  /** Positions of the longest sequence, whichever model answers. */
  readonly most: number;
  readonly maxDepth: number;
}

interface KnownSplit {
  readonly split: Split;
  /** Of each variant that may get requests. */
  readonly served: ReadonlyMap<string, Served>;
}

interface ModelsLoad {
  readonly draining: boolean;
  /** Requests in flight of all models, waiting ones included. */
  readonly interactive: number;
  /** As many may be in flight of each. */
  readonly inFlightMax: number;
  /** Sequences that no worker had room for yet, at the model with the fewest. */
  readonly interactiveWaiting: number;
  /** Share of the KV positions that is spoken for at the model that has most left, 0 to 1. */
  readonly reservedShare: number;
}

/** All that one coordinator serves, each by its name. */
export class Models {
  /** In the order given; at least one. */
  readonly all: readonly Model[];

  readonly #splits: ReadonlyMap<string, KnownSplit>;

  constructor(all: readonly Model[], splits: readonly Split[] = []) {
    this.all = all;
    this.#splits = new Map(splits.map((split) => [split.name, this.#known(split)]));
  }

  /** Every name that may be asked for. */
  get names(): string[] {
    return [...this.all.map(({ name }) => name), ...this.#splits.keys()];
  }

  /**
   * Who answers a request with this body. One that names no model gets the first: what it lacks is said where it is parsed.
   * @throws RondoError MODEL_NOT_FOUND for a name that is not served.
   */
  serve(body: unknown, marks: Omit<RequestMarks, 'user'>): Served {
    const { model: asked, user, safety_identifier: successor } = fieldsOf(body);
    const known = typeof asked === 'string' ? this.#splits.get(asked) : undefined;
    if (known === undefined) {
      const model = this.named(asked);
      return { asked: model.name, model, service: model.service };
    }
    const marked = [user, successor].find(
      (field): field is string => typeof field === 'string' && field !== '',
    );
    return known.served.get(variantOf(known.split, stickyKey({ ...marks, user: marked })))!;
  }

  /** What stands for a name where nothing is generated: of a split, its first variant. @throws as `serve` does */
  serviceFor(body: unknown): ModelService {
    const { model: asked } = fieldsOf(body);
    const known = typeof asked === 'string' ? this.#splits.get(asked) : undefined;
    if (known === undefined) return this.named(asked).service;
    return [...known.served.values()][0]!.service;
  }

  /** The model of that name, or the first where none is named. @throws RondoError MODEL_NOT_FOUND */
  named(asked: unknown): Model {
    if (typeof asked !== 'string') return this.all[0]!;
    const model = this.all.find(({ name }) => name === asked);
    if (model === undefined) throw this.#unknown(asked);
    return model;
  }

  get listed(): Listed[] {
    return this.names.map((name) => this.describe(name));
  }

  /** @throws RondoError MODEL_NOT_FOUND */
  describe(name: string): Listed {
    const served = this.#splits.get(name)?.served.values();
    const models = served ? [...served].map(({ model }) => model) : [this.named(name)];
    const least = (of: (service: ModelService) => number) =>
      Math.min(...models.map(({ service }) => of(service)));
    return {
      name,
      most: least(({ model }) => model.context.most),
      maxDepth: least(({ model }) => model.manifest.maxDepth),
    };
  }

  #known(split: Split): KnownSplit {
    const served = split.variants
      .filter(({ weight }) => weight > 0)
      .map(({ model: name }): [string, Served] => {
        const model = this.named(name);
        return [name, { asked: split.name, model, service: model.servedAs(split.name) }];
      });
    return { split, served: new Map(served) };
  }

  #unknown(asked: string): RondoError {
    const served = this.names.map((name) => `'${name}'`).join(', ');
    return new RondoError(
      'MODEL_NOT_FOUND',
      `the model '${asked}' does not exist; this server has ${served}`,
      { param: 'model' },
    );
  }

  /** Refuses every request from now on. */
  drain(): void {
    for (const { service } of this.all) service.admission.drain();
  }

  get draining(): boolean {
    return this.all[0]!.service.admission.draining;
  }

  /** How busy they are, as work that can wait sees it: what is for one that has no room is refused there. */
  get load(): ModelsLoad {
    const least = (of: (service: ModelService) => number) =>
      Math.min(...this.all.map(({ service }) => of(service)));
    return {
      draining: this.draining,
      interactive: this.all.reduce((sum, { service }) => sum + service.admission.inFlight, 0),
      inFlightMax: least(({ admission }) => admission.inFlightMax),
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

/** Fields of a body that nobody has checked yet. */
const fieldsOf = (body: unknown): Readonly<Record<string, unknown>> =>
  typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
