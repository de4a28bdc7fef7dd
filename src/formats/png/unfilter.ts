/**
 * Undoes the filters of the rows of a PNG (PNG 9.2).
 *
 * @param filtered - rows of a filter's number and `rowBytes` bytes
 * @param pixelBytes - bytes from a sample to the same one of the pixel before
 * @returns the rows without gaps; undefined when a row has a filter that does not exist
 */
export function unfilter(filtered: Buffer, rowBytes: number, height: number, pixelBytes: number): Buffer | undefined {
  const rows = Buffer.alloc(rowBytes * height);
  for (let y = 0; y < height; y++) {
    const from = y * (rowBytes + 1);
    const filter = filtered[from] as number;
    if (filter > 4) return undefined;
    const start = y * rowBytes;
    for (let x = 0; x < rowBytes; x++) {
      const left = x >= pixelBytes ? (rows[start + x - pixelBytes] as number) : 0;
      const up = y > 0 ? (rows[start + x - rowBytes] as number) : 0;
      const upLeft = y > 0 && x >= pixelBytes ? (rows[start + x - rowBytes - pixelBytes] as number) : 0;
      rows[start + x] = ((filtered[from + 1 + x] as number) + predicted(filter, left, up, upLeft)) & 0xff;
    }
  }
  return rows;
}

function predicted(filter: number, left: number, up: number, upLeft: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const estimate = left + up - upLeft;
      const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - upLeft)];
      return a <= b && a <= c ? left : b <= c ? up : upLeft;
    }
    default:
      return 0;
  }
}
