import { type Address, address, RondoError } from '@rondo/core';

/** Parsers of option values. Each refuses a malformed value by naming option, value and what was expected. */

/** @throws RondoError CONFIG_INVALID always. */
export const refuse = (option: string, value: string, expected: string): never => {
  throw new RondoError('CONFIG_INVALID', `${option} ${value || "''"}: expected ${expected}`);
};

/** A whole number from `min`, which is at least 1, to `max`, in plain decimal digits. */
export const countOption =
  (option: string, max = Number.POSITIVE_INFINITY, min = 1) =>
  (value: string): number => {
    const count = /^\d{1,15}$/.test(value) ? Number(value) : 0;
    const range = max === Number.POSITIVE_INFINITY ? `from ${min}` : `from ${min} to ${max}`;
    return count >= min && count <= max ? count : refuse(option, value, `a whole number ${range}`);
  };

/** A whole number from 0, in plain decimal digits. */
export const countFromZeroOption =
  (option: string) =>
  (value: string): number =>
    /^\d{1,15}$/.test(value) ? Number(value) : refuse(option, value, 'a whole number from 0');

/** Whole seconds from `min` to `max`. */
export const secondsOption =
  (option: string, max: number, min = 0) =>
  (value: string): number => {
    const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    return seconds >= min && seconds <= max
      ? seconds
      : refuse(option, value, `whole seconds from ${min} to ${max}`);
  };

/** Origins of pages as browsers send them, or `*`, several times. */
export const originsOption =
  (option: string) =>
  (value: string, earlier: string[] = []): string[] => {
    const { protocol, host } = URL.canParse(value) ? new URL(value) : { protocol: '', host: '' };
    return value === '*' || (host !== '' && value === `${protocol}//${host}`)
      ? [...earlier, value]
      : refuse(option, value, '* or an origin without a path, such as https://chat.example');
  };

/** Whole numbers from `min`, which is at least 1, separated by commas. */
export const countsOption =
  (option: string, min = 1) =>
  (value: string): number[] =>
    value.split(',').map((part) => {
      const count = /^\d{1,15}$/.test(part) ? Number(part) : 0;
      return count >= min ? count : refuse(option, value, `whole numbers from ${min}, separated by commas`);
    });

/** Sequences × context, separated by commas: `1x128,16x1024`. */
export const cellsOption =
  (option: string) =>
  (value: string): { sequences: number; context: number }[] =>
    value.split(',').map((part) => {
      const [sequences, context] = /^\d{1,9}x\d{1,9}$/.test(part) ? part.split('x').map(Number) : [];
      return sequences && context
        ? { sequences, context }
        : refuse(option, value, 'sequences x context from 1, separated by commas, such as 1x128,16x1024');
    });

/** A decimal number greater than 0 and at most `max`. */
export const fractionOption =
  (option: string, max: number) =>
  (value: string): number => {
    const number = /^\d*\.?\d+$/.test(value) ? Number(value) : 0;
    return number > 0 && number <= max
      ? number
      : refuse(option, value, `a number above 0 and at most ${max}`);
  };

/** A decimal number from 0 to 1. */
export const shareOption =
  (option: string) =>
  (value: string): number => {
    const share = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    return share <= 1 ? share : refuse(option, value, 'a share from 0 to 1, such as 0.01');
  };

/** A decimal number of milliseconds from 0, at most an hour. */
export const millisecondsOption =
  (option: string) =>
  (value: string): number => {
    const ms = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    return ms <= 3_600_000 ? ms : refuse(option, value, 'milliseconds from 0 to 3600000, such as 4 or 0.05');
  };

/** Some of `choices`, separated by commas, each once. */
export const choicesOption =
  <T extends string>(option: string, choices: readonly T[]) =>
  (value: string): T[] => {
    const chosen = value.split(',') as T[];
    return chosen.every((one, at) => choices.includes(one) && chosen.indexOf(one) === at)
      ? chosen
      : refuse(option, value, `some of ${choices.join(', ')}, separated by commas`);
  };

/** `a-b`, 0-based and inclusive. */
export const layersOption =
  (option: string) =>
  (value: string): { first: number; last: number } => {
    const match = /^(\d{1,6})-(\d{1,6})$/.exec(value);
    const [first, last] = [Number(match?.[1]), Number(match?.[2])];
    return match && first <= last
      ? { first, last }
      : refuse(option, value, 'first-last, 0-based and inclusive, such as 4-7');
  };

const EXPECTED_ADDRESS = 'host:port, such as 127.0.0.1:7600 or [::1]:7600';

/** `host:port`; an IPv6 host stands in brackets. Port 0 takes a free one where something listens. */
export const addressOption =
  (option: string) =>
  (value: string): Address => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(value);
    return match && Number(match[2]) <= 65_535 ? address(value) : refuse(option, value, EXPECTED_ADDRESS);
  };

/** An address that may be given several times. */
export const addressesOption = (option: string) => {
  const parse = addressOption(option);
  return (value: string, earlier: Address[] = []): Address[] => [...earlier, parse(value)];
};
