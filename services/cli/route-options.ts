import type { ShadowRule, Split, Spread } from '@rondo/coordinator';
import type { Command } from 'commander';
import { MODEL_NAME } from './model-options.ts';
import { refuse } from './options.ts';

/** What `rondo run` and `rondo coordinator` let say of how requests are spread over models. */
export interface RouteFlags {
  readonly route?: Split[];
  readonly shadow?: ShadowRule[];
}

export const ROUTE_HELP = `
--route chat=orig:90,looped:10 lets clients ask for 'chat' and gives nine in ten of them orig, by weight. Requests with the
same 'user', else with the same header x-rondo-session, stay with one model, on every coordinator; the answer's header
x-rondo-variant says which. --shadow chat=looped:5 runs 5 % of the requests for 'chat' on looped as well once they are
answered, which nobody waits for and which is dropped under load; rondo_shadow_* metrics say how it did.`;

export const addRouteOptions = (command: Command): Command =>
  command
    .option(
      '--route <name=model:weight,…>',
      'a name whose requests are split over models; repeat the option for each name',
      routesOption('--route'),
    )
    .option(
      '--shadow <name=model:percent>',
      'a share of the requests for a name that a model runs too, without answering; may be repeated',
      shadowsOption('--shadow'),
    );

export const spreadOf = ({ route = [], shadow = [] }: RouteFlags): Spread => ({
  splits: route,
  shadows: shadow,
});

/** Weights are whole numbers from 0 to a million. */
export const routesOption =
  (option: string) =>
  (value: string, earlier: Split[] = []): Split[] => {
    const wrong = () =>
      refuse(option, value, 'name=model:weight,… with whole weights, such as chat=orig:90,looped:10');
    const [name = '', list = '', ...rest] = value.split('=');
    if (rest.length > 0 || !MODEL_NAME.test(name)) return wrong();
    const variants = list.split(',').map((part) => {
      const [model = '', weight = '', ...more] = part.split(':');
      const sound = more.length === 0 && MODEL_NAME.test(model) && /^\d{1,7}$/.test(weight);
      return sound && Number(weight) <= 1_000_000 ? { model, weight: Number(weight) } : wrong();
    });
    return [...earlier, { name, variants }];
  };

/** Percent, above 0 and at most 100, may have decimals. */
export const shadowsOption =
  (option: string) =>
  (value: string, earlier: ShadowRule[] = []): ShadowRule[] => {
    const match = /^([^=:,]+)=([^=:,]+):(\d{1,3}(?:\.\d{1,6})?)$/.exec(value);
    const [of, model] = [match?.[1] ?? '', match?.[2] ?? ''];
    const share = Number(match?.[3] ?? 0) / 100;
    if (!MODEL_NAME.test(of) || !MODEL_NAME.test(model) || !(share > 0 && share <= 1)) {
      return refuse(option, value, 'name=model:percent above 0 and at most 100, such as chat=looped:5');
    }
    return [...earlier, { of, model, share }];
  };
