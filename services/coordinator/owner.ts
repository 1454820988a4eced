/** The name of the API key that a request came with; undefined where no keys are asked for. */
export type Owner = string | undefined;

/** What was made under one key does not exist for any other. Where no keys are asked for all is everybody's. */
export const owns = (owner: Owner, { owner: made }: { readonly owner?: Owner }): boolean =>
  owner === undefined || owner === made;
