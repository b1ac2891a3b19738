// How much of a metric's variance each choice explains over the evaluated trials (eta squared of a one-way layout).

interface Association { gene: string; share: number }

// `values` and every column of `choices` are equally long; inactive choices (-1) are a group of their own.
export function associations(values: (number | null)[], choices: Record<string, number[]>): Association[] {
  const present = values.flatMap((value, place) => (value == null ? [] : [place]));
  const mean = present.reduce((sum, place) => sum + values[place]!, 0) / Math.max(1, present.length);
  const total = present.reduce((sum, place) => sum + (values[place]! - mean) ** 2, 0);
  return Object.entries(choices)
    .map(([gene, column]) => {
      const groups = new Map<number, { sum: number; size: number }>();
      for (const place of present) {
        const group = groups.get(column[place]!) ?? { sum: 0, size: 0 };
        group.sum += values[place]!;
        group.size += 1;
        groups.set(column[place]!, group);
      }
      let between = 0;
      for (const group of groups.values()) between += group.size * (group.sum / group.size - mean) ** 2;
      return { gene, share: total > 0 ? between / total : 0 };
    })
    .sort((a, b) => b.share - a.share);
}
