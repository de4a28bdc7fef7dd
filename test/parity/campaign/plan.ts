import type { StubNetwork } from './judge.ts';

/** A bundle of the campaign and what it is tried on. */
export interface PlannedBundle {
  readonly name: string;
  /** Folder in ../shared: `zoo`, whose bundles have no weights and get a stub network, or `models`. */
  readonly from: 'zoo' | 'models';
  /** The stub; channels that are absent are the metadata's. */
  readonly stub?: Partial<Omit<StubNetwork, 'path'>>;
  /** The image that the network is given. */
  readonly input?: string;
  readonly images: readonly PlannedImage[];
  /** The test that holds it against MONAI, where the judge can't: the bundle has Python of its own, which is not here. */
  readonly judgedBy?: string;
}

/** Files by the key that the bundle loads them under; several files of one key are its channels. */
export interface PlannedImage {
  readonly name: string;
  readonly files: Readonly<Record<string, string | readonly string[]>>;
  /** Clicks, under the key that the bundle looks for. */
  readonly clicks?: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const one = (name: string, file: string, key = 'image'): PlannedImage => ({ name, files: { [key]: file } });

/** `shared:` stands for ../shared/data, other names for what images.py makes; no ending: a folder of DICOM files. */
const ct = [
  one('CT abdomen', 'shared:ct-abdomen-30.nii.gz'),
  one('CT abdomen, DICOM', 'shared:ct-abdomen-30'),
  one('CT turned (PIL)', 'ct-turned.nii.gz'),
  one('CT oblique', 'ct-oblique.nii.gz'),
  one('CT anisotropic', 'ct-anisotropic.nii.gz'),
  one('CT cropped', 'ct-cropped.nii.gz'),
];
/** 512 × 512 pixels, JPEG 2000: big once it is resampled, so not for every bundle. */
const thorax = one('CT thorax, DICOM', 'shared:ct-thorax-20');
const mr = [
  one('MR head', 'mr-head.nii.gz'),
  one('MR head, DICOM', 'mr-slab'),
  one('MR turned (SPL)', 'mr-turned.nii.gz'),
  one('MR oblique', 'mr-oblique.nii.gz'),
  one('MR anisotropic', 'mr-anisotropic.nii.gz'),
  one('MR cropped', 'mr-cropped.nii.gz'),
];
const contrasts: PlannedImage = {
  name: 'MR head, 4 contrasts',
  files: { image: [0, 1, 2, 3].map((n) => `mr-contrast-${n}.nii.gz`) },
};
const pictures = [one('RGB head', 'rgb-head.png'), one('RGB thorax', 'rgb-thorax.png')];

/** Every bundle of ../shared/zoo, and the three with weights. */
export const plan: readonly PlannedBundle[] = [
  {
    name: 'spleen_ct_demo',
    from: 'models',
    images: [...ct, thorax],
  },
  { name: 'spleen_ct_full', from: 'models', images: ct.slice(0, 1) },
  { name: 'brain_tissue_mr', from: 'models', images: [one('MR T1 head, 256³', 'shared:mr-t1-brain.nii.gz')] },
  { name: 'spleen_ct_segmentation', from: 'zoo', images: ct },
  { name: 'multi_organ_segmentation', from: 'zoo', images: ct },
  { name: 'pancreas_ct_dints_segmentation', from: 'zoo', images: ct },
  { name: 'renalStructures_UNEST_segmentation', from: 'zoo', images: ct },
  { name: 'swin_unetr_btcv_segmentation', from: 'zoo', images: [...ct, thorax] },
  { name: 'pediatric_abdominal_ct_segmentation', from: 'zoo', images: ct },
  { name: 'wholeBody_ct_segmentation', from: 'zoo', images: ct },
  { name: 'segmentation_template', from: 'zoo', images: [...ct.slice(2), ...mr] },
  { name: 'brats_mri_segmentation', from: 'zoo', images: [contrasts] },
  { name: 'prostate_mri_anatomy', from: 'zoo', images: mr },
  { name: 'wholeBrainSeg_Large_UNEST_segmentation', from: 'zoo', images: mr },
  { name: 'ventricular_short_axis_3label', from: 'zoo', stub: { dims: 2 }, images: mr },
  { name: 'endoscopic_tool_segmentation', from: 'zoo', stub: { dims: 2 }, images: pictures },
  { name: 'endoscopic_inbody_classification', from: 'zoo', stub: { dims: 2, kind: 'classes' }, images: pictures },
  { name: 'breast_density_classification', from: 'zoo', stub: { dims: 2, kind: 'classes' }, images: pictures },
  {
    name: 'classification_template',
    from: 'zoo',
    stub: { dims: 2, kind: 'classes' },
    images: [one('grey head', 'grey-head.png')],
  },
  {
    name: 'pathology_nuclei_classification',
    from: 'zoo',
    stub: { dims: 2, kind: 'classes' },
    images: [{ name: 'RGB patch, label', files: { image: 'rgb-patch.png', label: 'label-patch.png' } }],
  },
  {
    name: 'pathology_nuclick_annotation',
    from: 'zoo',
    stub: { dims: 2 },
    images: [{ ...one('RGB patch', 'rgb-patch.png'), clicks: { foreground: [[60, 71]] } }],
  },
  {
    name: 'pathology_tumor_detection',
    from: 'zoo',
    stub: { dims: 2, kind: 'classes' },
    images: [one('RGB patch', 'rgb-patch.png')],
  },
  // Their own Python is in no test's reach: the figures are those of fixtures, made with it by make_prompt_fixtures.py.
  ...['renalStructures_CECT_segmentation', 'spleen_deepedit_annotation'].map(
    (name): PlannedBundle => ({ name, from: 'zoo', images: [], judgedBy: 'test/unit/monai/prompt-fixtures.test.ts' }),
  ),
  // Programs with code of their own, or of no image: in the table by why they are refused. Whoever makes one run gives it images.
  ...[
    'lung_nodule_ct_detection',
    'valve_landmarks',
    'vista3d',
    'vista2d',
    'pathology_nuclei_segmentation_classification',
    'mednist_reg',
    'mednist_gan',
    'maisi_ct_generative',
    'brats_mri_generative_diffusion',
    'brats_mri_axial_slices_generative_diffusion',
  ].map((name): PlannedBundle => ({ name, from: 'zoo', images: [] })),
];
