"""Headers of DICOM files: the fields that are read, within limits, and where a file ends."""
