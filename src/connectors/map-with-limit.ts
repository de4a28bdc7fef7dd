/**
 * Maps a list with at most `limit` calls at once; results keep the order of the list. The first failure stops new calls
 * and is thrown when the running ones have ended.
 */
export async function mapWithLimit<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const worker = async () => {
    while (next < items.length && !failure) {
      const index = next++;
      try {
        results[index] = await map(items[index] as T, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  // Read through a call: assignments made inside the workers are not seen by the type checker here.
  const failed = (() => failure)();
  if (failed) throw failed.error;
  return results;
}
