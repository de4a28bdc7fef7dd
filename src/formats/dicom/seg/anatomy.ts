import type { Code } from '../code-item.ts';

/** What a segment is, in DICOM's terms. */
export interface SegmentCodes {
  /** Segmented property category, CID 7150. */
  readonly category: Code;
  /** Segmented property type, CID 7151 and the context groups that it includes. */
  readonly type: Code;
}

const anatomical: Code = ['123037004', 'SCT', 'Anatomical Structure'];
const abnormal: Code = ['49755003', 'SCT', 'Morphologically Abnormal Structure'];

/**
 * SNOMED CT codes of the structures that the output channels of MONAI's model zoo name: `code|meaning|name, name…`.
 * Names are as {@link codesOfName} reads them: without sides, in small letters.
 *
 * Source: DICOM PS3.16, the context groups of segmented property types (CID 7151 with those it includes), of anatomic
 * regions (CID 4, 3010, 6117) and of brain structures (CID 7140). A structure that has no code there has the code of what
 * it is part of: a gyrus that of the cerebral cortex, a numbered rib that of a rib.
 * `test/interop/test_anatomy.py` looks up every line in pydicom's copy of those groups.
 */
const anatomicalLines = `
78961009|Spleen|spleen
10200004|Liver|liver
15776009|Pancreas|pancreas
69695003|Stomach|stomach
28231008|Gallbladder|gallbladder
64033007|Kidney|kidney, kideny, kidney cortex, medulla, parenchyma
25990002|Renal pelvis|pelvicalyceal system
87953007|Ureter|ureter
89837001|Bladder|bladder, urinary bladder
23451007|Adrenal gland|adrenal gland
32849002|Esophagus|esophagus
38848004|Duodenum|duodenum
30315005|Small intestine|small bowel, small intestine
71854001|Colon|colon
34402009|Rectum|rectum
41216001|Prostate|prostate, central gland, peripheral zone
91772007|Organ|prostate or uterus
69748006|Thyroid|thyroid gland, thyroid
39607008|Lung|lung
45653009|Upper lobe of lung|lung upper lobe
72481006|Middle lobe of right lung|lung middle lobe
90572001|Lower lobe of lung|lung lower lobe
44567001|Trachea|trachea
89187006|Airway structure|airway
80891009|Heart|heart, myocardium, heart myocardium
82471001|Left atrium|left heart atrium
73829009|Right atrium|right heart atrium
87878005|Left ventricle|left heart ventricle, lv pool
53085002|Right ventricle|right heart ventricle, rv pool
33626005|Left auricular appendage|left atrial appendage
15825003|Aorta|aorta
51114001|Artery|artery
29092000|Vein|vein
59820001|Blood Vessel|hepatic vessel
32764006|Portal vein|portal vein, portal and splenic veins, portal vein and splenic vein
64131007|Inferior vena cava|inferior vena cava, ivc
48345005|Superior vena cava|superior vena cava
81040000|Pulmonary artery|pulmonary artery
122972007|Pulmonary vein|pulmonary vein
10293006|Iliac artery|iliac artery
244411005|Iliac vein|iliac vena, iliac vein
12691009|Innominate artery|brachiocephalic trunk
8887007|Innominate vein|brachiocephalic vein
32062004|Common carotid artery|common carotid artery
36765005|Subclavian artery|subclavian artery
113197003|Rib|rib
50016007|Costal Cartilage|costal cartilages
56873002|Sternum|sternum
51299004|Clavicle|clavicula, clavicle
79601000|Scapula|scapula
85050009|Humerus|humerus
71341001|Femur|femur
29836001|Hip|hip
54735007|Sacrum|sacrum, vertebrae s1
122496007|Lumbar spine|vertebrae l6
14806007|C1 vertebra|vertebrae c1
39976000|C2 vertebra|vertebrae c2
113205007|C3 vertebra|vertebrae c3
5329002|C4 vertebra|vertebrae c4
36978003|C5 vertebra|vertebrae c5
36054005|C6 vertebra|vertebrae c6
87391001|C7 vertebra|vertebrae c7
64864005|T1 vertebra|vertebrae t1
53733008|T2 vertebra|vertebrae t2
1626008|T3 vertebra|vertebrae t3
73071006|T4 vertebra|vertebrae t4
56401006|T5 vertebra|vertebrae t5
45296009|T6 vertebra|vertebrae t6
62487009|T7 vertebra|vertebrae t7
11068009|T8 vertebra|vertebrae t8
82687006|T9 vertebra|vertebrae t9
7610001|T10 vertebra|vertebrae t10
12989004|T11 vertebra|vertebrae t11
23215003|T12 vertebra|vertebrae t12
66794005|L1 vertebra|vertebrae l1
14293000|L2 vertebra|vertebrae l2
36470004|L3 vertebra|vertebrae l3
11994002|L4 vertebra|vertebrae l4
49668003|L5 vertebra|vertebrae l5
3138006|Bone|bone
91727004|Muscle|gluteus maximus, gluteus medius, gluteus minimus, autochthon, iliopsoas
89545001|Face|face
89546000|Skull|skull
2748008|Spinal cord|spinal cord
12738006|Brain|brain, basal forebrain
119238007|Brain Stem|brain stem
87563008|Diencephalon|ventral dc
113305005|Cerebellum|cerebellum, cerebellar vermal lobules
25991003|Cerebellar Cortex|cerebellum exterior
33060004|Cerebellar White Matter|cerebellum white matter
68523003|Cerebral White Matter|cerebral white matter
389080008|White Matter|white matter
389081007|Gray Matter|gray matter, grey matter
49841001|Third ventricle|3rd ventricle
35918002|Fourth Ventricle|4th ventricle
66720007|Lateral Ventricle|lateral ventricle
53118009|Inferior Horn of Lateral Ventricle|inf lat vent
5366008|Hippocampus|hippocampus
4958002|Amygdala|amygdala
42695009|Thalamus|thalamus, thalamus proper
11000004|Caudate Nucleus|caudate
89278009|Putamen|putamen
14738005|Globus Pallidus|pallidum
427667007|Nucleus Accumbens|accumbens area
36169008|Insula|anterior insula, posterior insula
3937002|Entorhinal Cortex|entorhinal area
40146001|Cerebral cortex|calcarine cortex, medial frontal cortex, supplementary motor cortex, central operculum, frontal operculum, parietal operculum, cuneus, precuneus, frontal pole, occipital pole, temporal pole, gyrus rectus, subcallosal area, superior parietal lobule, planum polare, planum temporale, opercular part of the ifg, orbital part of the ifg, triangular part of the ifg
`;

