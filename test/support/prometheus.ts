/** One metric of a scrape. */
export interface ScrapedMetric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Names of its labels, in order, without a histogram's `le` and a summary's `quantile`. */
  readonly labels: readonly string[];
  readonly samples: readonly Readonly<Record<string, string>>[];
}

/** Parses Prometheus' text format. */
export async function parseMetrics(source: { text(): Promise<string> }): Promise<ScrapedMetric[]> {
  const metrics: { name: string; type: string; help: string; labels: string[]; samples: Record<string, string>[] }[] =
    [];
  for (const line of (await source.text()).split('\n')) {
    const described = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (described) {
      const [, kind, name, value] = described as unknown as [string, string, string, string];
      if (kind === 'HELP') metrics.push({ name, help: value, type: '', labels: [], samples: [] });
      else (metrics.at(-1) as { type: string }).type = value;
      continue;
    }
    const sample = /^([a-z_0-9]+)(?:\{(.*)\})? \S+$/i.exec(line);
    const metric = metrics.at(-1);
    if (!metric || !sample) {
      if (line !== '') throw new Error(`not Prometheus' text format: ${line}`);
      continue;
    }
    if (!sample[1]?.startsWith(metric.name)) throw new Error(`a sample of an undescribed metric: ${line}`);
    const pairs = [...(sample[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map((match): [string, string] => [
      match[1] as string,
      match[2] as string,
    ]);
    metric.samples.push(Object.fromEntries(pairs));
    for (const [name] of pairs) {
      if (name !== 'le' && name !== 'quantile' && !metric.labels.includes(name)) metric.labels.push(name);
    }
  }
  return metrics;
}
