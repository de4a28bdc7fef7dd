/** 5×7 dots of the letters at the edges of a plane, a row a string. */
const glyphs: Readonly<Record<string, readonly string[]>> = {
  R: ['####.', '#...#', '#...#', '####.', '#.#..', '#..#.', '#...#'],
  L: ['#....', '#....', '#....', '#....', '#....', '#....', '#####'],
  A: ['.###.', '#...#', '#...#', '#####', '#...#', '#...#', '#...#'],
  P: ['####.', '#...#', '#...#', '####.', '#....', '#....', '#....'],
  H: ['#...#', '#...#', '#...#', '#####', '#...#', '#...#', '#...#'],
  F: ['#####', '#....', '#....', '####.', '#....', '#....', '#....'],
};

export const LETTER_WIDTH = 10;
export const LETTER_HEIGHT = 14;

/** Calls back for each dot of a letter, in double size, from its top left corner. */
export function drawLetter(letter: string, put: (x: number, y: number) => void): void {
  glyphs[letter]?.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (row[x] !== '#') continue;
      for (const [dx, dy] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ] as const) {
        put(x * 2 + dx, y * 2 + dy);
      }
    }
  });
}
