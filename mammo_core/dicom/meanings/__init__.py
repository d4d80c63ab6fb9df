"""What a header says that an image is: view, modifiers, type, body part."""
