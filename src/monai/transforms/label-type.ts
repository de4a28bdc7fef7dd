/** Smallest element type that holds the numbers of this many channels. */
export const labelArrayType = (channels: number): 'uint8' | 'uint16' => (channels <= 256 ? 'uint8' : 'uint16');
