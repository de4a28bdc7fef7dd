"""The campaign's images, made from the real ones of ../shared/data: turned, oblique, anisotropic and cropped copies.

No copy puts a position of a resampled grid halfway between voxels of a turned one: MONAI itself decides those by the
noise of its matrix solver.
"""
import os, shutil
import nibabel as nib, numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform, apply_orientation


def rotation(axis, degrees):
    a, m = np.radians(degrees), np.eye(4)
    p, q = [n for n in range(3) if n != axis]
    m[p, p], m[p, q], m[q, p], m[q, q] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
    return m


def turned(data, affine, codes):
    """The same voxels, stored along other axes."""
    change = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    return apply_orientation(data, change), affine @ inv_ornt_aff(change, data.shape)


def tilted(data, affine):
    """The same voxels, lying obliquely in space."""
    return data, rotation(0, 12) @ rotation(2, 20) @ affine


def part(data, affine, *slices):
    start, step = np.eye(4), np.diag([*(s.step or 1 for s in slices), 1])
    start[:3, 3] = [s.start or 0 for s in slices]
    return np.ascontiguousarray(data[slices]), affine @ start @ step


def save(path, image, dtype=np.int16):
    data, affine = image
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(np.asarray(data).astype(dtype), affine, header), path)


def nifti(path):
    image = nib.load(path)
    return np.asarray(image.dataobj), image.affine


def dicom_series(folder):
    """A DICOM series as MONAI's ITKReader gives it."""
    from monai.transforms import LoadImage

    image = LoadImage(reader="ITKReader", image_only=True)(folder)
    return np.asarray(image), np.asarray(image.affine)


def slab(source, out, names):
    os.makedirs(out)
    for name in names:
        shutil.copyfile(f"{source}/{name}", f"{out}/{name}")


def picture(path, planes):
    """Planes of a real image as the colours of a PNG."""
    from PIL import Image

    low, high = np.percentile(planes, [1, 99])
    pixels = (np.clip((planes - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(pixels.T if pixels.ndim == 2 else pixels.transpose(1, 0, 2))).save(path)


def make(shared, out):
    """Makes all images in a folder; a name without ending is a folder of DICOM files."""
    ct = nifti(f"{shared}/data/ct-abdomen-30.nii.gz")
    body = part(*ct, slice(14, 110), slice(10, 92), slice(0, 30))
    save(f"{out}/ct-turned.nii.gz", turned(*body, "PIL"))
    # 29 slices: 30 of 3 mm make 44.5 of 2 mm, a tie that ITK's affine (from the quaternion) and nibabel's break differently.
    save(f"{out}/ct-oblique.nii.gz", tilted(*turned(*part(*body, slice(None), slice(None), slice(0, 29)), "LPS")))
    save(f"{out}/ct-cropped.nii.gz", part(*ct, slice(60, 95), slice(40, 73), slice(9, 22)))
    thorax = dicom_series(f"{shared}/data/ct-thorax-20")
    save(f"{out}/ct-anisotropic.nii.gz", part(*thorax, slice(130, 310), slice(150, 310), slice(0, 20, 2)))
    slab(f"{shared}/data/ct-thorax-20", f"{out}/ct-slab", sorted(os.listdir(f"{shared}/data/ct-thorax-20"))[4:14])

    mr = nifti(f"{shared}/data/mr-t1-brain.nii.gz")
    head = part(*mr, slice(70, 182), slice(60, 156), slice(78, 166))
    save(f"{out}/mr-head.nii.gz", head)
    save(f"{out}/mr-turned.nii.gz", turned(*part(*head, slice(10, 82), slice(8, 72), slice(0, 60)), "SPL"))
    save(f"{out}/mr-oblique.nii.gz", tilted(*turned(*part(*head, slice(10, 82), slice(8, 72), slice(20, 80)), "RAS")))
    save(f"{out}/mr-anisotropic.nii.gz", part(*mr, slice(70, 182), slice(60, 156), slice(70, 170, 5)))
    save(f"{out}/mr-cropped.nii.gz", part(*head, slice(30, 71), slice(30, 67), slice(30, 61)))
    slab(f"{shared}/data/mr-t1-brain", f"{out}/mr-slab", [f"MR{n:04d}.dcm" for n in range(110, 126)])
    # Four contrasts of one head on one grid, as a registered study has them.
    data = head[0].astype(np.float64)
    for n, values in enumerate([data, (255 - data) * (data > 12), np.sqrt(data) * 15, data**2 / 255]):
        save(f"{out}/mr-contrast-{n}.nii.gz", (values.round(), head[1]))

    axial = turned(*mr, "RAS")[0]
    picture(f"{out}/rgb-head.png", np.stack([axial[:, ::-1, k] for k in (118, 121, 124)], -1).astype(float))
    picture(f"{out}/rgb-thorax.png", np.stack([thorax[0][60:460, 80:400, k] for k in (8, 9, 10)], -1).astype(float))
    picture(f"{out}/rgb-patch.png", np.stack([thorax[0][200:328, 180:308, k] for k in (4, 5, 6)], -1).astype(float))
    picture(f"{out}/grey-head.png", axial[40:200, 60:220, 120].astype(float))
    label = np.zeros((128, 128))
    label[50:80, 44:70] = 1
    from PIL import Image

    Image.fromarray((label * 255).astype(np.uint8)).save(f"{out}/label-patch.png")
