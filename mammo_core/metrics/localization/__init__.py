"""Where a model looks: metrics of marks on images with annotated lesions."""
