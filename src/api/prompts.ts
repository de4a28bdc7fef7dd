import { z } from 'zod';

const number = z.number().min(-1e6).max(1e6);

/** What a user marks in the image, for models that take it (docs/inputs.md). */
export const promptsSchema = z
  .strictObject({
    coordinates: z
      .enum(['lps', 'ras', 'index'])
      .describe(
        'What points are: lps, millimetres in the patient as DICOM counts them (to the left, posterior, superior); ras, as NIfTI does (right, anterior, superior); index, whole voxels from 0.',
      ),
    points: z
      .array(z.union([z.tuple([number, number, number]), z.tuple([number, number])]))
      .min(1)
      .max(1000)
      .describe('[x, y, z]; or as index: [column, row, slice], and [column, row] of a plane.'),
    pointLabels: z
      .array(z.string().min(1).max(64))
      .max(1000)
      .describe('What each point marks: a label of the model, as map-endpoint inspect tells them.')
      .optional(),
  })
  .refine(
    ({ points, pointLabels }) => pointLabels === undefined || pointLabels.length === points.length,
    'has not as many pointLabels as points',
  )
  .refine(
    ({ coordinates, points }) => coordinates === 'index' || points.every(({ length }) => length === 3),
    'points of two numbers go with "coordinates": "index" only',
  )
  .refine(
    ({ coordinates, points }) =>
      coordinates !== 'index' || points.every((point) => point.every((at) => Number.isInteger(at) && at >= 0)),
    'points by "index" must be whole numbers from 0',
  );

/** Prompts of a request: points, and what each marks. */
export type Prompts = z.infer<typeof promptsSchema>;

/** The labels of a request's points, one for each. */
export const pointLabelsOf = (prompts: Prompts | undefined): { readonly label: string | undefined }[] =>
  (prompts?.points ?? []).map((_point, n) => ({ label: prompts?.pointLabels?.[n] }));