const abnormalLines = `
108369006|Neoplasm|neoplasm, tumor, tumor core, whole tumor, enhancing tumor, pancreatic tumor, lung tumor, liver tumor, hepatic tumor
372087000|Neoplasm, Primary|colon cancer primaries
14799000|Neoplasm, Secondary|metastasis
367643001|Cyst|cyst, kidney cyst
4147007|Mass|kidney mass
52988006|Lesion|bone lesion
`;

function parse(lines: string, category: Code): [string, SegmentCodes][] {
  return lines
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [code = '', meaning = '', names = ''] = line.split('|');
      const codes: SegmentCodes = { category, type: [code, 'SCT', meaning] };
      return names.split(', ').map((name): [string, SegmentCodes] => [name, codes]);
    });
}

const byName = new Map([...parse(anatomicalLines, anatomical), ...parse(abnormalLines, abnormal)]);

/**
 * Codes of a structure as `channel_def` names it: `kidney_left`, `left lung upper lobe`, `Right-AnG---angular-gyrus`.
 *
 * @returns undefined for what is not in the table
 */
export function codesOfName(label: string): SegmentCodes | undefined {
  const words = label
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  const side = words.find(isSide);
  const name = words.filter((word) => !isSide(word));
  const found =
    byName.get(`${side} ${name.join(' ')}`) ??
    byName.get(name.join(' ')) ??
    byName.get(name.filter((word) => !isNumber(word)).join(' '));
  if (found || !atlasName.test(label)) return found;
  return byName.get(name.slice(1).join(' ')) ?? (name.at(-1) === 'gyrus' ? byName.get('cuneus') : undefined);
}

const isSide = (word: string): boolean => word === 'left' || word === 'right';

/** A numbered rib or lobule is one of its kind. */
const isNumber = (word: string): boolean => /^(\d+|[ivx]+)$/.test(word);

/** Brain atlases put a side and an abbreviation before the name. */
const atlasName = /^(?:left|right)-[a-z]+-/i;
