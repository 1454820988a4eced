import type { Bundle } from '@rondo/bundle';
import { type Logger, type Metrics, moduleLog } from '@rondo/chassis';
import { systemClock } from '@rondo/core';
import { Admission } from './admission.ts';
import { contextRoom } from './context-room.ts';
import { Generation } from './generation.ts';
import type { ModelFacts } from './generation-fields.ts';
import { Membership } from './membership.ts';
import type { ModelService } from './model-service.ts';
import type { OpeningOptions } from './opening.ts';
import type { Placement } from './placement.ts';
import { SequenceMetrics } from './sequence-metrics.ts';
import { openText } from './text.ts';
import type { LinkOptions } from './worker-link.ts';

/** A bundle and the name that clients ask for it by. */
export interface NamedBundle {
  readonly name: string;
  readonly bundle: Bundle;
}

export interface ModelOptions extends NamedBundle, Omit<LinkOptions, 'bundle'> {
  readonly placement: Placement;
  /** Requests held at once, running and waiting. */
  readonly requestsInFlight: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** A bundle under its name: its text, the workers that hold it, and all that is generated on them. */
export class Model {
  readonly name: string;
  readonly bundle: Bundle;
  readonly membership: Membership;
  readonly service: ModelService;
  readonly #placement: Placement;

  /** @throws RondoError BUNDLE_INVALID for unusable tokenizer files. */
  static async open(options: ModelOptions): Promise<Model> {
    return new Model(options, await openText(options.bundle));
  }

  private constructor(options: ModelOptions, codec: ModelService['codec']) {
    const { name, bundle, placement, requestsInFlight, log, metrics } = options;
    const { manifest } = bundle;
    this.name = name;
    this.#placement = placement;
    this.bundle = bundle;
    const distrusted = metrics
      .labelled({ model: name })
      .gauge('rondo_workers_distrusted', 'Workers that contradicted and have not made good for it yet');
    const links = { ...options, log: moduleLog(log, 'workers') };
    this.membership = new Membership(links, manifest.maxDepth, (workers) => distrusted.set(workers));
    this.service = {
      model: facts(options, this.membership),
      codec,
      admission: new Admission(requestsInFlight),
      log,
      generation: this.#generation(new SequenceMetrics(metrics.labelled({ model: name }))),
    };
  }

  /** The same for requests for `asked` that are run without being answered: counted apart, and never in the line of those that are. */
  shadowService(asked: string, metrics: Metrics): ModelService {
    const counted = new SequenceMetrics(metrics.labelled({ model: this.name }), 'rondo_shadow');
    return { ...this.servedAs(asked), generation: this.#generation(counted) };
  }

  /** The same for those who asked for it by another name. */
  servedAs(name: string): ModelService {
    const { model } = this.service;
    return {
      ...this.service,
      model: {
        name,
        manifest: model.manifest,
        get context() {
          return model.context;
        },
        contextFor: model.contextFor,
      },
    };
  }

  #generation(metrics: SequenceMetrics): Generation {
    return new Generation({
      ...termsOf(this.bundle),
      membership: this.membership,
      placement: this.#placement,
      metrics,
      clock: systemClock,
    });
  }

  /** To be called once workers have joined. */
  warnOfShortMemory(): void {
    const { model, log } = this.service;
    const modelContext = this.bundle.manifest.shape.context;
    if (model.context.usual >= modelContext) return;
    log.warn(
      { model: this.name, modelContext, positions: positionsOf(this.membership) },
      "a worker's KV memory holds less than the model's context",
    );
  }
}

const positionsOf = ({ links }: Membership): number[] =>
  links.flatMap(({ known }) => known?.totalPositions ?? []);

function facts({ name, bundle, placement }: ModelOptions, membership: Membership): ModelFacts {
  const { manifest } = bundle;
  const { maxDepth, pagePositions, kvPolicy, shape } = manifest;
  const { context } = shape;
  const need = { context, maxDepth, pagePositions, kvPolicy, layersAtHome: layersAtHome(bundle) };
  const contextFor: ModelFacts['contextFor'] = (exit, asked = placement) => {
    const here = membership.view().map(({ totalPositions }) => totalPositions);
    return contextRoom({ ...need, exit, placement: asked }, positionsOf(membership), here);
  };
  return {
    name,
    manifest,
    get context() {
      return contextFor({ ...manifest.exit, maxDepth });
    },
    contextFor,
  };
}

const layersAtHome = ({ manifest: { layers } }: Bundle): boolean => layers.prelude + layers.coda > 0;

type BundleTerms = Omit<OpeningOptions, 'membership' | 'placement' | 'metrics' | 'clock'>;

const termsOf = (bundle: Bundle): BundleTerms => ({
  bundleDigest: bundle.digest,
  maxDepth: bundle.manifest.maxDepth,
  pagePositions: bundle.manifest.pagePositions,
  vocab: bundle.manifest.shape.vocab,
  context: bundle.manifest.shape.context,
  candidates: bundle.manifest.headCandidates,
  layersAtHome: layersAtHome(bundle),
  kvPolicy: bundle.manifest.kvPolicy,
});
