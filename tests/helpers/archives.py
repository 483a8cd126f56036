"""Small tar and zip files."""

import io
import tarfile
import zipfile


def make_tar(path, files, changes=None):
    """A tar file; ``changes`` are set on each of its members."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in (changes or {}).items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_zip(path, files, mode=0):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path
